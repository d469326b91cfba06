/** What is each adapter's own, beside the contract that all of them keep (test/contract). */
import { createServer } from 'node:http';
import cookie from '@fastify/cookie';
import fastifySession from '@fastify/session';
import { describe, expect, test } from '@jest/globals';
import fastify from 'fastify';
import { Hono } from 'hono';
import Koa from 'koa';
import koaSession from 'koa-session';
import { type Bouncer, type BouncerOptions, type CookieSession, createBouncer } from '../../src/index.ts';
import { redisSessions } from '../../src/redis/ender.ts';
import { keysFor } from '../../src/redis/keys.ts';
import { sessionHandle } from '../../src/web/handle.ts';
import { listening } from '../contract/frameworks/express.ts';
import { captureLog, connect, privateRedis, release, testPrefix, testRedisUrl, until } from '../support/index.ts';
import { ADDRESS, Browser } from '../support/shop.ts';

const SECRET = 'a secret of the tests, forty letters long';
const OLD_SECRET = 'the secret of last year, long enough too';
const CASE = 'AAAA-BBBB-CCCC';
const HTML = { accept: 'text/html' };

async function openBouncer(more: Partial<BouncerOptions> = {}): Promise<{ bouncer: Bouncer; prefix: string }> {
  const prefix = testPrefix();
  const base = { redis: testRedisUrl(), prefix, trustProxy: ['loopback'], log: captureLog() };
  const bouncer = createBouncer({ ...base, ...more });
  release(() => bouncer.close());
  const probe = { lid: 'a login of nobody', method: 'GET', target: '/', headers: {} };
  await until(async () => {
    const judged = await bouncer.judge(probe);
    return judged.action === 'pass' && judged.lid !== '';
  });
  return { bouncer, prefix };
}

async function revoke(prefix: string, lid: string, id = 'none'): Promise<void> {
  const worker = redisSessions(connect(), keysFor(prefix), 1_000_000);
  const end = { handle: sessionHandle(id), lid, reason: 'country_changed', caseId: CASE, atMs: Date.now() } as const;
  await worker.revoke([end]);
}

describe('fastify', () => {
  test('as it comes (rolling, every session saved), with bodies, and regenerate() that names its keys', async () => {
    const { bouncer, prefix } = await openBouncer();
    const app = fastify();
    app.register(cookie);
    app.register(bouncer.fastify(fastifySession), { secret: SECRET, cookie: { secure: false } });
    app.post('/login', (request) => bouncer.login(request, { userId: 'alice', data: { userId: 'alice', cart: 1 } }));
    app.post('/renew', async (request) => {
      await request.session.regenerate(['userId'] as never);
      return { ...request.session, cookie: undefined, got: request.body };
    });
    app.get('/me', (request) => ({ user: (request.session as { userId?: string }).userId ?? null }));
    release(() => app.close());
    const browser = new Browser(await app.listen({ port: 0, host: '127.0.0.1' }), ADDRESS.london);
    await browser.get('/me');
    const { lid } = (await browser.login('alice')).json();
    const cookies = await browser.jar.getCookieString(`http://127.0.0.1`);
    expect(cookies).toMatch(/^sessionId=/);
    const response = await fetch(`${app.listeningOrigin}/renew`, {
      method: 'POST',
      headers: { cookie: cookies, 'content-type': 'application/json' },
      body: JSON.stringify({ hello: 'x'.repeat(100_000) }),
    });
    expect(await response.json()).toMatchObject({ userId: 'alice', got: { hello: 'x'.repeat(100_000) } });
    for (const set of response.headers.getSetCookie()) await browser.jar.setCookie(set, app.listeningOrigin);
    expect(await browser.user()).toBe('alice');
    expect(await browser.jar.getCookieString(app.listeningOrigin)).not.toBe(cookies);
    await revoke(prefix, String(lid));
    expect(await browser.user()).toBe('status 303');
  });
});

