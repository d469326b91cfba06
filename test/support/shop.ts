/** A small Express shop, as a user of ours would write it, and browsers that visit it. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import express, { type Request, type Response } from 'express';
import session from 'express-session';
import { CookieJar } from 'tough-cookie';
import { type Bouncer, type BouncerOptions, createBouncer } from '../../src/index.ts';
import { captureLog, release, testRedisUrl } from './index.ts';

/** Both npm databases agree on each of these. */
export const ADDRESS = {
  london: '81.2.69.142',
  londonElsewhere: '86.128.10.20',
  paris: '90.0.15.20',
  berlin: '79.192.10.20',
  newYork: '71.167.20.30',
  lagos: '105.112.10.20',
  londonV6: '2a00:23c4:1::1',
  parisV6: '2a01:cb00:1::1',
} as const;

/**
 * How long a shop waits for Redis: as usual it is a second, and a quarter of one for the queue, which a busy machine may take
 * from a process that waits for nothing. Tests of these limits give their own.
 */
export const PATIENCE = { redisTimeoutMs: 5000, enqueueTimeoutMs: 3000 } as const;
export const patienceFor = (how: Partial<BouncerOptions> = {}) => (how.redisTimeoutMs === undefined ? PATIENCE : {});

export interface ShopOptions {
  readonly bouncer?: Partial<BouncerOptions>;
  readonly session?: Partial<session.SessionOptions>;
  /** Runs after `bouncer.login` has returned, before the response ends: the login request is itself in flight. */
  readonly afterLogin?: (req: Request) => void | Promise<void>;
  readonly routes?: (app: express.Express, bouncer: Bouncer) => void;
}

export interface Shop {
  readonly url: string;
  readonly bouncer: Bouncer;
  readonly log: ReturnType<typeof captureLog>;
  browser(address?: string): Browser;
  close(): Promise<void>;
}

interface ShopSession {
  userId?: string;
  visits?: number;
}

export async function openShop(prefix: string, options: ShopOptions = {}): Promise<Shop> {
  const log = captureLog();
  const bouncer = createBouncer({
    redis: testRedisUrl(),
    prefix,
    trustProxy: ['loopback'],
    log,
    ...patienceFor(options.bouncer),
    ...options.bouncer,
  });
  const app = express();
  app.use(
    session({
      store: bouncer.store(session),
      secret: 'not a secret in a test',
      resave: false,
      saveUninitialized: false,
      ...options.session,
    }),
  );
  app.use(bouncer.gate());
  app.post('/login', async (req, res) => {
    const userId = String(req.query.user);
    const result = await bouncer.login(req, { userId, data: { userId } });
    await options.afterLogin?.(req);
    res.json(result);
  });
  app.post('/logout', (req, res) => req.session.destroy(() => res.end('bye')));
  app.get('/me', (req, res) => answer(req, res));
  app.post('/change', (req, res) => {
    const mine = req.session as ShopSession;
    mine.visits = (mine.visits ?? 0) + 1;
    answer(req, res);
  });
  options.routes?.(app, bouncer);
  const server = await listen(createServer(app));
  const close = async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await bouncer.close();
  };
  release(close);
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { url, bouncer, log, close, browser: (address = ADDRESS.london) => new Browser(url, address) };
}

function answer(req: Request, res: Response): void {
  const { userId, visits } = req.session as ShopSession;
  res.json({ user: userId ?? null, visits: visits ?? 0 });
}

async function listen(server: Server): Promise<Server> {
  // A busy machine closes a kept connection in the very moment that a browser uses it again: that would be the test's own noise.
  server.keepAliveTimeout = 0;
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

export interface Page {
  readonly status: number;
  readonly location: string | null;
  readonly body: string;
  readonly setCookie: readonly string[];
  readonly headers: Headers;
  json(): Record<string, unknown>;
}

/** A browser with a cookie jar, behind a proxy that tells its address. Follows no redirect. */
export class Browser {
  readonly jar = new CookieJar();
  readonly #url: string;
  address: string;

  constructor(url: string, address: string) {
    this.#url = url;
    this.address = address;
  }

  get(path: string, headers: Record<string, string> = {}): Promise<Page> {
    return this.#send('GET', path, headers);
  }

  post(path: string, headers: Record<string, string> = {}): Promise<Page> {
    return this.#send('POST', path, headers);
  }

  login(user: string): Promise<Page> {
    return this.post(`/login?user=${encodeURIComponent(user)}`);
  }

  async user(): Promise<unknown> {
    const page = await this.get('/me');
    return page.status === 200 ? page.json().user : `status ${page.status}`;
  }

  /** The raw session id in the cookie (`s:<id>.<signature>`). */
  async sessionId(name = 'connect.sid'): Promise<string> {
    const cookies = await this.jar.getCookies(this.#url);
    const value = decodeURIComponent(cookies.find((cookie) => cookie.key === name)?.value ?? '');
    return value.slice(2).split('.')[0] ?? '';
  }

  async #send(method: string, path: string, headers: Record<string, string>): Promise<Page> {
    const url = this.#url + path;
    const response = await fetch(url, {
      method,
      redirect: 'manual',
      headers: {
        accept: 'text/html,application/xhtml+xml',
        'user-agent': 'TestBrowser/1.0',
        cookie: await this.jar.getCookieString(url),
        'x-forwarded-for': this.address,
        ...headers,
      },
    });
    const setCookie = response.headers.getSetCookie();
    for (const cookie of setCookie) await this.jar.setCookie(cookie, url);
    const body = await response.text();
    return {
      status: response.status,
      location: response.headers.get('location'),
      body,
      setCookie,
      headers: response.headers,
      json: () => JSON.parse(body) as Record<string, unknown>,
    };
  }
}
