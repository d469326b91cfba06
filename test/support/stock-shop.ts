/** The shop over a stock connect-redis, in each version and with the client that it works with. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { RedisStore as RedisStore9 } from 'connect-redis';
import RedisStore7 from 'connect-redis7';
import { RedisStore as RedisStore8 } from 'connect-redis8';
import { RedisStore as RedisStore10 } from 'connect-redis10';
import express, { type Express, type Request } from 'express';
import session, { type Store } from 'express-session';
// @ts-expect-error Express 4 under this name has no types of its own; it is used as Express 5's.
import express4 from 'express4';
import { createClient } from 'redis';
import { type Bouncer, type BouncerOptions, createBouncer } from '../../src/index.ts';
import { captureLog, connect, release, testRedisUrl, until } from './index.ts';
import { ADDRESS, Browser, patienceFor } from './shop.ts';

export const KINDS = ['connect-redis 7', 'connect-redis 8', 'connect-redis 9', 'connect-redis 10'] as const;
export type Kind = (typeof KINDS)[number];

/** A command that reached the app's own client. */
export interface Sent {
  readonly name: string;
  readonly args: readonly unknown[];
}

export interface StockOptions {
  readonly url?: string;
  readonly bouncer?: Partial<BouncerOptions>;
  readonly session?: Partial<session.SessionOptions>;
  readonly store?: { ttl?: number; disableTouch?: boolean; disableTTL?: boolean; serializer?: typeof JSON };
  /** The same app without us: no guard, no context, no gate. */
  readonly stock?: boolean;
  /** Not the store's own, as a mistake would have it. */
  readonly guardPrefix?: string;
  readonly express4?: boolean;
  /** Between the session and the gate. */
  readonly between?: (app: Express) => void;
  readonly routes?: (app: Express, bouncer: Bouncer) => void;
  readonly afterLogin?: (req: Request) => void | Promise<void>;
}

interface Mine {
  userId?: string;
  visits?: number;
}

/** The versions' types differ; all of them take these. */
type StoreClass = new (
  options: object,
) => Store & {
  ids(done: (error?: unknown, ids?: unknown) => void): Promise<unknown>;
};
const STORES = {
  'connect-redis 7': RedisStore7,
  'connect-redis 8': RedisStore8,
  'connect-redis 9': RedisStore9,
  'connect-redis 10': RedisStore10,
} as unknown as Record<Kind, StoreClass>;

export async function openStockShop(kind: Kind, prefix: string, options: StockOptions = {}) {
  const log = captureLog();
  const url = options.url ?? testRedisUrl();
  const how = { ...patienceFor(options.bouncer), ...options.bouncer };
  const bouncer = createBouncer({ redis: url, prefix, trustProxy: ['loopback'], log, ...how });
  const sent: Sent[] = [];
  const raw = await clientFor(kind, url);
  const recorded = recorder(raw, sent);
  const storePrefix = `${prefix}:sess:`;
  const client = options.stock
    ? recorded
    : bouncer.guardClient(recorded, { prefix: options.guardPrefix ?? storePrefix });
  const store = new STORES[kind]({ client, prefix: storePrefix, ...options.store });
  const app = options.express4 ? (express4() as unknown as Express) : express();
  if (!options.stock) app.use(bouncer.context());
  app.use(
    session({ store, secret: 'not a secret in a test', resave: false, saveUninitialized: false, ...options.session }),
  );
  options.between?.(app);
  if (!options.stock) app.use(bouncer.gate());
  routes(app, bouncer, options);
  options.routes?.(app, bouncer);
  const server = createServer(app);
  server.keepAliveTimeout = 0; // as in shop.ts
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  release(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await bouncer.close();
  });
  // A login that is queued shows that the connection is there; commands before that would be refused.
  const warmUp = { userId: 'nobody', sessionId: 'w'.repeat(32), address: null };
  await until(async () => (await bouncer.reportLogin(warmUp)).status === 'queued');
  const home = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const browser = () => new Browser(home, ADDRESS.london);
  return { url: home, bouncer, store, client, raw, sent, log, storePrefix, browser };
}

async function clientFor(kind: Kind, url: string): Promise<object> {
  if (kind === 'connect-redis 7' || kind === 'connect-redis 8') return connect(url);
  const client = createClient({ url });
  client.on('error', () => {});
  await client.connect();
  release(() => client.destroy());
  return client;
}

/** Notes what the app's own client is called with. */
function recorder(client: object, sent: Sent[]): object {
  return new Proxy(client, {
    get(target, property) {
      const value: unknown = Reflect.get(target, property, target);
      if (typeof value !== 'function' || typeof property !== 'string') return value;
      return (...args: unknown[]) => {
        sent.push({ name: property, args });
        return (value as (...given: unknown[]) => unknown).apply(target, args);
      };
    },
  });
}

function routes(app: Express, bouncer: Bouncer, options: StockOptions): void {
  const me = (req: Request) => {
    const { userId, visits } = req.session as Mine;
    return { user: userId ?? null, visits: visits ?? 0 };
  };
  app.get('/me', (req, res) => void res.json(me(req)));
  app.post('/change', (req, res) => {
    const mine = req.session as Mine;
    mine.visits = (mine.visits ?? 0) + 1;
    res.json(me(req));
  });
  app.post('/logout', (req, res) => void req.session.destroy(() => res.end('bye')));
  app.post('/regenerate', (req, res) => {
    const { userId, visits } = req.session as Mine;
    req.session.regenerate(() => {
      Object.assign(req.session, { userId, visits });
      res.json(me(req));
    });
  });
  // An app that only reports its logins: the session does not know which login it belongs to.
  app.post('/own-login', (req, res) =>
    ownLogin(req, () => {
      const report = { userId: 'alice', sessionId: req.sessionID, address: null };
      void bouncer.reportLogin(report).then((result) => res.json(result));
    }),
  );
  app.post('/login', (req, res, next) => {
    const userId = String(req.query.user);
    if (!options.stock) {
      const finish = async () => {
        const result = await bouncer.login(req, { userId, data: { userId } });
        await options.afterLogin?.(req);
        res.json(result);
      };
      finish().catch(next);
      return;
    }
    ownLogin(req, () => res.json({}));
  });
}

function ownLogin(req: Request, done: () => void): void {
  req.session.regenerate(() => {
    Object.assign(req.session, { userId: String(req.query.user) });
    req.session.save(done);
  });
}
