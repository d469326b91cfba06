/** An app that asks for a session by itself (`reload`, `store.get`, `judge`) only looks: no browser has brought that id. */
import { createServer } from 'node:http';
import { describe, expect, test } from '@jest/globals';
import express, { type Express, type Request } from 'express';
import session from 'express-session';
import Koa, { type Context } from 'koa';
import koaSession from 'koa-session';
import { WebSocket, WebSocketServer } from 'ws';
import { createBouncer } from '../../src/index.ts';
import { keysFor } from '../../src/redis/keys.ts';
import { listening } from '../contract/frameworks/express.ts';
import { mineIn, openFastifyShop } from '../support/fastify-shop.ts';
import { captureLog, connect, release, testPrefix, testRedisUrl, until } from '../support/index.ts';
import { type Browser, openShop, PATIENCE } from '../support/shop.ts';
import { openStockShop } from '../support/stock-shop.ts';

const SECRET = 'a secret of the tests, forty letters long';
const EVERY = { rotate: { everyRequests: 1 } };

interface Mine {
  userId?: string;
  visits?: number;
}
const mine = (req: Request) => req.session as Mine;

const done = (start: (end: (error?: unknown) => void) => void) =>
  new Promise<string>((resolve) => start((error) => resolve(error instanceof Error ? error.message : 'ok')));

const reload = (req: Request) => done((end) => req.session.reload(end));

/** The app's own regenerate, which keeps what the session holds. */
async function regenerate(req: Request): Promise<void> {
  const { userId } = mine(req);
  await done((end) => req.session.regenerate(end));
  Object.assign(req.session, { userId });
}

/** An app with requests that stay: `/keep` is one that a socket or an event stream would have opened. */
function keeping(kept: Request[]) {
  return (app: Express) => {
    app.get('/keep', (req, res) => {
      kept.push(req);
      res.end();
    });
    app.post('/regenerate', async (req, res) => {
      await regenerate(req);
      res.end();
    });
    app.post('/regenerate-save-reload', async (req, res) => {
      await regenerate(req);
      await done((end) => req.session.save(end));
      res.end(await reload(req));
    });
  };
}

async function expressShop(how = {}) {
  const time = { now: Date.now() };
  const kept: Request[] = [];
  const prefix = testPrefix();
  const shop = await openShop(prefix, { bouncer: { clock: () => time.now, ...how }, routes: keeping(kept) });
  return { shop, time, kept, prefix };
}

async function stockShop() {
  const time = { now: Date.now() };
  const kept: Request[] = [];
  const bouncer = { clock: () => time.now };
  const shop = await openStockShop('connect-redis 8', testPrefix(), { bouncer, routes: keeping(kept) });
  return { shop, time, kept };
}

async function loggedIn(browser: Browser): Promise<string> {
  let lid = '';
  await until(async () => {
    const answer = (await browser.login('alice')).json();
    lid = String(answer.lid);
    return answer.saved === true;
  });
  return lid;
}

/** The browser has gone on to a new id, and used it so long ago that the old one is an alarm. */
async function movedOn(browser: Browser, time: { now: number }): Promise<void> {
  await browser.post('/regenerate');
  expect(await browser.user()).toBe('alice');
  // The first use is noted behind the answer.
  expect(await browser.user()).toBe('alice');
  time.now += 31_000;
}