describe('fastify, a bounce', () => {
  test.each([true, false])(
    "the app's own hooks find a session, which goes nowhere; saveUninitialized %p",
    async (eager) => {
      const { bouncer, prefix } = await openBouncer();
      const app = fastify();
      app.register(cookie);
      const plain = { secret: SECRET, cookie: { secure: false }, saveUninitialized: eager };
      app.register(bouncer.fastify(fastifySession), plain);
      app.addHook('onSend', async (request, reply) => {
        const mine = request.session as { userId?: string; seen?: boolean };
        reply.header('x-user', mine.userId ?? 'nobody').header('set-cookie', 'theme=dark');
        mine.seen = true;
      });
      app.post('/login', (request) => bouncer.login(request, { userId: 'alice', data: { userId: 'alice' } }));
      app.get('/me', async () => ({}));
      release(() => app.close());
      const browser = new Browser(await app.listen({ port: 0, host: '127.0.0.1' }), ADDRESS.london);
      const { lid } = (await browser.login('alice')).json();
      const [session] = await browser.jar.getCookies(app.listeningOrigin);
      const id = decodeURIComponent(session?.value ?? '').split('.')[0] ?? '';
      await revoke(prefix, String(lid), id);
      const script = await browser.get('/me', { accept: 'application/json' });
      expect([script.status, script.json()]).toEqual([
        401,
        { code: 'session_ended', location: `/gotcha?case=${CASE}` },
      ]);
      expect(script.headers.get('x-user')).toBe('nobody');
      const names = script.setCookie.map((line) => line.split(';')[0]);
      expect(names.sort()).toEqual([`sessionId.bouncer-held=${session?.value}`, 'sessionId=', 'theme=dark']);
      const ids = await connect().keys(`${keysFor(prefix).session('')}*`);
      expect(ids).toEqual([keysFor(prefix).session(sessionHandle(id))]);
    },
  );
});

/** An administrator's request, which has a session of its own, deals with another one through the store. */
interface OtherSession {
  readonly url: string;
  readonly prefix: string;
  readonly idIn: (cookie: string) => string;
}

async function dealsWithAnother({ url, prefix, idIn }: OtherSession): Promise<void> {
  const redis = connect();
  const user = new Browser(url, ADDRESS.london);
  const admin = new Browser(url, ADDRESS.london);
  await user.login('alice');
  await admin.login('root');
  const other = idIn(decodeURIComponent(await user.jar.getCookieString(url)));
  const before = await redis.get(keysFor(prefix).session(sessionHandle(other)));
  expect((await admin.post(`/look?id=${other}`)).json()).toEqual({ found: 'alice' });
  expect((await admin.post(`/write?id=${other}`)).json()).toEqual({ me: 'root' });
  expect(await redis.get(keysFor(prefix).session(sessionHandle(other)))).toBe(before);
  expect(await user.user()).toBe('alice');
  expect(await admin.user()).toBe('root');
  await admin.post(`/end?id=${other}`);
  expect(await user.user()).toBe(null);
  expect(await admin.user()).toBe('root');
}

