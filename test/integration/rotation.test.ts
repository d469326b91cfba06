import { describe, expect, test } from '@jest/globals';
import { redisSessions } from '../../src/redis/ender.ts';
import { guardedSessions } from '../../src/redis/sessions.ts';
import { sessionHandle } from '../../src/web/handle.ts';
import { commandsDuring, WebTier } from '../support/admin.ts';
import { connect, testPrefix } from '../support/index.ts';
import { openShop } from '../support/shop.ts';

const EVERY = { bouncer: { rotate: { everyRequests: 1 } } };

describe('rotation in express', () => {
  test('the id changes, the data and the login stay; XHR included; an unchanged session is stored once', async () => {
    const prefix = testPrefix();
    let now = Date.now();
    const shop = await openShop(prefix, { bouncer: { ...EVERY.bouncer, clock: () => now } });
    const browser = shop.browser();
    await browser.login('alice');
    const ids = [await browser.sessionId()];
    for (let i = 0; i < 4; i++) {
      now += 31_000;
      const page = await browser.get('/me', { 'x-requested-with': 'XMLHttpRequest', accept: 'application/json' });
      expect(page.json().user).toBe('alice');
      ids.push(await browser.sessionId());
    }
    // An id that its holder has only begun to use is not changed: so every second request.
    expect(new Set(ids).size).toBe(3);
    expect((await browser.post('/change')).json()).toEqual({ user: 'alice', visits: 1 });
    expect((await browser.get('/me')).json()).toEqual({ user: 'alice', visits: 1 });
    const [listed] = await shop.bouncer.sessions.list('alice');
    expect(listed?.userId).toBe('alice');
    await shop.bouncer.sessions.endAll('alice', { by: 'ann', why: 'test' });
    expect(await browser.user()).toBe(null);
  });

  test('six parallel calls across a change raise no alarm and stay logged in', async () => {
    const shop = await openShop(testPrefix(), EVERY);
    const browser = shop.browser();
    await browser.login('alice');
    for (let round = 0; round < 5; round++) {
      const users = await Promise.all(Array.from({ length: 6 }, () => browser.user()));
      expect(users).toEqual(Array(6).fill('alice'));
    }
    expect(shop.log.text()).not.toContain('session_reused');
  });

  test('costs no more commands than a stock regenerate (GET, DEL, SET, SET)', async () => {
    const web = new WebTier(testPrefix(), connect());
    let now = Date.now();
    const shop = await openShop(web.prefix, { bouncer: { ...EVERY.bouncer, clock: () => now } });
    const browser = shop.browser();
    await browser.login('alice');
    const ids = [await browser.sessionId()];
    const rotated = await commandsDuring(web.redis, web.prefix, () => browser.user());
    ids.push(await browser.sessionId());
    const firstUse = await commandsDuring(web.redis, web.prefix, () => browser.user());
    now += 31_000;
    const rotatedAndChanged = await commandsDuring(web.redis, web.prefix, () => browser.post('/change'));
    ids.push(await browser.sessionId());
    expect(new Set(ids).size).toBe(3);
    expect(rotated).toEqual(['get', 'evalsha']);
    expect(firstUse).toEqual(['get', 'evalsha']);
    expect(rotatedAndChanged).toEqual(['get', 'evalsha', 'evalsha']);
  });
});

describe('rotation in the engine', () => {
  test('about once in n requests, never an anonymous session, off by default', async () => {
    const web = new WebTier();
    let chance = 0.21;
    const engine = web.engine({ rotateEvery: 5, random: () => chance });
    const { id } = await web.login('alice');
    expect(await engine.open(id)).toMatchObject({ forwardTo: null });
    chance = 0.19;
    const opened = await engine.open(id);
    expect(opened.kind === 'live' && opened.forwardTo).toMatch(/^[\w-]{32}$/);
    const anonymous = engine.fresh('anonymous-session-0123456789');
    await engine.save(anonymous, { cookie: {} }, null);
    expect(await engine.open('anonymous-session-0123456789')).toMatchObject({ kind: 'live', forwardTo: null });
  });

  test('two that rotate at the same time get one new id', async () => {
    const web = new WebTier();
    const engine = web.engine({ rotateEvery: 1 });
    const { id } = await web.login('alice');
    const opened = await Promise.all([engine.open(id), engine.open(id), engine.open(id)]);
    const ids = opened.map((one) => (one.kind === 'live' ? one.forwardTo : one.kind));
    expect(new Set(ids).size).toBe(1);
  });

  test('a login that ended in between is not rotated into life', async () => {
    const web = new WebTier();
    const { id, lid } = await web.login('alice');
    const engine = web.engine({ rotateEvery: 1 });
    const opening = engine.open(id);
    await web.admin.end(lid, { by: 'ann', why: 'test' });
    const opened = await opening;
    const ids = [id, opened.kind === 'live' ? (opened.forwardTo ?? id) : id];
    for (const one of ids) expect(await web.lives(one)).toBe(false);
  });
});

describe('what a rotation leaves behind', () => {
  test.each([
    ['in one step', false],
    ['step by step', true],
  ])(
    "%s: the old id is remembered for as long as it would have lived; after the app's own change to the end",
    async (_name, steps) => {
      const web = new WebTier();
      const own = guardedSessions(web.redis, web.keys);
      const sessions = steps ? { ...own, enter: null } : own;
      const engine = web.engine({ sessions, rotateEvery: 1 });
      const leftOf = (id: string) => web.redis.pttl(web.keys.session(sessionHandle(id)));
      const { id } = await web.login('alice');
      const opened = await engine.open(id);
      expect(opened).toMatchObject({ kind: 'live', forwardTo: expect.stringMatching(/^[\w-]{32}$/) });
      expect(Math.round((await leftOf(id)) / 3_600_000)).toBe(24);
      const { id: another } = await web.login('alice');
      const old = await web.engine({ sessions }).open(another);
      const next = 'n'.repeat(32);
      if (old.kind === 'live') await engine.save(engine.move(old.entry, another, next), old.data, null);
      expect(Math.round((await leftOf(another)) / 3_600_000)).toBe(30 * 24);
    },
  );

  test('a login that has had hundreds of ids ends as a whole, also by one that is forgotten', async () => {
    const web = new WebTier();
    const engine = web.engine({ rotateEvery: 1 });
    const { id: first, lid } = await web.login('alice');
    let id = first;
    const ids = [id];
    while (ids.length < 250) {
      const opened = await engine.open(id);
      if (opened.kind === 'live' && opened.forwardTo !== null) ids.push(opened.forwardTo);
      id = ids.at(-1) ?? id;
      await engine.open(id); // its first use
      web.now += 31_000;
    }
    await web.redis.unlink(web.keys.session(sessionHandle(first)));
    const ender = redisSessions(web.redis, web.keys, 30 * 86_400_000);
    const end = { reason: 'country_changed', caseId: 'AAAA-BBBB-CCCC', atMs: web.now } as const;
    expect(await ender.revoke([{ ...end, lid, handle: sessionHandle(first) }])).toMatchObject([{ outcome: 'revoked' }]);
    const kinds = await Promise.all(ids.map(async (one) => (await engine.open(one)).kind));
    expect(new Set(kinds)).toEqual(new Set(['revoked']));
  });
});
