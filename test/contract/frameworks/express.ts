import { createServer, type Server } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import express5, { type Request, type Response } from 'express';
import session from 'express-session';
import { type Framework, failure, ROUTES, SECRET, type ShopSession, type Turn } from './harness.ts';

const express4 = createRequire(import.meta.url)('express4') as typeof express5;

export const expressFrameworks: readonly Framework[] = [
  framework('express 4', express4),
  framework('express 5', express5),
];

function framework(name: string, express: typeof express5): Framework {
  return {
    name,
    cookie: 'connect.sid',
    secret: SECRET,
    idIn: (value) => value.slice(2).split('.')[0] ?? '',
    async open(bouncer, held, { maxAgeMs, eager = false }) {
      const app = express();
      const options = {
        secret: SECRET,
        resave: eager,
        rolling: eager,
        saveUninitialized: false,
        cookie: maxAgeMs === undefined ? {} : { maxAge: maxAgeMs },
      };
      app.use(bouncer.express(session, options));
      for (const [route, run] of Object.entries(ROUTES)) {
        const [method, path] = route.split(' ') as ['GET' | 'POST', string];
        app[method === 'GET' ? 'get' : 'post'](path, (req: Request, res: Response) => {
          run(turnOf(req), bouncer, held)
            .then((body) => res.json(body))
            .catch((error: unknown) => res.status(failure(error).status).json(failure(error).body));
        });
      }
      return listening(createServer(app));
    },
  };
}

function turnOf(req: Request): Turn {
  const done = (start: (end: (error?: unknown) => void) => void) =>
    new Promise<void>((resolve, reject) => start((error) => (error ? reject(error) : resolve())));
  return {
    request: req,
    query: (name) => String(req.query[name]),
    session: () => req.session as ShopSession,
    save: () => done((end) => req.session.save(end)),
    regenerate: () => done((end) => req.session.regenerate(end)),
    destroy: () => done((end) => req.session.destroy(end)),
    isAbandoned: () => req.socket.destroyed,
  };
}

export async function listening(server: Server): Promise<{ url: string; close(): Promise<void> }> {
  server.keepAliveTimeout = 0; // as in test/support/shop.ts
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
