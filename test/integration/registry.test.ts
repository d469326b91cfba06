import { describe, expect, test } from '@jest/globals';
import { tagOf, userTag } from '../../src/redis/keys.ts';
import { ABSENT_GRACE_MS } from '../../src/redis/registry-life.ts';
import { loginId, randomToken, sessionHandle } from '../../src/web/handle.ts';
import { commandsDuring, WebTier } from '../support/admin.ts';
import { until } from '../support/index.ts';

const DAY_MS = 86_400_000;

const sizeOf = (web: WebTier, user: string) => web.redis.zcard(web.keys.userLogins(userTag(user)));

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

  test('1,000 logins, 990 of them expired or dead: shows 10, in two round trips and no scan, and shrinks', async () => {
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
    const ticks: number[] = [];
    const seen = await commandsDuring(web.redis, web.prefix, async () => {
      list = await web.admin.list('alice');
      ticks.push(list.length);
    });
    expect(list.map(({ lid }) => lid).sort()).toEqual(
      logins
        .slice(0, 10)
        .map(({ lid }) => lid)
        .sort(),
    );
    // The index and the entries; then one look at each that has not expired; then one removal.
    const names = new Map<string, number>();
    for (const name of seen) names.set(name, (names.get(name) ?? 0) + 1);
    expect(Object.fromEntries(names)).toMatchObject({ zrangebyscore: 1, hgetall: 1, getrange: 760, scard: 760 });
    expect(seen.some((name) => ['scan', 'keys', 'hscan', 'zscan'].includes(name))).toBe(false);
    await until(async () => (await sizeOf(web, 'alice')) === 10);
    expect(await web.redis.hlen(web.keys.userEntries(userTag('alice')))).toBe(20);
    for (const { id } of logins.slice(0, 10)) expect(await web.lives(id)).toBe(true);
  });

  test('the look at all of them is one round trip', async () => {
    const web = new WebTier();
    const logins = await Promise.all(Array.from({ length: 50 }, () => web.login('alice')));
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
    expect(trips).toBe(2);
  });

  test('a login whose first save is still under way is neither shown nor removed', async () => {
    const web = new WebTier();
    const lid = loginId('alice');
    const id = randomToken();
    await web.report('alice', lid, id);
    expect(await web.admin.list('alice')).toEqual([]);
    expect(await web.registry.prune(userTag('alice'), web.now)).toEqual({ kept: 1, removed: 0 });
    const engine = web.engine();
    await engine.save(engine.fresh(id, lid), { cookie: {} }, null);
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
    // Two tabs: one moves and logs out, the other moves while the sweep stands between its look and its removal.
    const [a, b] = [await engine.move(opened.entry, id, other), await engine.move(tab.entry, id, randomToken())];
    await engine.save(a, { cookie: {} }, null);
    await engine.end(sessionHandle(other));
    const prune = web.redis.evalsha.bind(web.redis);
    const paused = new WebTier(
      web.prefix,
      new Proxy(web.redis, {
        get(target, name) {
          const value = Reflect.get(target, name) as unknown;
          if (name !== 'evalsha' && name !== 'eval') return typeof value === 'function' ? value.bind(target) : value;
          return async (...args: Parameters<typeof prune>) => {
            await engine.save(b, { cookie: {} }, null);
            return (value as typeof prune).apply(target, args);
          };
        },
      }),
    );
    expect(await paused.registry.prune(userTag('alice'), web.now)).toEqual({ kept: 0, removed: 0 });
    expect((await web.admin.list('alice')).map((one) => one.lid)).toEqual([lid]);
  });

  test('two tabs, the newest id logged out: the login is listed by the one that lives', async () => {
    const web = new WebTier();
    const engine = web.engine();
    const { id, lid } = await web.login('alice', engine);
    const [left, right] = [await engine.open(id), await engine.open(id)];
    if (left.kind !== 'live' || right.kind !== 'live') throw new Error('not live');
    const newest = randomToken();
    await engine.save(await engine.move(left.entry, id, randomToken()), { cookie: {} }, null);
    await engine.save(await engine.move(right.entry, id, newest), { cookie: {} }, null);
    await engine.end(sessionHandle(newest));
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