describe("another session than the request's own", () => {
  test('fastify', async () => {
    const { bouncer, prefix } = await openBouncer();
    const app = fastify();
    app.register(cookie);
    app.register(bouncer.fastify(fastifySession), { secret: SECRET, cookie: { secure: false } });
    const idOf = (request: { query: unknown }) => String((request.query as { id: string }).id);
    const mine = (request: { session: object }) => request.session as { userId?: string };
    app.post('/login', (request) => {
      const userId = String((request.query as { user: string }).user);
      return bouncer.login(request, { userId, data: { userId } });
    });
    app.get('/me', (request) => ({ user: mine(request).userId ?? null }));
    app.post('/look', (request, reply) => {
      request.sessionStore.get(idOf(request), (_error, found) =>
        reply.send({ found: (found as { userId?: string }).userId }),
      );
    });
    app.post('/write', (request, reply) => {
      request.sessionStore.set(idOf(request), { ...request.session, evil: true } as never, () =>
        reply.send({ me: mine(request).userId }),
      );
    });
    app.post('/end', (request, reply) => {
      request.session.regenerate(['userId'] as never, () =>
        request.sessionStore.destroy(idOf(request), () => reply.send('')),
      );
    });
    release(() => app.close());
    const url = await app.listen({ port: 0, host: '127.0.0.1' });
    await dealsWithAnother({ url, prefix, idIn: (text) => text.split('=')[1]?.split('.')[0] ?? '' });
    expect(bouncer.stats().refused).toMatchObject({ 'save:foreign': 1 });
  });

  test('koa', async () => {
    const { bouncer, prefix } = await openBouncer();
    const app = new Koa();
    let store: { [name in 'get' | 'set' | 'destroy']: (...args: unknown[]) => Promise<{ userId?: string }> };
    const grab = (options: { store: typeof store }, on: never) => {
      store = options.store;
      return koaSession(options as never, on);
    };
    app.use(bouncer.koa(grab, { key: 'sid', signed: false }, app) as never);
    app.use(async (ctx) => {
      const mine = (ctx as unknown as { session: { userId?: string; regenerate(): Promise<void> } }).session;
      const id = String(ctx.query.id);
      const userId = String(ctx.query.user);
      if (ctx.path === '/login') ctx.body = await bouncer.login(ctx, { userId, data: { userId } });
      else if (ctx.path === '/look') ctx.body = { found: (await store.get(id, 1000, { ctx })).userId };
      else if (ctx.path === '/write') {
        await store.set(id, { evil: true }, 1000, { ctx });
        ctx.body = { me: mine.userId };
      } else if (ctx.path === '/end') {
        await mine.regenerate();
        await store.destroy(id, { ctx });
        ctx.body = '';
      } else ctx.body = { user: mine.userId ?? null };
    });
    const { url, close } = await listening(createServer(app.callback()));
    release(close);
    await dealsWithAnother({ url, prefix, idIn: (text) => text.split('=')[1] ?? '' });
    expect(bouncer.stats().refused).toMatchObject({ 'save:foreign': 1 });
  });
});

describe('koa', () => {
  test('`signed: false`: one cookie, and it is cleared', async () => {
    const { bouncer, prefix } = await openBouncer();
    const app = new Koa();
    app.use(bouncer.koa(koaSession, { key: 'sid', signed: false }, app) as never);
    app.use(async (ctx) => {
      if (ctx.path === '/login') ctx.body = await bouncer.login(ctx, { userId: 'alice', data: { userId: 'alice' } });
      else ctx.body = { user: (ctx as unknown as { session: { userId?: string } }).session.userId ?? null };
    });
    const { url, close } = await listening(createServer(app.callback()));
    release(close);
    const browser = new Browser(url, ADDRESS.london);
    const { lid } = (await browser.post('/login')).json();
    expect(await browser.user()).toBe('alice');
    await revoke(prefix, String(lid));
    const page = await browser.get('/me');
    const named = page.setCookie.map((line) => line.split('=')[0]);
    expect([page.status, named]).toEqual([303, ['sid', 'sid.bouncer-held']]);
    expect(await browser.jar.getCookieString(url)).toMatch(/^sid\.bouncer-held=[^;]+$/);
  });
});

describe('koa, a handler that writes its answer itself', () => {
  test('on a request that is forwarded, or has a held cookie to drop: no error, and the next answer says it', async () => {
    const { bouncer } = await openBouncer();
    const app = new Koa();
    app.keys = [SECRET];
    const errors: unknown[] = [];
    app.on('error', (error) => errors.push(error));
    app.use(bouncer.koa(koaSession, { key: 'sid' }, app) as never);
    app.use(async (ctx) => {
      const session = ctx.session as unknown as { userId?: string; regenerate(): Promise<void> };
      if (ctx.path === '/login') ctx.body = await bouncer.login(ctx, { userId: 'alice', data: { userId: 'alice' } });
      else if (ctx.path === '/renew') ctx.body = await session.regenerate().then(() => ({}));
      else if (ctx.path === '/stream') {
        ctx.respond = false;
        ctx.res.writeHead(200).end(JSON.stringify({ user: session.userId }));
      } else ctx.body = { user: session.userId ?? null };
    });
    const { url, close } = await listening(createServer(app.callback()));
    release(close);
    const browser = new Browser(url, ADDRESS.london);
    await browser.post('/login');
    const lost = { method: 'POST', headers: { cookie: await browser.jar.getCookieString(url) } };
    await (await fetch(`${url}/renew`, lost)).text(); // its cookie never reaches the browser
    const written = await browser.get('/stream');
    expect([written.json(), written.setCookie]).toEqual([{ user: 'alice' }, []]);
    expect((await browser.get('/me')).setCookie.map((line) => line.split('=')[0])).toEqual(['sid', 'sid.sig']);
    await browser.jar.setCookie('sid.bouncer-held=x', url);
    expect((await browser.get('/stream')).setCookie).toEqual([]);
    expect((await browser.get('/me')).setCookie.join()).toContain('sid.bouncer-held=;');
    expect(errors).toEqual([]);
  });
});