describe('a request that is still open when the session moves on', () => {
  test.each([
    ['our store', expressShop],
    ['a stock store', stockShop],
  ])('reloads the session, in express over %s, and nobody is logged out', async (_name, open) => {
    const { shop, time, kept } = await open();
    const browser = shop.browser();
    await loggedIn(browser);
    await browser.get('/keep');
    await movedOn(browser, time);
    const [req] = kept as [Request];
    expect(await reload(req)).toBe('ok');
    expect(mine(req).userId).toBe('alice');
    expect(await browser.user()).toBe('alice');
    expect(shop.log.text()).not.toContain('session_reused');
  });

  test('in fastify', async () => {
    const time = { now: Date.now() };
    const waiting: (() => void)[] = [];
    const shop = await openFastifyShop({
      bouncer: { clock: () => time.now },
      routes(app) {
        app.post('/regenerate', async (request) => request.session.regenerate(['userId']));
        app.post('/held', async (request) => {
          await new Promise<void>((go) => waiting.push(go));
          await request.session.reload();
          return { user: mineIn(request).userId ?? null };
        });
      },
    });
    const browser = shop.browser();
    await loggedIn(browser);
    const slow = shop.browser();
    for (const one of await browser.jar.getCookies(shop.url)) await slow.jar.setCookie(one.toString(), shop.url);
    const held = slow.post('/held');
    await until(() => waiting.length === 1);
    await movedOn(browser, time);
    for (const go of waiting) go();
    expect((await held).json()).toEqual({ user: 'alice' });
    expect(await browser.user()).toBe('alice');
    expect(shop.log.text()).not.toContain('session_reused');
  });

  test('what it saves then reaches the session, and the old id in a cookie is an alarm all the same', async () => {
    const { shop, time, kept } = await expressShop();
    const browser = shop.browser();
    await loggedIn(browser);
    const old = await browser.jar.getCookieString(shop.url);
    await browser.get('/keep');
    await movedOn(browser, time);
    const [req] = kept as [Request];
    await reload(req);
    mine(req).visits = 7;
    expect(await done((end) => req.session.save(end))).toBe('ok');
    expect((await browser.get('/me')).json()).toEqual({ user: 'alice', visits: 7 });
    const thief = await fetch(`${shop.url}/me`, { headers: { cookie: old, accept: 'application/json' } });
    expect(thief.status).toBe(401);
    expect(await thief.json()).toMatchObject({ code: 'session_ended' });
    expect((await browser.get('/me', { accept: 'application/json' })).status).toBe(401);
  });
});

describe('a new id that its browser does not have yet', () => {
  test('is not used by a reload in the request that made it, in express', async () => {
    const { shop, time } = await expressShop();
    const browser = shop.browser();
    await loggedIn(browser);
    const cookie = await browser.jar.getCookieString(shop.url);
    const answer = await fetch(`${shop.url}/regenerate-save-reload`, { method: 'POST', headers: { cookie } });
    expect(await answer.text()).toBe('ok'); // and is lost
    time.now += 600_000;
    expect(await browser.user()).toBe('alice');
  });

  test('nor in fastify', async () => {
    const time = { now: Date.now() };
    const shop = await openFastifyShop({
      bouncer: { clock: () => time.now },
      routes(app) {
        app.post('/regenerate-save-reload', async (request) => {
          await request.session.regenerate(['userId']);
          await request.session.save();
          await request.session.reload();
          return { user: mineIn(request).userId };
        });
      },
    });
    const browser = shop.browser();
    await loggedIn(browser);
    const cookie = await browser.jar.getCookieString(shop.url);
    const answer = await fetch(`${shop.url}/regenerate-save-reload`, { method: 'POST', headers: { cookie } });
    expect(await answer.json()).toEqual({ user: 'alice' });
    time.now += 600_000;
    expect(await browser.user()).toBe('alice');
  });
});

