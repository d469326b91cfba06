import { describe, expect, test } from '@jest/globals';
import { tagOf, userTag } from '../../src/redis/keys.ts';
import { redisRegistry } from '../../src/redis/registry.ts';
import { ABSENT_GRACE_MS } from '../../src/redis/registry-life.ts';
import { guardedSessions } from '../../src/redis/sessions.ts';
import { loginId, randomToken, sessionHandle } from '../../src/web/handle.ts';
import { commandsDuring, WebTier } from '../support/admin.ts';
import { until } from '../support/index.ts';

const DAY_MS = 86_400_000;

const sizeOf = (web: WebTier, user: string) => web.redis.zcard(web.keys.userLogins(userTag(user)));

/** One id by itself, as no logout does: that ends the login with all its ids. */
const goes = (web: WebTier, id: string) =>
  guardedSessions(web.redis, web.keys).destroy(sessionHandle(id), web.now, DAY_MS);

describe('the registry of a user', () => {
  test('a login id leads to its user', () => {
    expect(tagOf(loginId('alice'))).toBe(userTag('alice'));
    expect(tagOf(loginId(42))).toBe(userTag('42'));
    expect(loginId('alice')).toMatch(/^[\w-]{38}$/);
    const own = 'an-id-of-the-app-itself';
    expect(tagOf(own)).toBe(own);
  });

  test('lists what lives, oldest first, with what was reported and where the worker located it', async () => {
    const web = new WebTier();
    const first = await web.login('alice');
    web.now += 1000;
    const second = await web.login('alice');
    await web.login('bob');
    await web.registry.located([
      { userId: 'alice', lid: first.lid, countries: ['GB'] },
      { userId: 'alice', lid: loginId('alice'), countries: ['FR'] },
    ]);
    const list = await web.admin.list('alice');
    expect(list.map(({ lid }) => lid)).toEqual([first.lid, second.lid]);
    expect(list[0]).toEqual({
      lid: first.lid,
      handle: sessionHandle(first.id),
      userId: 'alice',
      loginAtMs: web.now - 1000,
      endsAtMs: web.now - 1000 + 30 * DAY_MS,
      address: '81.2.69.142',
      countries: ['GB'],
      userAgent: 'TestBrowser/1.0',
    });
    expect(await sizeOf(web, 'alice')).toBe(2);
  });

  test('1,000 logins, 990 of them expired or dead: shows 10, in one round trip and no scan, and shrinks', async () => {
    const web = new WebTier();
    const engine = web.engine();
    const logins = await Promise.all(Array.from({ length: 1000 }, () => web.login('alice', engine)));
    const gone = logins.slice(10);
    const key = ({ id }: { id: string }) => web.keys.session(sessionHandle(id));
    await web.redis.unlink(...gone.slice(0, 500).map(key));
    await Promise.all(gone.slice(500, 750).map(({ id }) => engine.end(sessionHandle(id))));
    const past = gone.slice(750).flatMap(({ lid }) => [web.now - 1, lid]);
    await web.redis.zadd(web.keys.userLogins(userTag('alice')), ...past);
    web.now += ABSENT_GRACE_MS;
    let list: Awaited<ReturnType<WebTier['admin']['list']>> = [];
    const seen = await commandsDuring(web.redis, web.prefix, async () => {
      list = await web.admin.list('alice');
    });
    expect(list.map(({ lid }) => lid).sort()).toEqual(
      logins
        .slice(0, 10)
        .map(({ lid }) => lid)
        .sort(),
    );
    // One script that looks; and behind the answer one that removes.
    expect(seen).toEqual(['evalsha', 'evalsha']);
    await until(async () => (await sizeOf(web, 'alice')) === 10);
    expect(await web.redis.hlen(web.keys.userEntries(userTag('alice')))).toBe(20);
    for (const { id } of logins.slice(0, 10)) expect(await web.lives(id)).toBe(true);
  });

  test('index and look are one round trip', async () => {
    const web = new WebTier();
    const logins = await Promise.all(Array.from({ length: 50 }, () => web.login('alice')));
    await web.admin.list('alice'); // a script that the server does not know yet is one round trip more
    let waiting = 0;
    let trips = 0;
    const redis = new Proxy(web.redis, {
      get(target, name) {
        const value = Reflect.get(target, name) as unknown;
        if (typeof value !== 'function') return value;
        return (...args: unknown[]) => {
          const reply = (value as (...args: unknown[]) => unknown).apply(target, args);
          if (!(reply instanceof Promise)) return reply;
          if (waiting++ === 0) trips++;
          return reply.finally(() => waiting--);
        };
      },
    });
    const counted = new WebTier(web.prefix, redis);
    expect(await counted.admin.list('alice')).toHaveLength(logins.length);
    expect(trips).toBe(1);
  });

  test('of more logins than the script may look at, the others are looked at next: the list is the same', async () => {
    const web = new WebTier();
    const engine = web.engine();
    const logins = await Promise.all(Array.from({ length: 30 }, () => web.login('alice', engine)));
    for (const { id } of logins.slice(0, 20)) await engine.end(sessionHandle(id));
    const alive = logins.slice(20).map(({ lid }) => lid);
    for (const maxLooks of [0, 1, 15, 29, 30]) {
      const list = await redisRegistry(web.redis, web.keys, maxLooks).list('alice', web.now);
      expect(list.map(({ lid }) => lid).sort()).toEqual([...alive].sort());
    }
  });

  test('a login under an id of the app itself is listed too, by whichever of its ids lives', async () => {
    const web = new WebTier();
    const engine = web.engine();
    const lid = 'an-id-of-the-app-itself-of-38-letters-';
    const [first, left, right] = [randomToken(), randomToken(), randomToken()];
    await engine.save(engine.fresh(first, lid), { cookie: {}, userId: 'alice' }, null);
    await web.report('alice', lid, first);
    const tabs = [await engine.open(first), await engine.open(first)];
    for (const [i, newId] of [left, right].entries()) {
      const opened = tabs[i];
      if (opened?.kind !== 'live') throw new Error('not live');
      await engine.save(engine.move(opened.entry, first, newId), { cookie: {}, userId: 'alice' }, null);
    }
    // Its index lies with the login id, not with the user: the first id is all that the user's list knows.
    await web.redis.set(web.keys.session(sessionHandle(first)), 'something else');
    web.now += ABSENT_GRACE_MS;
    expect((await web.admin.list('alice')).map((one) => one.lid)).toEqual([lid]);
  });

  test('a login whose first save is still under way is neither shown nor removed', async () => {
    const web = new WebTier();
    const lid = loginId('alice');
    const id = randomToken();
    await web.report('alice', lid, id);
    expect(await web.admin.list('alice')).toEqual([]);
    expect(await web.registry.prune(userTag('alice'), web.now)).toEqual({ kept: 1, removed: 0 });
    const engine = web.engine();
    await engine.save(engine.fresh(id, lid), { cookie: {}, userId: 'alice' }, null);
    expect((await web.admin.list('alice')).map((one) => one.lid)).toEqual([lid]);
  });

  test('a login that gets a new id after it was looked at is not removed', async () => {
    const web = new WebTier();
    const engine = web.engine();
    const { id, lid } = await web.login('alice', engine);
    const other = randomToken();
    const opened = await engine.open(id);
    const tab = await engine.open(id);
    if (opened.kind !== 'live' || tab.kind !== 'live') throw new Error('not live');
    // Two tabs: one moves and its id goes, the other moves while the sweep stands between its look and its removal.
    const [a, b] = [await engine.move(opened.entry, id, other), await engine.move(tab.entry, id, randomToken())];
    await engine.save(a, { cookie: {}, userId: 'alice' }, null);
    await goes(web, other);
    const prune = web.redis.evalsha.bind(web.redis);
    const paused = new WebTier(
      web.prefix,
      new Proxy(web.redis, {
        get(target, name) {
          const value = Reflect.get(target, name) as unknown;
          if (name !== 'evalsha' && name !== 'eval') return typeof value === 'function' ? value.bind(target) : value;
          return async (...args: Parameters<typeof prune>) => {
            if (args[1] === 2) await engine.save(b, { cookie: {}, userId: 'alice' }, null); // its keys: the look has four
            return (value as typeof prune).apply(target, args);
          };
        },
      }),
    );
    expect(await paused.registry.prune(userTag('alice'), web.now)).toEqual({ kept: 0, removed: 0 });
    expect((await web.admin.list('alice')).map((one) => one.lid)).toEqual([lid]);
  });

  test('two tabs, the newest id gone: the login is listed by the one that lives', async () => {
    const web = new WebTier();
    const engine = web.engine();
    const { id, lid } = await web.login('alice', engine);
    const [left, right] = [await engine.open(id), await engine.open(id)];
    if (left.kind !== 'live' || right.kind !== 'live') throw new Error('not live');
    const newest = randomToken();
    await engine.save(await engine.move(left.entry, id, randomToken()), { cookie: {}, userId: 'alice' }, null);
    await engine.save(await engine.move(right.entry, id, newest), { cookie: {}, userId: 'alice' }, null);
    await goes(web, newest);
    expect((await web.admin.list('alice')).map((one) => one.lid)).toEqual([lid]);
    expect(await web.registry.prune(userTag('alice'), web.now)).toEqual({ kept: 1, removed: 0 });
  });

  test('the keys of a user end with the last login', async () => {
    const web = new WebTier();
    await web.login('alice');
    const tag = userTag('alice');
    for (const key of [web.keys.userLogins(tag), web.keys.userEntries(tag)]) {
      expect(await web.redis.pttl(key)).toBeGreaterThan(29 * DAY_MS);
    }
  });
});