describe('hono', () => {
  type Env = { Variables: { session: CookieSession } };

  async function open(secret: string | string[], shared?: { bouncer: Bouncer; prefix: string }) {
    const { bouncer, prefix } = shared ?? (await openBouncer());
    const app = new Hono<Env>();
    app.use(bouncer.hono({ secret, maxAgeSeconds: 3600 }));
    app.post('/login', async (c) => c.json(await bouncer.login(c, { userId: 'alice', data: { userId: 'alice' } })));
    app.get('/me', (c) => c.json(c.get('session').data));
    app.post('/rotate', async (c) => {
      await c.get('session').rotate();
      return c.json(c.get('session').data);
    });
    app.post('/save', async (c) => {
      const session = c.get('session');
      session.data.changed = true;
      await revoke(prefix, String(c.req.query('lid')), session.id);
      return c.json({ saved: await session.save() });
    });
    const ask = (path: string, cookie: string, method = 'GET') =>
      app.request(`https://shop.example${path}`, { method, headers: { cookie, ...HTML } });
    return { bouncer, prefix, ask };
  }

  test('sets a host-only cookie; rotate keeps data and login; a refused save says so', async () => {
    const { ask } = await open(SECRET);
    const login = await ask('/login', '', 'POST');
    const { lid } = (await login.json()) as { lid: string };
    const [set = ''] = login.headers.getSetCookie();
    expect(set).toMatch(/^__Host-sid=[\w-]{32}\.[\w+/]{43}; Path=\/; Max-Age=3600; HttpOnly; Secure; SameSite=Lax$/);
    const first = set.split(';')[0] ?? '';
    const rotated = await ask('/rotate', first, 'POST');
    expect(await rotated.json()).toEqual({ userId: 'alice' });
    const second = rotated.headers.getSetCookie()[0]?.split(';')[0] ?? '';
    expect(second).not.toBe(first);
    expect(await (await ask('/me', second)).json()).toEqual({ userId: 'alice' });
    expect(await (await ask(`/save?lid=${lid}`, second, 'POST')).json()).toEqual({ saved: false });
    const bounced = await ask('/me', second);
    expect([bounced.status, bounced.headers.get('location')]).toEqual([303, `/gotcha?case=${CASE}`]);
    expect(bounced.headers.getSetCookie()[0]).toMatch(/^__Host-sid=; Path=\/; Max-Age=0; Expires=Thu, 01 Jan 1970/);
  });

  test('an old secret is accepted, and a short one is not', async () => {
    const shared = await openBouncer();
    const before = await open(OLD_SECRET, shared);
    const after = await open([SECRET, OLD_SECRET], shared);
    const login = await before.ask('/login', '', 'POST');
    const cookie = login.headers.getSetCookie()[0]?.split(';')[0] ?? '';
    expect(await (await after.ask('/me', cookie)).json()).toEqual({ userId: 'alice' });
    expect(() => shared.bouncer.hono({ secret: 'short' })).toThrow(expect.objectContaining({ code: 'option_invalid' }));
    expect(() => shared.bouncer.hono({ secret: [] })).toThrow(expect.objectContaining({ code: 'option_invalid' }));
  });
});

