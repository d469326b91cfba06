import { describe, expect, test } from '@jest/globals';
import { createBouncer } from '../../src/index.ts';
import { redisAudit } from '../../src/redis/audit.ts';
import { keysFor, userTag } from '../../src/redis/keys.ts';
import { loginId, randomToken, sessionHandle } from '../../src/web/handle.ts';
import { WebTier } from '../support/admin.ts';
import { captureLog, connect, privateRedis, release, testPrefix, testRedisUrl, until } from '../support/index.ts';
import { openShop } from '../support/shop.ts';
import { openWorker } from '../support/worker.ts';

const BY = { by: 'ann', why: 'lost telephone' };

describe('bouncer.sessions', () => {
  test('in an app: listed with its country, ended from outside, plain anonymous and not the gotcha page', async () => {
    const prefix = testPrefix();
    const shop = await openShop(prefix);
    await openWorker(prefix);
    const [telephone, laptop] = [shop.browser(), shop.browser()];
    await until(async () => (await telephone.login('alice')).json().saved);
    const { lid } = (await laptop.login('alice')).json();
    const { sessions, audit } = shop.bouncer;
    const list = await until(async () => {
      const found = await sessions.list('alice');
      return found.length === 2 && found.every(({ countries, address }) => countries[0] === 'GB' && address) && found;
    });
    expect(list[0]).toMatchObject({ userId: 'alice', address: '81.2.69.142', userAgent: 'TestBrowser/1.0' });
    expect(await sessions.end(list[0]?.handle ?? '', BY)).toBe('ended');
    const page = await telephone.get('/me');
    expect([page.status, page.json().user]).toEqual([200, null]);
    expect(await laptop.user()).toBe('alice');
    expect((await sessions.list('alice')).map((one) => one.lid)).toEqual([lid]);
    expect(await audit.list(10)).toMatchObject([
      { what: 'end', ...BY, userId: 'alice', lid: list[0]?.lid, outcome: 'ended' },
    ]);
    for (const bad of [undefined, 0, -1, Number.NaN])
      await expect(audit.list(bad as number)).rejects.toMatchObject({ code: 'option_invalid' });
    await telephone.login('alice');
    expect(await sessions.endOthers('alice', String(lid), BY)).toMatchObject({ failed: 0 });
    expect([await telephone.user(), await laptop.user()]).toEqual([null, 'alice']);
    expect(await sessions.endAll('alice', BY)).toMatchObject({ failed: 0 });
    expect(await laptop.user()).toBe(null);
    await laptop.login('alice');
    expect(await laptop.user()).toBe('alice');
  });

  test('unknown, malformed, foreign and repeated: never success', async () => {
    const web = new WebTier();
    const { id, lid } = await web.login('alice');
    for (const bad of ['', 'x', '../../etc', 'h'.repeat(43), '*'.repeat(38), 'a'.repeat(100)]) {
      expect(await web.admin.end(bad, BY)).toBe('unknown');
      expect(await web.admin.isLive(bad)).toBe(false);
    }
    for (const one of [lid, loginId('alice'), 'an-own-login-id-0001']) {
      expect(await web.admin.end(one, { ...BY, ofUser: 'mallory' })).toBe('unknown');
    }
    expect(await web.admin.isLive(loginId('alice'))).toBe(false);
    expect(await web.admin.isLive(sessionHandle(id))).toBe(true);
    expect(await web.admin.end(lid, { ...BY, ofUser: 'alice' })).toBe('ended');
    expect(await web.admin.end(lid, BY)).toBe('already_ended');
    expect(await web.admin.end(sessionHandle(id), BY)).toBe('already_ended');
    expect([await web.admin.isLive(lid), await web.lives(id)]).toEqual([false, false]);
    await expect(web.admin.end(lid, { by: ' ', why: 'x' })).rejects.toMatchObject({ code: 'option_invalid' });
    await expect(web.admin.end(lid, undefined as never)).rejects.toMatchObject({ code: 'option_invalid' });
    await expect(web.admin.endAll('', BY)).rejects.toMatchObject({ code: 'option_invalid' });
    await expect(web.admin.endOthers('alice', 'nonsense', BY)).rejects.toMatchObject({ code: 'option_invalid' });
  });

  test('the session id itself, by mistake: that session ends, and the id stands nowhere', async () => {
    const redis = connect((await privateRedis()).url);
    const web = new WebTier(testPrefix(), redis);
    const { id, lid } = await web.login('alice');
    expect(await web.admin.isLive(id)).toBe(true);
    expect(await web.admin.end(id, { ...BY, ofUser: 'mallory' })).toBe('unknown');
    expect(await web.admin.end(id, BY)).toBe('ended');
    expect([await web.lives(id), await web.admin.isLive(lid)]).toEqual([false, false]);
    expect(await web.admin.end(id, BY)).toBe('already_ended');
    expect((await redis.keys('*')).filter((key) => key.includes(id))).toEqual([]);
    const entries = await redisAudit(redis, web.keys).list(10);
    expect(entries.map((entry) => entry.lid)).toEqual([lid, lid]);
    expect(JSON.stringify(entries)).not.toContain(id);
  });

  test('one act of a user with many logins is one entry of the audit, and of such acts a hundred a day are kept', async () => {
    const prefix = testPrefix();
    const shop = await openShop(prefix);
    const { sessions, audit } = shop.bouncer;
    const web = new WebTier(prefix);
    const own = { by: 'mallory', why: 'I asked' };
    const login = () => web.login('mallory');
    for (let i = 0; i < 30; i++) await login();
    expect(await sessions.endAll('mallory', own)).toEqual({ ended: 30, failed: 0 });
    const [act, ...others] = await audit.list(200);
    expect(act).toMatchObject({ what: 'end_all', ...own, lid: null, outcome: 'ended (30 of 30 logins)' });
    expect(others).toEqual([]);
    await login();
    for (let i = 0; i < 120; i++) await sessions.endOthers('nobody', loginId('nobody'), { ...own, by: 'nobody' });
    await sessions.endOthers('nobody', loginId('nobody'), BY);
    const entries = await audit.list(500);
    expect(entries.filter(({ by }) => by === 'nobody')).toHaveLength(100);
    expect(entries[0]).toMatchObject({ userId: 'nobody', ...BY });
  });

  test('what was in a session that a person ended is not kept: nothing takes that back', async () => {
    const web = new WebTier();
    const { id, lid } = await web.login('alice');
    expect(await web.redis.get(web.keys.session(sessionHandle(id)))).toContain('"k":"live"');
    expect(await web.admin.end(lid, BY)).toBe('ended');
    const tombstone = await web.redis.get(web.keys.session(sessionHandle(id)));
    expect(tombstone).toContain('"k":"revoked"');
    expect(tombstone).not.toContain('"kept"');
  });

  describe('a login whose session the app keeps itself', () => {
    async function stateless(list: boolean) {
      const bouncer = createBouncer({ redis: testRedisUrl(), prefix: testPrefix(), log: captureLog() });
      release(() => bouncer.close());
      const report = async (lid?: string) => {
        const loginAtMs = Date.now();
        const told = { userId: 'bob', sessionId: randomToken(), address: null, loginAtMs, lid, list };
        return { lid: (await bouncer.reportLogin(told)).lid, loginAtMs };
      };
      const lives = async (login: { lid: string; loginAtMs?: number }) => {
        const verdict = await bouncer.judge({ ...login, method: 'GET', target: '/', headers: {} });
        return verdict.action === 'pass' && verdict.lid === login.lid;
      };
      return { ...bouncer, report, lives };
    }

    test.each([false, true])('ends by its id, listed %s: once', async (list) => {
      const { report, lives, sessions, audit } = await stateless(list);
      const [one, other] = [await report(), await report()];
      expect([await lives(one), await lives({ lid: one.lid })]).toEqual([true, true]);
      expect(await sessions.end(one.lid, { ...BY, ofUser: 'alice' })).toBe('unknown');
      expect(await lives(one)).toBe(true);
      expect(await sessions.end(one.lid, { ...BY, ofUser: 'bob' })).toBe('ended');
      expect([await lives(one), await lives({ lid: one.lid }), await lives(other)]).toEqual([false, false, true]);
      expect(await sessions.end(one.lid, BY)).toBe('already_ended');
      expect(await sessions.end(other.lid, BY)).toBe('ended');
      const acts = (await audit.list(9)).map(({ lid, outcome }) => [lid, outcome]);
      expect(acts).toEqual([
        [other.lid, 'ended'],
        [one.lid, 'already_ended'],
        [one.lid, 'ended'],
      ]);
    });

    test("made up with its user's own letters: the mark, and nothing else in Redis", async () => {
      const prefix = testPrefix();
      const bouncer = createBouncer({ redis: testRedisUrl(), prefix, log: captureLog() });
      release(() => bouncer.close());
      const redis = connect();
      const keys = keysFor(prefix);
      const keysNow = async () => {
        const found: string[] = [];
        for await (const page of redis.scanStream({ match: `*${prefix}*`, count: 1000 }))
          found.push(...(page as string[]));
        return new Set(found);
      };
      const lid = userTag('mallory') + 'x'.repeat(22);
      await until(() => bouncer.sessions.end(lid, { ...BY, ofUser: 'alice' }).then((outcome) => outcome === 'unknown'));
      await bouncer.audit.list(1);
      const before = await keysNow();
      expect(await bouncer.sessions.end(lid, { ...BY, by: 'mallory', ofUser: 'mallory' })).toBe('ended');
      const added = [...(await keysNow())].filter((key) => !before.has(key) && !key.includes('audit'));
      expect(added).toEqual([keys.loginEnd(lid)]);
      // A person's word is re-checked as ever.
      const other = userTag('mallory') + 'y'.repeat(22);
      expect(await bouncer.sessions.end(other, BY)).toBe('ended');
      expect([...(await keysNow())].filter((key) => key.includes(other) && key.includes('rechecks'))).toHaveLength(3);
    });

    test("with an id of a session in our store, though its user's list has lost it: that ends too", async () => {
      const web = new WebTier();
      const { id, lid } = await web.login('alice');
      const tag = userTag('alice');
      await web.redis.unlink(web.keys.userEntries(tag), web.keys.userLogins(tag));
      expect(await web.admin.end(lid, { ...BY, ofUser: 'alice' })).toBe('ended');
      expect(await web.redis.get(web.keys.session(sessionHandle(id)))).toContain('"k":"revoked"');
    });

    test('an id of the app: by itself, not as a user', async () => {
      const { report, lives, sessions } = await stateless(false);
      const own = await report('an-own-login-id-0001');
      expect(await sessions.end(own.lid, { ...BY, ofUser: 'bob' })).toBe('unknown');
      expect(await sessions.end(own.lid, BY)).toBe('ended');
      expect(await lives(own)).toBe(false);
    });

    test.each([false, true])('ends with all of its user, listed %s, and a later one does not', async (list) => {
      const { report, lives, sessions } = await stateless(list);
      const before = await report();
      expect(await sessions.endAll('bob', BY)).toEqual({ ended: list ? 1 : 0, failed: 0 });
      const later = await report();
      expect([await lives(before), await lives(later)]).toEqual([false, true]);
      // What is no time counts as long ago; whoever gives none is asked about by the login alone.
      expect([await lives({ ...later, loginAtMs: Number.NaN }), await lives({ lid: later.lid })]).toEqual([
        false,
        true,
      ]);
      expect(await sessions.end(before.lid, BY)).toBe(list ? 'already_ended' : 'ended');
    });
  });

  test('if the registry cannot be written the login goes on, counted', async () => {
    const prefix = testPrefix();
    const shop = await openShop(prefix, { bouncer: { enqueueTimeoutMs: 10_000 } });
    const web = new WebTier(prefix, connect());
    // The registry's own hash is of another type: each write to it fails.
    const { userTag } = await import('../../src/redis/keys.ts');
    await web.redis.set(web.keys.userEntries(userTag('alice')), 'something else');
    const result = await shop.bouncer.reportLogin({
      userId: 'alice',
      sessionId: 's'.repeat(32),
      address: null,
      list: true,
    });
    expect(result.status).toBe('queued');
    expect(shop.bouncer.stats().unlisted).toBe(1);
  });
});
