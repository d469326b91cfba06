import { beforeAll, describe, expect, test } from '@jest/globals';
import expressSession, { type SessionData } from 'express-session';
import type { Redis } from 'ioredis';
import { redisSessions } from '../../src/redis/ender.ts';
import { keysFor } from '../../src/redis/keys.ts';
import { connect, privateRedis, testPrefix, until } from '../support/index.ts';
import { sessionTable } from '../support/session-table.ts';
import { openShop } from '../support/shop.ts';

/** A server of its own: SCRIPT FLUSH is among the steps, and other tests count commands. */
describe('on one server', () => {
  let url: string;
  beforeAll(async () => {
    ({ url } = await privateRedis());
  });
  sessionTable(() => connect(url));
});

describe('in an express app', () => {
  const session = { cookie: { maxAge: 100_000 } };

  test('a request in flight when the session is revoked cannot save it back; later ones are bounced', async () => {
    const prefix = testPrefix();
    const open: { release?: () => void } = {};
    const shop = await openShop(prefix, {
      routes: (app) =>
        app.post('/slow', (req, res) => {
          Object.assign(req.session, { changed: Date.now() });
          open.release = () => res.json({ ok: true });
        }),
    });
    const thief = shop.browser();
    const { lid } = (await thief.login('alice')).json();
    const slow = thief.post('/slow');
    await until(() => open.release);
    const handle = (await import('../../src/web/handle.ts')).sessionHandle(await thief.sessionId());
    const sessions = redisSessions(connect(), keysFor(prefix), 1_000_000);
    await sessions.revoke([{ handle, lid: String(lid), reason: 'country_changed', caseId: 'A', atMs: Date.now() }]);
    open.release?.();
    const finished = await slow;
    expect(finished.status).toBe(200); // the response of the request that was past the gate is whole
    expect(finished.json()).toEqual({ ok: true });
    expect(shop.bouncer.stats().refused).toMatchObject({ 'save:revoked': 1 });
    expect((await thief.get('/me')).status).toBe(303);
  });

  test('an unmodified request of an established session costs one GET until part of its life has gone', async () => {
    let clock = Date.now();
    const prefix = testPrefix();
    // Its own server: MONITOR tells of everybody, and of other tests a great deal.
    const { url } = await privateRedis();
    const commandsOf = watch(connect(url));
    const shop = await openShop(prefix, { session, bouncer: { clock: () => clock, redis: url } });
    const browser = shop.browser();
    await browser.login('alice');
    const seen = await commandsOf(prefix, async () => {
      for (let i = 0; i < 5; i++) expect(await browser.user()).toBe('alice');
    });
    expect(seen).toEqual(['get', 'get', 'get', 'get', 'get']);
    clock += 9000; // a tenth of 100 s has not gone
    expect(await commandsOf(prefix, () => browser.user())).toEqual(['get']);
    clock += 2000;
    expect(await commandsOf(prefix, () => browser.user())).toEqual(['get', 'evalsha']);
    expect(await commandsOf(prefix, () => browser.user())).toEqual(['get']);
  });

  test('logout is plain anonymous, not the gotcha page, and a stale save does not bring it back', async () => {
    const shop = await openShop(testPrefix());
    const browser = shop.browser();
    await browser.login('alice');
    const cookie = await browser.jar.getCookieString(shop.url);
    await browser.post('/logout');
    const page = await fetch(`${shop.url}/me`, { headers: { cookie } });
    expect(page.status).toBe(200);
    expect(await page.json()).toMatchObject({ user: null });
  });

  test('a session that the app asked the store for can be changed and saved', async () => {
    const shop = await openShop(testPrefix(), {
      routes: (app) =>
        app.post('/by-store', (req, res) => {
          const id = String(req.query.id);
          req.sessionStore.get(id, (_error, data) => {
            if (!data) return res.json({ found: false });
            Object.assign(data, { visits: 7 });
            req.sessionStore.set(id, data, (error?: unknown) => res.json({ failed: Boolean(error) }));
          });
        }),
    });
    const browser = shop.browser();
    const { lid } = (await browser.login('alice')).json();
    const id = await browser.sessionId();
    expect((await shop.browser().post(`/by-store?id=${id}`)).json()).toEqual({ failed: false });
    expect(shop.bouncer.stats().refused).toEqual({});
    expect((await browser.get('/me')).json()).toEqual({ user: 'alice', visits: 7 });
    expect(await shop.bouncer.sessions.end(String(lid), { by: 'ann', why: 'test' })).toBe('ended');
    expect((await shop.browser().post(`/by-store?id=${id}`)).json()).toEqual({ found: false });
    expect(await browser.user()).toBe(null); // it still belongs to its login, and stays dead
  });

  test('by its old id too, within the grace of a rotation', async () => {
    const prefix = testPrefix();
    const shop = await openShop(prefix);
    const browser = shop.browser();
    await browser.login('alice');
    const id = await browser.sessionId();
    const redis = connect();
    const rotating = await openShop(prefix, { bouncer: { rotate: { everyRequests: 1 } } });
    const other = rotating.browser();
    for (const cookie of await browser.jar.getCookies(shop.url)) await other.jar.setCookie(cookie, rotating.url);
    expect(await other.user()).toBe('alice');
    const store = shop.bouncer.store(expressSession);
    const data = await new Promise<SessionData>((resolve) => store.get(id, (_error, found) => resolve(found as never)));
    expect(data).toMatchObject({ userId: 'alice' });
    await new Promise((resolve) => store.set(id, Object.assign(data, { visits: 3 }), resolve));
    expect((await other.get('/me')).json()).toEqual({ user: 'alice', visits: 3 });
    const values = await Promise.all((await redis.keys(keysFor(prefix).session('*'))).map((key) => redis.get(key)));
    expect(values.join()).not.toContain('forwarded');
  });

  test('login gives a new session id and keeps nothing of the old one (session fixation)', async () => {
    const shop = await openShop(testPrefix());
    const browser = shop.browser();
    await browser.post('/change');
    const before = await browser.sessionId();
    await browser.login('alice');
    expect(before).toHaveLength(32);
    expect(await browser.sessionId()).not.toBe(before);
    expect((await browser.get('/me')).json()).toEqual({ user: 'alice', visits: 0 });
  });
});

/** The commands on session keys of a prefix while `work` runs, by MONITOR (only what clients sent, not scripts). */
function watch(redis: Redis) {
  return async (prefix: string, work: () => Promise<unknown>): Promise<string[]> => {
    const monitor = await redis.monitor();
    const seen: string[] = [];
    const mark = `end-${Math.random()}`;
    const ended = new Promise<void>((resolve) => {
      monitor.on('monitor', (_time: string, args: string[], source: string) => {
        if (args[1] === mark) resolve();
        else if (source !== 'lua' && args.some((arg) => arg.startsWith(`${prefix}:session:`))) seen.push(args[0] ?? '');
      });
    });
    await work();
    await redis.echo(mark);
    await ended;
    monitor.disconnect();
    // A script that the server does not know yet is sent once more with its text: still one write.
    return seen.map((name) => name.toLowerCase()).filter((name) => name !== 'eval');
  };
}