describe('any other framework', () => {
  const request = (more: object) => ({ method: 'GET', target: '/account?x=1', headers: HTML, ...more });

  test('judge: by the session, by the login, and while Redis is away', async () => {
    const server = await privateRedis();
    const needsUser = ({ path }: { path: string }) => path === '/account';
    const { bouncer, prefix } = await openBouncer({ redis: server.url, redisTimeoutMs: 300, needsUser });
    const app = new Hono<{ Variables: { session: CookieSession } }>();
    app.use(bouncer.hono({ secret: SECRET }));
    let sessionId = '';
    app.post('/login', async (c) => {
      const result = await bouncer.login(c, { userId: 'alice', data: { userId: 'alice' } });
      sessionId = c.get('session').id;
      return c.json(result);
    });
    const login = await app.request('https://shop.example/login', { method: 'POST' });
    const { lid } = (await login.json()) as { lid: string };

    expect(await bouncer.judge(request({ sessionId }))).toEqual({ action: 'pass', lid, data: { userId: 'alice' } });
    expect(await bouncer.judge(request({ lid }))).toEqual({ action: 'pass', lid, data: null });
    expect(await bouncer.judge(request({ sessionId: 'deleted' }))).toEqual({ action: 'pass', lid: '', data: null });
    expect(bouncer.stats().refused).toEqual({ 'id:deleted': 1 });

    const worker = redisSessions(connect(server.url), keysFor(prefix), 1_000_000);
    const handle = sessionHandle(sessionId);
    await worker.revoke([{ handle, lid, reason: 'country_changed', caseId: CASE, atMs: Date.now() }]);
    for (const named of [{ sessionId }, { lid }]) {
      const page = await bouncer.judge(request(named));
      expect(page).toMatchObject({ action: 'answer', status: 303, clearCookie: true });
      expect(page).toMatchObject({ headers: { Location: `/gotcha?case=${CASE}`, 'Cache-Control': 'no-store' } });
      expect(await bouncer.judge(request({ ...named, headers: {} }))).toMatchObject({ action: 'answer', status: 401 });
      expect(await bouncer.judge(request({ ...named, target: '/login' }))).toMatchObject({ action: 'pass', lid: '' });
      // An app without types: no more than whose request it is.
      expect(await bouncer.judge(named as never)).toMatchObject({ action: 'answer', status: 401 });
    }
    for (const nobody of [{}, { sessionId: null }, { lid: null }, { sessionId: null, lid: null }])
      expect(await bouncer.judge(request(nobody) as never)).toEqual({ action: 'pass', lid: '', data: null });

    const other = 'a login that a person ended';
    await worker.revoke([{ handle: 'h', lid: other, reason: 'forced_logout', caseId: CASE, atMs: Date.now() }]);
    expect(await bouncer.judge(request({ lid: other }))).toEqual({ action: 'pass', lid: '', data: null });

    server.pause();
    for (const named of [{ sessionId }, { lid }]) {
      expect(await bouncer.judge(request(named))).toMatchObject({ action: 'answer', status: 503, clearCookie: false });
      expect(await bouncer.judge(request({ ...named, target: '/' }))).toEqual({ action: 'pass', lid: '', data: null });
    }
    server.resume();
  });
});

describe('assertNotRevoked', () => {
  test('without a session of ours, and while Redis is away', async () => {
    const server = await privateRedis();
    const { bouncer } = await openBouncer({ redis: server.url, redisTimeoutMs: 300 });
    await expect(bouncer.assertNotRevoked({})).rejects.toMatchObject({ code: 'session_missing' });
    const app = new Hono<{ Variables: { session: CookieSession } }>();
    app.use(bouncer.hono({ secret: SECRET }));
    const codes: string[] = [];
    const code = (c: object) =>
      bouncer.assertNotRevoked(c).then(
        () => 'fine',
        (error: { code: string }) => error.code,
      );
    app.post('/anonymous', async (c) => {
      codes.push(await code(c));
      return c.body(null);
    });
    app.post('/login', async (c) => {
      await bouncer.login(c, { userId: 'alice' });
      codes.push(await code(c));
      server.pause();
      codes.push(await code(c));
      server.resume();
      return c.body(null);
    });
    await app.request('https://shop.example/anonymous', { method: 'POST' });
    await app.request('https://shop.example/login', { method: 'POST' });
    expect(codes).toEqual(['fine', 'fine', 'session_unavailable']);
  });
});
