/** Stock connect-redis, in every version that is in use, over a guarded client. */
import { AsyncResource } from 'node:async_hooks';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { beforeEach, describe, expect, test } from '@jest/globals';
import type { Redis } from 'ioredis';
import { createClient, type RedisClientType } from 'redis';
import { createApp } from '../../examples/stock-store/app.ts';
import { createBouncer } from '../../src/index.ts';
import { keysFor } from '../../src/redis/keys.ts';
import { sessionHandle } from '../../src/web/handle.ts';
import { commandsOn } from '../support/commands.ts';
import { captureLog, connect, privateRedis, release, testPrefix, testRedisUrl, until } from '../support/index.ts';
import { Browser } from '../support/shop.ts';
import { CASE, call, cookieOf, put, revoke, SETTINGS, userWith } from '../support/stock-held.ts';
import { KINDS, openStockShop, type StockOptions } from '../support/stock-shop.ts';

let redis: Redis;

beforeEach(() => {
  redis = connect();
});

async function keysUnder(pattern: string): Promise<string[]> {
  const found: string[] = [];
  for await (const page of redis.scanStream({ match: pattern, count: 1000 })) found.push(...(page as string[]));
  return found;
}

async function contentOf(key: string): Promise<string> {
  const type = await redis.type(key);
  if (type === 'string') return (await redis.get(key)) ?? '';
  if (type === 'hash') return JSON.stringify(await redis.hgetall(key));
  if (type === 'set') return (await redis.smembers(key)).join();
  if (type === 'zset') return (await redis.zrange(key, 0, '-1')).join();
  if (type === 'list') return (await redis.lrange(key, 0, -1)).join();
  return JSON.stringify(await redis.xrange(key, '-', '+'));
}