describe('reload of a session that has ended', () => {
  const revoke = async (prefix: string, browser: Browser, lid: string) => {
    const { sessionHandle } = await import('../../src/web/handle.ts');
    const { redisSessions } = await import('../../src/redis/ender.ts');
    const handle = sessionHandle(await browser.sessionId());
    const one = { lid, handle, reason: 'country_changed', caseId: 'AAAA-AAAA-AAAA', atMs: Date.now() } as const;
    const [result] = await redisSessions(connect(), keysFor(prefix), 86_400_000).revoke([one]);
    expect(result).toMatchObject({ outcome: 'revoked' });
  };

  test('is an error, in express', async () => {
    const { shop, kept, prefix } = await expressShop();
    const browser = shop.browser();
    const lid = await loggedIn(browser);
    await browser.get('/keep');
    await revoke(prefix, browser, lid);
    expect(await reload(kept[0] as Request)).toContain('failed to load session');
  });

  test('over a stock store', async () => {
    const kept: Request[] = [];
    const prefix = testPrefix();
    const shop = await openStockShop('connect-redis 10', prefix, { routes: keeping(kept) });
    const browser = shop.browser();
    const lid = await loggedIn(browser);
    await browser.get('/keep');
    await revoke(prefix, browser, lid);
    expect(await reload(kept[0] as Request)).toContain('failed to load session');
  });

  test('in fastify', async () => {
    const prefix = testPrefix();
    const waiting: (() => void)[] = [];
    const shop = await openFastifyShop({
      bouncer: { prefix },
      routes(app) {
        app.post('/held', async (request) => {
          await new Promise<void>((go) => waiting.push(go));
          const failed = await request.session.reload().then(
            () => 'reloaded',
            (error: { code?: string }) => error.code,
          );
          return { failed };
        });
      },
    });
    const browser = shop.browser();
    await loggedIn(browser);
    const held = browser.post('/held');
    await until(() => waiting.length === 1);
    await shop.bouncer.sessions.endAll('alice', { by: 'ann', why: 'test' });
    for (const go of waiting) go();
    expect((await held).json()).toEqual({ failed: 'session_ended' });
  });
});

describe('a look at a session', () => {
  const ask = (store: session.Store, id: string) =>
    new Promise<session.SessionData | null | undefined>((resolve) => store.get(id, (_error, data) => resolve(data)));

  test('by store.get neither rotates nor alarms, and what is set then is kept', async () => {
    const { shop, time, kept } = await expressShop(EVERY);
    const browser = shop.browser();
    await loggedIn(browser);
    await browser.get('/keep');
    expect(await browser.user()).toBe('alice');
    const store = (kept[0] as Request).sessionStore;
    const id = await browser.sessionId();
    time.now += 31_000;
    await ask(store, id);
    const data = await ask(store, id);
    await done((end) => store.set(id, Object.assign(data as object, { visits: 5 }) as never, end));
    expect((await browser.get('/me')).json()).toEqual({ user: 'alice', visits: 5 });
    expect(await browser.sessionId()).not.toBe(id); // the browser's own request did rotate
    expect(await browser.user()).toBe('alice');
    expect(await browser.user()).toBe('alice');
    time.now += 31_000;
    expect(await ask(store, id)).toMatchObject({ userId: 'alice' });
    expect(await browser.user()).toBe('alice');
  });

  test('by judge gives no new id, as its caller would not hear of it', async () => {
    const { shop, time, prefix } = await expressShop(EVERY);
    const browser = shop.browser();
    await loggedIn(browser);
    const sessionId = await browser.sessionId();
    time.now += 31_000;
    for (let i = 0; i < 3; i++) {
      const verdict = await shop.bouncer.judge({ sessionId, method: 'GET', target: '/', headers: {} });
      expect(verdict).toMatchObject({ action: 'pass', data: { userId: 'alice' } });
    }
    expect(await connect().keys(`${prefix}:session:*`)).toHaveLength(1);
  });
});

