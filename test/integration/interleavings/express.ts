import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import express, { type Request } from 'express';
import session from 'express-session';
import { type Bouncer, createBouncer } from '../../../src/index.ts';
import { captureLog, release } from '../../support/index.ts';
import type { Framework, InHandler } from './harness.ts';

export function expressWith(options: { resave: boolean; rolling: boolean }): Framework {
  return {
    name: `express, resave ${options.resave}, rolling ${options.rolling}`,
    lacks: {},
    async open(redis, prefix, handlers) {
      // `renewAfter: 0`: every unmodified request touches, so that there is a T to place.
      const how = { session: { renewAfter: 0 }, enqueueTimeoutMs: 10_000 };
      const bouncer = createBouncer({ redis, prefix, log: captureLog(), ...how });
      const app = express();
      const store = bouncer.store(session);
      app.use(session({ store, secret: 'not a secret in a test', saveUninitialized: false, ...options }));
      app.use(bouncer.gate());
      app.get('/step/:name', async (req, res) => {
        await handlers.get(String(req.params.name))?.(inHandler(req, bouncer));
        res.json(user(req));
      });
      app.get('/me', (req, res) => res.json(user(req)));
      const server = createServer(app);
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      release(async () => {
        server.closeAllConnections();
        await new Promise((resolve) => server.close(resolve));
        await bouncer.close();
      });
      return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, bouncer };
    },
  };
}

interface Data {
  userId?: string;
  changes?: number;
}

/** After a logout there is no session on the request. */
function user(req: Request): { user: string | null } {
  return { user: (req.session as Data | undefined)?.userId ?? null };
}

function inHandler(req: Request, bouncer: Bouncer): InHandler {
  const data = () => req.session as Data;
  return {
    id: () => req.sessionID,
    change() {
      data().changes = (data().changes ?? 0) + 1;
    },
    save: () => new Promise((resolve) => req.session.save(() => resolve())),
    regenerate: () =>
      new Promise((resolve) => {
        const { cookie: _, ...copied } = req.session;
        req.session.regenerate(() => {
          Object.assign(req.session, copied);
          resolve();
        });
      }),
    destroy: () => new Promise((resolve) => void req.session.destroy(() => resolve())),
    login: (userId) => bouncer.login(req, { userId, data: { userId } }),
  };
}