describe.each(KINDS)('%s', (kind) => {
  test('login, read, change, logout; nothing raw stands in Redis or reaches the client', async () => {
    const prefix = testPrefix();
    const shop = await openStockShop(kind, prefix);
    const browser = shop.browser();
    expect((await browser.login('alice')).json()).toMatchObject({ saved: true, status: 'queued' });
    await browser.post('/change');
    expect((await browser.post('/change')).json()).toEqual({ user: 'alice', visits: 2 });
    const sessionId = await browser.sessionId();
    await browser.post('/regenerate');
    expect((await browser.get('/me')).json()).toEqual({ user: 'alice', visits: 2 });
    const second = await browser.sessionId();
    expect(second).not.toBe(sessionId);
    const cookie = await cookieOf(browser, shop.url);
    await browser.post('/logout');
    expect(await userWith(shop.url, cookie)).toBeNull();
    expect(await keysUnder(`${shop.storePrefix}*`)).toEqual([]);
    for (const id of [sessionId, second]) expect(await keysUnder(`*${id}*`)).toEqual([]);
    const everything = await Promise.all((await keysUnder(`*${prefix}*`)).map(contentOf));
    expect(everything.length).toBeGreaterThan(3);
    for (const id of [sessionId, second]) expect(everything.join()).not.toContain(id);
    // Not a single command of the app's own client: so node-redis gets nothing that it could die of.
    expect(shop.sent).toEqual([]);
  });

  test('the gate: page, API, gotcha page; a fresh login works', async () => {
    const prefix = testPrefix();
    const shop = await openStockShop(kind, prefix);
    const thief = shop.browser();
    const { lid } = (await thief.login('alice')).json();
    const cookie = await cookieOf(thief, shop.url);
    await revoke(redis, prefix, await thief.sessionId(), lid);
    expect((await thief.get('/me', { accept: 'application/json', cookie })).status).toBe(401);
    expect((await thief.get('/me', { cookie })).status).toBe(303);
    expect((await thief.get(`/gotcha?case=${CASE}`)).body).toContain(CASE);
    expect((await thief.login('alice')).json()).toMatchObject({ saved: true });
    expect(await thief.user()).toBe('alice');
    expect(shop.bouncer.stats().bounced).toBe(2);
  });

  test('times to live are those of the store: cookie, ttl option, touch, disableTouch', async () => {
    const now = { ms: Date.now() };
    /** What was set, in seconds: what is left of it, and what may have gone by since. */
    const setBy = async (key: () => Promise<string>, work: () => Promise<unknown>, seconds: number) => {
      const startMs = performance.now();
      await work();
      const leftMs = await redis.pttl(await key());
      const spentMs = performance.now() - startMs;
      const was = leftMs <= 1000 * seconds + 1 && 1000 * seconds <= leftMs + spentMs + 1;
      return was ? seconds : leftMs / 1000;
    };
    const ttlOf = async (options: StockOptions, age: number, [first = 0, then = 0]: readonly number[]) => {
      const prefix = testPrefix();
      const shop = await openStockShop(kind, prefix, { ...options, bouncer: { clock: () => now.ms } });
      const browser = shop.browser();
      const key = async () => keysFor(prefix).session(sessionHandle(await browser.sessionId()));
      const atLogin = await setBy(key, () => browser.login('alice'), first);
      now.ms += age;
      const visited = async () => {
        await redis.pexpire(await key(), 1000 * first - age);
        await browser.get('/me');
      };
      return [atLogin, await setBy(key, visited, then)];
    };
    const lives = async (options: StockOptions, age: number, seconds: readonly number[]) =>
      expect(await ttlOf(options, age, seconds)).toEqual(seconds);
    const session = { cookie: { maxAge: 100_000 } };
    await lives({ session }, 50_000, [100, 100]);
    await lives({ session, store: { disableTouch: true } }, 50_000, [100, 50]);
    await lives({ store: { ttl: 500 } }, 100_000, [500, 500]);
    await lives({}, 0, [86_400, 86_400]);
    // "No expiry" is the longest life that any session has.
    await lives({ store: { disableTTL: true } }, 0, [30 * 86_400, 30 * 86_400]);
  });

  test.each(SETTINGS)('commands per request are not above the unguarded store, %j', async (session) => {
    const [prefix, stockPrefix] = [testPrefix(), testPrefix()];
    const ours = await openStockShop(kind, prefix, { session });
    const stock = await openStockShop(kind, stockPrefix, { session, stock: true });
    const count = async (shop: typeof ours, own: string) => {
      const browser = shop.browser();
      const counts: Record<string, number> = {};
      counts['no cookie'] = (await commandsOf(own, () => browser.get('/me'))).length;
      await browser.login('alice');
      await browser.post('/change'); // scripts are known from here on
      counts.read = (await commandsOf(own, () => browser.get('/me'))).length;
      counts.change = (await commandsOf(own, () => browser.post('/change'))).length;
      counts.regenerate = (await commandsOf(own, () => browser.post('/regenerate'))).length;
      return counts;
    };
    const [here, there] = [await count(ours, prefix), await count(stock, stockPrefix)];
    const above = Object.keys(there).filter((name) => Number(here[name]) > Number(there[name]));
    expect({ above, here, there }).toMatchObject({ above: [] });
    expect(here).toEqual({ 'no cookie': 0, read: session.resave ? 2 : 1, change: 2, regenerate: 2 });
  });

  test('everything that is no session goes to the client as it was', async () => {
    const shop = await openStockShop(kind, testPrefix());
    const client = shop.client as Record<string, (...args: unknown[]) => Promise<unknown>>;
    const key = `${testPrefix()}:other`;
    expect(await client.set?.(key, 'x')).toBe('OK');
    expect(await client.get?.(key)).toBe('x');
    expect(await client.del?.(key)).toBe(1);
    expect(shop.sent).toEqual([
      { name: 'set', args: [key, 'x'] },
      { name: 'get', args: [key] },
      { name: 'del', args: [key] },
    ]);
  });

  test('a store that wants to list its sessions is told that it cannot', async () => {
    const shop = await openStockShop(kind, testPrefix());
    const told = await new Promise((resolve) => void shop.store.ids(resolve));
    expect(told).toMatchObject({ code: 'guard_unsupported' });
  });

  test('Redis away: anonymous, the cookie stays, and afterwards the user is logged in again', async () => {
    const server = await privateRedis({ args: ['--appendonly', 'yes', '--appendfsync', 'always'] });
    const shop = await openStockShop(kind, testPrefix(), {
      url: server.url,
      session: { rolling: true, cookie: { maxAge: 100_000, sameSite: 'strict' } },
      bouncer: { needsUser: ({ path }) => path === '/change' },
    });
    const browser = shop.browser();
    await browser.login('alice');
    const sessionId = await browser.sessionId();
    await server.kill('SIGTERM');
    const away = await browser.get('/me');
    expect([away.status, away.json()]).toEqual([200, { user: null, visits: 0 }]);
    expect(away.setCookie.join()).toContain('SameSite=Strict');
    expect((await browser.post('/change')).status).toBe(503);
    expect(await browser.sessionId()).toBe(sessionId);
    expect((await shop.browser().login('bob')).json()).toMatchObject({ saved: false });
    await server.restart();
    await until(async () => (await browser.user()) === 'alice');
  });

  test('without the context: what lives can be written, nothing is created, and one line says why', async () => {
    const prefix = testPrefix();
    const shop = await openStockShop(kind, prefix);
    const browser = shop.browser();
    const { lid } = (await browser.login('alice')).json();
    const sessionId = await browser.sessionId();
    const get = (id: string) =>
      new Promise<Record<string, unknown> | null | undefined>((resolve, reject) => {
        shop.store.get(id, (error, value) => (error ? reject(error) : resolve(value as never)));
      });
    const set = (id: string, data: object) => call((done) => shop.store.set(id, data as never, done));
    const loaded = await get(sessionId);
    expect(loaded).toMatchObject({ userId: 'alice' });
    await set(sessionId, { ...loaded, visits: 7 });
    expect((await browser.get('/me')).json()).toEqual({ user: 'alice', visits: 7 });
    await set('n'.repeat(32), { cookie: {}, userId: 'mallory' });
    await set('o'.repeat(32), { cookie: {}, userId: 'mallory' });
    expect(await get('n'.repeat(32))).toBeFalsy();
    expect(
      shop.log.entries.filter(({ fields }) => (fields as { code?: string }).code === 'guard_context_missing'),
    ).toHaveLength(1);
    await revoke(redis, prefix, sessionId, lid);
    await set(sessionId, { ...loaded }); // a socket that still holds it
    expect(await get(sessionId)).toBeFalsy();
    expect(await browser.user()).toBe('status 303');
    expect(shop.bouncer.stats().refused).toMatchObject({ 'save:gone': 2, 'save:revoked': 1 });
  });

  test('a response that something outside of the request ends is still its own', async () => {
    const held: { release?: () => void } = {};
    const shop = await openStockShop(kind, testPrefix(), {
      routes: (app) =>
        app.post('/poll', (req, res) => {
          held.release = () => {
            put(req.session, { userId: 'guest' });
            res.json({ ok: true });
          };
        }),
    });
    const browser = shop.browser();
    const poll = browser.post('/poll');
    await until(() => held.release);
    held.release?.();
    await poll;
    expect(await browser.user()).toBe('guest');
  });

  test('a middleware that loses the asynchronous context: the gate and the login find it again', async () => {
    const outside = new AsyncResource('outside');
    const shop = await openStockShop(kind, testPrefix(), {
      between: (app) => app.use((_req, _res, next) => outside.runInAsyncScope(next)),
    });
    const browser = shop.browser();
    expect((await browser.login('alice')).json()).toMatchObject({ saved: true });
    expect((await browser.post('/regenerate')).json()).toEqual({ user: 'alice', visits: 0 });
    expect(await browser.user()).toBe('alice');
    expect(shop.log.text()).not.toContain('guard_');
  });

  test('a store that goes around the guard is told once', async () => {
    const shop = await openStockShop(kind, testPrefix(), { guardPrefix: 'other:' });
    const browser = shop.browser();
    await browser.login('alice');
    await browser.get('/me');
    await browser.get('/me');
    const told = shop.log.entries.filter(({ fields }) => (fields as { event?: string }).event === 'gate_without_store');
    expect(told).toHaveLength(1);
  });

  test('a lost answer: the old id is forwarded to the new one while that was never used', async () => {
    const shop = await openStockShop(kind, testPrefix());
    const browser = shop.browser();
    await browser.login('alice');
    const before = await cookieOf(browser, shop.url);
    const lost = await fetch(`${shop.url}/regenerate`, { method: 'POST', headers: { cookie: before } });
    await lost.text(); // its cookie never reaches the browser
    expect(await browser.user()).toBe('alice');
    expect(await cookieOf(browser, shop.url)).not.toBe(before);
    expect(await browser.user()).toBe('alice');
    expect(await browser.user()).toBe('alice');
  });
});

test("the example: login, logout, and nothing under the store's own prefix", async () => {
  const prefix = testPrefix();
  const bouncer = createBouncer({ redis: testRedisUrl(), prefix, log: captureLog() });
  const client = createClient({ url: testRedisUrl() });
  await client.connect();
  const app = createApp(bouncer, client as RedisClientType, 'not a secret in a test');
  const server = app.listen(0, '127.0.0.1');
  release(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await bouncer.close();
    client.destroy();
  });
  await once(server, 'listening');
  const browser = new Browser(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, '127.0.0.1');
  const user = async () => (await browser.get('/')).json().user;
  await until(async () => (await browser.post('/login?user=alice')).status === 303 && (await user()) === 'alice');
  expect(await keysUnder(`*${await browser.sessionId()}*`)).toEqual([]);
  await browser.post('/logout');
  expect(await user()).toBeNull();
});

/** On keys of this prefix, while `work` runs. */
const commandsOf = (prefix: string, work: () => Promise<unknown>) => commandsOn(redis, `${prefix}:`, work);
