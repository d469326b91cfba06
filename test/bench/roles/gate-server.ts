/** One of the two apps of the `gate` bench: the same routes and cookie, our store and gate or stock connect-redis. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { RedisStore } from 'connect-redis';
import express, { type Express, type Request, type RequestHandler } from 'express';
import session, { type Store } from 'express-session';
import { createClient } from 'redis';
import { createBouncer } from '../../../src/index.ts';
import { serve } from '../support/child.ts';

export interface Usage {
  /** User and system time of this process so far. */
  readonly cpuMicros: number;
  readonly requests: number;
}

export interface GateServerApi {
  /** The port, on 127.0.0.1. */
  listen(kind: 'ours' | 'stock', url: string): Promise<number>;
  usage(): Usage;
}

/** What the user's session holds: a little of everything, as apps do. */
const DATA = { userId: 'user-4711', name: 'Alice Example', roles: ['member', 'editor'], theme: 'dark', csrf: 'Zm9v' };
const COOKIE = { httpOnly: true, sameSite: 'lax', maxAge: 86_400_000 } as const;
const closers: (() => unknown)[] = [];
let requests = 0;

function sessions(store: Store): RequestHandler {
  return session({ store, secret: 'bench', name: 'sid', resave: false, saveUninitialized: false, cookie: COOKIE });
}

/** Reads the session and does not change it. */
function routes(app: Express, login: (req: Request) => Promise<unknown>): void {
  app.post('/login', async (req, res) => {
    await login(req);
    res.json({ ok: true });
  });
  app.get('/', (req, res) => {
    const { userId, name, roles } = req.session as unknown as Partial<typeof DATA>;
    if (userId === undefined) res.status(401).json({ code: 'login_needed' });
    else res.json({ user: userId, name, roles });
  });
}

function ours(app: Express, url: string): void {
  const bouncer = createBouncer({ redis: url });
  closers.push(() => bouncer.close());
  app.use(sessions(bouncer.store(session)));
  app.use(bouncer.gate());
  routes(app, (req) => bouncer.login(req, { userId: DATA.userId, data: DATA }));
}

async function stock(app: Express, url: string): Promise<void> {
  const client = createClient({ url });
  await client.connect();
  closers.push(() => client.destroy());
  app.use(sessions(new RedisStore({ client })));
  const login = (req: Request) =>
    new Promise<void>((resolve, reject) => {
      req.session.regenerate((error: unknown) => {
        if (error) return reject(error);
        Object.assign(req.session, DATA);
        resolve();
      });
    });
  routes(app, login);
}

serve<GateServerApi>(
  {
    async listen(kind, url) {
      const app = express();
      await (kind === 'ours' ? ours(app, url) : stock(app, url));
      const server = createServer(app);
      server.on('request', () => {
        requests += 1;
      });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      closers.push(() => server.closeAllConnections());
      return (server.address() as AddressInfo).port;
    },
    usage() {
      const { user, system } = process.cpuUsage();
      return { cpuMicros: user + system, requests };
    },
  },
  async () => {
    for (const close of closers.reverse()) await close();
  },
);
