/** Stock connect-redis over a guarded client: whatever a request is doing while the worker ends its session. */
import { beforeEach, describe, expect, test } from '@jest/globals';
import type { Request } from 'express';
import type { Redis } from 'ioredis';
import type { BouncerError } from '../../src/index.ts';
import { keysFor } from '../../src/redis/keys.ts';
import { sessionHandle } from '../../src/web/handle.ts';
import { connect, testPrefix, until } from '../support/index.ts';
import {
  CASE,
  call,
  cookieOf,
  IN_FLIGHT,
  openHeld,
  put,
  revoke,
  SETTINGS,
  userWith,
  type Work,
} from '../support/stock-held.ts';
import { KINDS, openStockShop } from '../support/stock-shop.ts';

let redis: Redis;

beforeEach(() => {
  redis = connect();
});

describe.each(KINDS)('%s', (kind) => {
  describe.each(SETTINGS)('revoked while a request is in flight, %j', (session) => {
    test.each(Object.keys(IN_FLIGHT))('that %s: dead afterwards, under every id', async (name) => {
      const prefix = testPrefix();
      const shop = await openHeld(kind, prefix, IN_FLIGHT[name] as Work, { session });
      const thief = shop.browser();
      const { lid } = (await thief.login('alice')).json();
      const sessionId = await thief.sessionId();
      const before = await cookieOf(thief, shop.url);
      const request = thief.post('/held');
      await until(() => shop.held.release);
      await revoke(redis, prefix, sessionId, lid);
      shop.held.release?.(); // from this test's own asynchronous context, as another request would
      const finished = await request;
      expect([finished.status, finished.json()]).toEqual([200, { ok: true }]);
      expect(await userWith(shop.url, before)).toBe(303);
      expect([null, 303]).toContain(await userWith(shop.url, await cookieOf(thief, shop.url)));
      expect(await userWith(shop.url, before)).toBe(303);
      if (name !== 'reads' || session.resave) expect(Object.keys(shop.bouncer.stats().refused)).not.toEqual([]);
    });
  });

  test.each(Object.keys(IN_FLIGHT))(
    'known by its id only, and revoked while a request is in flight that %s',
    async (name) => {
      const prefix = testPrefix();
      const shop = await openHeld(kind, prefix, IN_FLIGHT[name] as Work);
      const thief = shop.browser();
      const { lid } = (await thief.post('/own-login?user=alice')).json();
      expect(await thief.user()).toBe('alice');
      const sessionId = await thief.sessionId();
      const before = await cookieOf(thief, shop.url);
      const request = thief.post('/held');
      await until(() => shop.held.release);
      await revoke(redis, prefix, sessionId, lid);
      shop.held.release?.();
      expect((await request).status).toBe(200);
      expect(await userWith(shop.url, before)).toBe(303);
      expect([null, 303]).toContain(await userWith(shop.url, await cookieOf(thief, shop.url)));
    },
  );

  test('a handler that looks again before it does something that cannot be undone', async () => {
    const prefix = testPrefix();
    const seen: unknown[] = [];
    const look = async (req: Request) =>
      seen.push(
        await shop.bouncer.assertNotRevoked(req).then(
          () => 'lives',
          (error: BouncerError) => error.code,
        ),
      );
    const shop = await openHeld(kind, prefix, async (req, pause) => {
      await look(req);
      await pause();
      await look(req);
    });
    const thief = shop.browser();
    const { lid } = (await thief.login('alice')).json();
    const request = thief.post('/held');
    await until(() => shop.held.release);
    await revoke(redis, prefix, await thief.sessionId(), lid);
    shop.held.release?.();
    await request;
    expect(seen).toEqual(['lives', 'session_ended']);
  });

  test('the login request itself: a second save after the enqueue does not revive it', async () => {
    const prefix = testPrefix();
    const shop = await openStockShop(kind, prefix, {
      afterLogin: async (req) => {
        const lid = await loginOf(prefix, req.sessionID);
        await revoke(redis, prefix, req.sessionID, lid);
        put(req.session, { late: true });
      },
    });
    const thief = shop.browser();
    expect((await thief.login('alice')).status).toBe(200);
    const page = await thief.get('/me');
    expect([page.status, page.location]).toEqual([303, `/gotcha?case=${CASE}`]);
    expect(page.setCookie.join()).toContain('connect.sid=;');
  });

  test('the same app without us: the thief stays logged in', async () => {
    const shop = await openHeld(kind, testPrefix(), IN_FLIGHT.changes as Work, { stock: true });
    const thief = shop.browser();
    await thief.login('alice');
    const request = thief.post('/held');
    await until(() => shop.held.release);
    expect(await redis.del(shop.storePrefix + (await thief.sessionId()))).toBe(1);
    shop.held.release?.();
    await request;
    expect(await thief.user()).toBe('alice');
  });

  test.each([
    ['a rolling cookie', { rolling: true, cookie: { maxAge: 6_000_000 } }],
    ['a cookie that lives on', { cookie: { maxAge: 6_000_000 } }],
  ])('%s: a late answer gives the old id back, and the browser stays logged in', async (_name, session) => {
    const time = { now: Date.now() };
    const bouncer = { clock: () => time.now };
    const shop = await openHeld(kind, testPrefix(), IN_FLIGHT.changes as Work, { session, bouncer });
    const browser = shop.browser();
    await browser.login('alice');
    const slow = browser.post('/held');
    await until(() => shop.held.release);
    await browser.post('/regenerate');
    expect(await browser.user()).toBe('alice');
    shop.held.release?.();
    await slow;
    for (let i = 0; i < 3; i++) {
      time.now += 31_000;
      expect(await browser.user()).toBe('alice');
    }
    expect(shop.log.text()).not.toContain('session_reused');
  });

  test('between regenerate and the first save the old id is served; a logout then ends it', async () => {
    const regenerate: Work = async (req, pause) => {
      await call((done) => req.session.regenerate(done));
      await pause();
      await call((done) => req.session.destroy(done));
    };
    const shop = await openHeld(kind, testPrefix(), regenerate);
    const browser = shop.browser();
    await browser.login('alice');
    const cookie = await cookieOf(browser, shop.url);
    const running = browser.post('/held');
    await until(() => shop.held.release);
    expect(await userWith(shop.url, cookie)).toBe('alice');
    shop.held.release?.();
    expect((await running).status).toBe(200);
    expect(await userWith(shop.url, cookie)).toBeNull();
  });

  test('a regenerated session that is never saved ends with its request', async () => {
    const drop: Work = async (req) => {
      await call((done) => req.session.regenerate(done));
      (req as { session: unknown }).session = null;
    };
    const shop = await openHeld(kind, testPrefix(), drop);
    const browser = shop.browser();
    await browser.login('alice');
    const cookie = await cookieOf(browser, shop.url);
    await browser.post('/held');
    await until(async () => (await userWith(shop.url, cookie)) === null);
    expect(await userWith(shop.url, cookie)).toBeNull();
  });

  test('express 4', async () => {
    const prefix = testPrefix();
    const shop = await openHeld(kind, prefix, IN_FLIGHT['regenerates after and copies'] as Work, { express4: true });
    const thief = shop.browser();
    const { lid } = (await thief.login('alice')).json();
    const sessionId = await thief.sessionId();
    const request = thief.post('/held');
    await until(() => shop.held.release);
    await revoke(redis, prefix, sessionId, lid);
    shop.held.release?.();
    expect((await request).status).toBe(200);
    expect([null, 'status 303']).toContain(await thief.user());
  });
});

/** The login that a session belongs to, as it stands in Redis. */
async function loginOf(prefix: string, sessionId: string): Promise<string> {
  const value = await redis.get(keysFor(prefix).session(sessionHandle(sessionId)));
  return /"l":"([\w-]*)"/.exec(value ?? '')?.[1] ?? '';
}
