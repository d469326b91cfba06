/**
 * A Redis at its `maxmemory` that throws nothing away (`noeviction`) refuses what needs memory. Anybody can fill one from
 * outside, so no end of a session may depend on room in it: neither the worker's, nor a person's, nor the user's own.
 */
import { beforeAll, describe, expect, test } from '@jest/globals';
import type { Redis } from 'ioredis';
import type { Revocation, RevokeResult } from '../../src/ports.ts';
import { redisCounters } from '../../src/redis/counters.ts';
import { redisSessions } from '../../src/redis/ender.ts';
import { redisIncidents } from '../../src/redis/incidents.ts';
import { keysFor } from '../../src/redis/keys.ts';
import { redisPhpSessions } from '../../src/redis/php-sessions.ts';
import { redisUndo } from '../../src/redis/undo.ts';
import { sessionHandle } from '../../src/web/handle.ts';
import { WebTier } from '../support/admin.ts';
import { Hooks, hookUp } from '../support/hooked-redis.ts';
import { connect, privateRedis, testPrefix, until } from '../support/index.ts';
import { ADDRESS, openShop } from '../support/shop.ts';
import { openWorker } from '../support/worker.ts';
import { CASES } from './interleavings/cases.ts';
import { expressWith } from './interleavings/express.ts';
import { fastifyWith } from './interleavings/fastify.ts';
import { type Framework, type Handlers, type Visitor, World } from './interleavings/harness.ts';
import { koaWith } from './interleavings/koa.ts';

async function fill(redis: Redis, isFull = true): Promise<void> {
  await redis.config('SET', 'maxmemory', isFull ? '100kb' : '0');
  const set = redis.set('filler', 'x', 'PX', 1);
  await (isFull ? expect(set).rejects.toThrow(/^OOM /) : set);
}

/** From the revoke on there is no room. */
class FullWorld extends World {
  override async alice(): Promise<Visitor> {
    await fill(this.redis, false);
    return super.alice();
  }

  override async revoke(visitor: Visitor, how: Partial<Revocation> = {}): Promise<RevokeResult> {
    await fill(this.redis);
    return super.revoke(visitor, how);
  }
}

const FRAMEWORKS: readonly Framework[] = [
  expressWith({ resave: true, rolling: true }),
  fastifyWith({ rolling: true }),
  koaWith({ rolling: false }),
];

describe.each(FRAMEWORKS)('$name, full from the revoke on', (framework) => {
  let world: World;

  beforeAll(async () => {
    const { url } = await privateRedis();
    const hooks = new Hooks();
    const prefix = testPrefix();
    const handlers: Handlers = new Map();
    const running = await framework.open(hookUp(connect(url), hooks), prefix, handlers);
    world = new FullWorld(prefix, hooks, connect(url), running, handlers);
    await until(async () => (await world.visitor().login()).saved);
  });

  test.each(CASES.filter(({ number }) => number <= 4))('$number $name', ({ run }) => run(world));
});

describe('a full Redis', () => {
  async function shop() {
    const { url } = await privateRedis();
    const prefix = testPrefix();
    const opened = await openShop(prefix, { bouncer: { redis: url } });
    const redis = connect(url);
    const browsers = [opened.browser(), opened.browser(), opened.browser()] as const;
    for (const browser of browsers) await until(async () => (await browser.login('alice')).json().saved);
    return { ...opened, redis, prefix, url, browsers };
  }
  const why = { by: 'ann', why: 'to see' };

  test('ends a login, the rest of a user, and logs out', async () => {
    const { bouncer, redis, browsers } = await shop();
    const [first, second, third] = browsers;
    await until(async () => (await bouncer.sessions.list('alice')).length === 3);
    const handle = sessionHandle(await first.sessionId());
    const [one] = (await bouncer.sessions.list('alice')).filter((login) => login.handle === handle);
    await fill(redis);
    expect(await bouncer.sessions.end(one?.lid ?? '', why)).toBe('ended');
    expect([await first.user(), await second.user()]).toEqual([null, 'alice']);
    expect((await second.post('/logout')).status).toBe(200);
    expect([await second.user(), await third.user()]).toEqual([null, 'alice']);
    expect(await bouncer.sessions.endAll('alice', why)).toMatchObject({ failed: 0 });
    expect(await third.user()).toBe(null);
  });

  test('keeps its users logged in: a time to live is renewed', async () => {
    const web = new WebTier(testPrefix(), connect((await privateRedis()).url));
    const { id } = await web.login('alice');
    await fill(web.redis);
    const engine = web.engine();
    const opened = await engine.open(id);
    if (opened.kind !== 'live') throw new Error(opened.kind);
    web.now += 80_000_000;
    expect(await engine.touch(opened.entry, null)).toBe(true);
  });

  test('ends what the worker decides on, whose incident is on record when there is room again', async () => {
    const { redis, prefix, url, browser } = await shop();
    let isThief = false;
    const afterEffect = async (effect: string) => {
      if (effect === 'load' && isThief) await fill(redis);
      if (effect === 'revoke') isThief = false;
    };
    await openWorker(prefix, { redis: url, afterEffect, lockDurationSeconds: 1 });
    const keys = keysFor(prefix);
    await until(async () => (await redisCounters(redis, keys).read()).logins === 3);
    isThief = true;
    const mallory = browser(ADDRESS.lagos);
    expect((await mallory.login('alice')).json()).toMatchObject({ saved: true });
    await until(async () => (await mallory.get('/me')).status === 303);
    // Redis had ended it before its worker heard so.
    await until(() => !isThief);
    await fill(redis, false);
    const incidents = redisIncidents(redis, keys, 1e9);
    const [one] = await until(async () => {
      const { incidents: items } = await incidents.list({}, 10);
      return items.length > 0 && items;
    });
    expect(one).toMatchObject({ reason: 'country_changed', outcome: 'revoked' });
  });

  test('changes a PHP session, and deletes one', async () => {
    const redis = connect((await privateRedis()).url);
    await redis.set('sess:one', 'user|s:5:"alice";', 'PX', 60_000);
    await redis.set('sess:two', 'user|s:5:"alice";', 'PX', 60_000);
    const php = redisPhpSessions(redis, { sessionPrefix: 'sess:', locking: false, lockWaitMs: 0 });
    const read = Buffer.from('user|s:5:"alice";');
    await fill(redis);
    expect(await php.replace('one', read, Buffer.from('user|N;'))).toBe(true);
    expect(await php.destroy('two', read)).toBe(true);
    expect([await redis.get('sess:one'), await redis.exists('sess:two')]).toEqual(['user|N;', 0]);
    expect(await redis.pttl('sess:one')).toBeGreaterThan(30_000);
  });

  test('gives back what was ended', async () => {
    const web = new WebTier(testPrefix(), connect((await privateRedis()).url));
    const { id, lid } = await web.login('alice');
    const one = { lid, handle: sessionHandle(id), atMs: web.now };
    await redisSessions(web.redis, web.keys, 1e9).revoke([{ ...one, reason: 'country_changed', caseId: 'CASE' }]);
    expect(await web.lives(id)).toBe(false);
    await fill(web.redis);
    expect(await redisUndo(web.redis, web.keys).lift(one)).toBe('given_back');
    expect(await web.lives(id)).toBe(true);
    expect((await web.registry.all('alice')).map((login) => login.lid)).toEqual([lid]);
  });
});