test('a socket is given no new id: its browser would not hear of it', async () => {
  const time = { now: Date.now() };
  const log = captureLog();
  const prefix = testPrefix();
  const bouncer = createBouncer({ redis: testRedisUrl(), prefix, log, clock: () => time.now, ...PATIENCE, ...EVERY });
  const app = express();
  const withSession = session({
    store: bouncer.store(session),
    secret: SECRET,
    resave: false,
    saveUninitialized: false,
  });
  app.use(withSession);
  app.use(bouncer.gate());
  app.post('/login', async (req, res) => {
    res.json(await bouncer.login(req, { userId: 'alice', data: { userId: 'alice' } }));
  });
  const server = createServer(app);
  const sockets = new WebSocketServer({ noServer: true });
  const opened: Request[] = [];
  server.on('upgrade', (incoming, tcp, head) => {
    const req = incoming as Request;
    withSession(req, {} as never, () => sockets.handleUpgrade(req, tcp, head, () => opened.push(req)));
  });
  const { url, close } = await listening(server);
  release(async () => {
    await close();
    await bouncer.close();
  });
  const login = await fetch(`${url}/login`, { method: 'POST' });
  const cookie = login.headers.getSetCookie()[0]?.split(';')[0] ?? '';
  time.now += 31_000;
  const socket = new WebSocket(url.replace('http', 'ws'), { headers: { cookie } });
  await until(() => opened.length === 1);
  expect(await reload(opened[0] as Request)).toBe('ok');
  expect(mine(opened[0] as Request).userId).toBe('alice');
  expect(await connect().keys(`${prefix}:session:*`)).toHaveLength(1);
  socket.terminate();
});

async function tokenShop(how = {}) {
  const time = { now: Date.now() };
  const log = captureLog();
  const options = { redis: testRedisUrl(), prefix: testPrefix(), log, clock: () => time.now, ...PATIENCE, ...how };
  const bouncer = createBouncer(options);
  const app = new Koa();
  app.keys = [SECRET];
  const externalKey = {
    get: (ctx: Context) => ctx.get('x-token'),
    set: (ctx: Context, value: string) => ctx.set('x-token', value),
  };
  app.use(bouncer.koa(koaSession as never, { externalKey: externalKey as never }, app) as never);
  const waiting: (() => void)[] = [];
  app.use(async (ctx) => {
    const own = ctx.session as Mine & { regenerate(): Promise<void> };
    if (ctx.path === '/login') {
      ctx.body = await bouncer.login(ctx, { userId: 'alice', data: { userId: 'alice' } });
      return;
    }
    if (ctx.path === '/regenerate') await own.regenerate();
    if (ctx.path === '/slow') {
      own.visits = 1;
      await new Promise<void>((go) => waiting.push(go));
    }
    ctx.body = { user: own.userId ?? null };
  });
  const { url, close } = await listening(createServer(app.callback()));
  release(async () => {
    await close();
    await bouncer.close();
  });
  const send = async (path: string, token = '') => {
    const answer = await fetch(url + path, { method: 'POST', headers: { 'x-token': token } });
    const { user } = (await answer.json()) as { user?: unknown };
    return { user, token: answer.headers.get('x-token'), cookies: answer.headers.getSetCookie() };
  };
  return { time, log, send, waiting };
}

describe('koa-session with an externalKey', () => {
  test('hears of its new ids there, and no cookie is set', async () => {
    const { time, send } = await tokenShop(EVERY);
    let token = (await send('/login')).token ?? '';
    const tokens = new Set([token]);
    for (let i = 0; i < 4; i++) {
      time.now += 31_000;
      const answer = await send('/me', token);
      expect(answer).toMatchObject({ user: 'alice', cookies: [] });
      token = answer.token ?? token;
      tokens.add(token);
    }
    expect(tokens.size).toBe(3);
  });

  test('is not thrown back to its old id by a slow answer', async () => {
    const { time, log, send, waiting } = await tokenShop();
    const old = (await send('/login')).token ?? '';
    const slow = send('/slow', old);
    await until(() => waiting.length === 1);
    const next = (await send('/regenerate', old)).token ?? '';
    expect(next).not.toBe(old);
    expect((await send('/me', next)).user).toBe('alice');
    for (const go of waiting) go();
    const token = (await slow).token ?? next;
    time.now += 31_000;
    expect((await send('/me', token)).user).toBe('alice');
    expect(log.text()).not.toContain('session_reused');
  });
});
