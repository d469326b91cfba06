import { describe, expect, test } from '@jest/globals';
import { startSweeps } from '../../src/queue/sweeps.ts';
import { openWorkerRedis } from '../../src/redis/connection.ts';
import { SWEEP_QUEUE, userTag } from '../../src/redis/keys.ts';
import { redisSweeper } from '../../src/redis/sweeper.ts';
import { sessionHandle } from '../../src/web/handle.ts';
import { commandsDuring, WebTier } from '../support/admin.ts';
import { captureLog, release, testRedisUrl, until } from '../support/index.ts';

const DAY_MS = 86_400_000;

describe('the sweep', () => {
  test('cleans the users who are due, keeps what lives, and never walks the keyspace', async () => {
    const web = new WebTier();
    const sweeper = redisSweeper(web.redis, web.keys, web.registry, DAY_MS);
    const engine = web.engine();
    const users = Array.from({ length: 120 }, (_, i) => `user-${i}`);
    const logins = await Promise.all(users.map((user) => web.login(user, engine)));
    await sweeper.note(users, web.now);
    expect(await sweeper.sweep(web.now + DAY_MS - 1, 1000)).toEqual({ users: 0, removed: 0, more: false });
    await Promise.all(logins.slice(20).map(({ id }) => engine.end(sessionHandle(id))));
    const seen = await commandsDuring(web.redis, web.prefix, async () => {
      expect(await sweeper.sweep(web.now + DAY_MS, 50)).toMatchObject({ users: 50, more: true });
      expect(await sweeper.sweep(web.now + DAY_MS, 1000)).toMatchObject({ users: 70, more: false });
    });
    expect(seen.filter((name) => /scan|keys/.test(name))).toEqual([]);
    // Those who are still logged in are due again a day later; of the others nothing is left.
    expect(await web.redis.zcard(web.keys.sweepUsers())).toBe(20);
    expect(await web.redis.exists(web.keys.userLogins(userTag('user-50')))).toBe(0);
    expect(await web.admin.list('user-3')).toHaveLength(1);
  });

  test("runs by BullMQ's scheduler: one job an interval, however many workers", async () => {
    const web = new WebTier();
    const sweeper = redisSweeper(web.redis, web.keys, web.registry, 0);
    const { id } = await web.login('alice');
    await web.engine().end(sessionHandle(id));
    await sweeper.note(['alice'], web.now);
    const log = captureLog();
    const names = { queue: SWEEP_QUEUE, prefix: web.keys.queuePrefix };
    for (let i = 0; i < 2; i++) {
      const redis = openWorkerRedis(testRedisUrl(), log);
      release(() => redis.disconnect());
      const sweeps = startSweeps(redis, names, { sweeper, everyMs: 200, clock: () => web.now, log });
      release(() => sweeps.close());
    }
    await until(() => log.entries.some(({ fields }) => (fields as { removed?: number }).removed === 1));
    expect(await web.redis.exists(web.keys.userLogins(userTag('alice')))).toBe(0);
    expect(await web.redis.zcard(`${web.keys.queuePrefix}:${SWEEP_QUEUE}:repeat`)).toBe(1);
  });
});
