/** One login of a job that fails by itself: the others are neither failed nor repeated with it. */
import { describe, expect, test } from '@jest/globals';
import { Queue } from 'bullmq';
import type { LoginEvent } from '../../src/domain/types.ts';
import { encodePayload } from '../../src/queue/job.ts';
import { redisCounters } from '../../src/redis/counters.ts';
import { redisIncidents } from '../../src/redis/incidents.ts';
import { keysFor, LOGIN_QUEUE } from '../../src/redis/keys.ts';
import { redisSetAside } from '../../src/redis/set-aside.ts';
import type { WorkerOptions } from '../../src/worker.ts';
import { connect, release, testPrefix, testRedisUrl, until } from '../support/index.ts';
import { ADDRESS } from '../support/shop.ts';
import { openWorker } from '../support/worker.ts';

const USERS = ['alice', 'bob', 'carol'] as const;

function login(userId: string, address: string): LoginEvent {
  const name = `${userId}-${address.replaceAll('.', '_')}`;
  return { lid: name.padEnd(38, '_'), handle: name.padEnd(43, 'h'), userId, address, loginAtMs: Date.now() };
}

/** Everybody has logged in from London; then, in one job, from Lagos, where Bob's session key cannot be written. */
async function world(options: Partial<WorkerOptions>) {
  const prefix = testPrefix();
  const keys = keysFor(prefix);
  const redis = connect();
  const counters = redisCounters(redis, keys);
  const queue = new Queue(LOGIN_QUEUE, { connection: connect(testRedisUrl()), prefix: keys.queuePrefix });
  release(() => queue.close());
  const worker = await openWorker(prefix, options);
  const send = (address: string) => {
    const logins = USERS.map((userId) => login(userId, address));
    return queue.add('logins', encodePayload(logins), { jobId: `from-${address}` });
  };
  await send(ADDRESS.london);
  await until(async () => (await counters.read()).logins === USERS.length);
  const bob = login('bob', ADDRESS.lagos);
  await redis.rpush(keys.session(bob.handle), 'not a session');
  await send(ADDRESS.lagos);
  const incidents = redisIncidents(redis, keys, 1e9);
  const found = async () =>
    (await incidents.list({}, 100)).incidents.map(({ userId, outcome }) => [userId, outcome]).sort();
  const setAside = redisSetAside(redis, keys);
  return { keys, redis, queue, worker, counters, bob, found, setAside };
}

const OTHERS = [
  ['alice', 'not_found'],
  ['carol', 'not_found'],
];

describe('a login that fails alone', () => {
  test('comes back and is done when it can be; the others are done once', async () => {
    const { keys, redis, queue, counters, bob, found, setAside } = await world({ returnDelayMs: 50 });
    await until(async () => (await found()).length === 2);
    expect(await found()).toEqual(OTHERS);
    await redis.del(keys.session(bob.handle));
    await until(async () => (await found()).length === 3);
    expect(await found()).toEqual([OTHERS[0], ['bob', 'not_found'], OTHERS[1]]);
    await until(async () => (await counters.read()).logins === 6);
    await until(async () => (await queue.getJobCountByTypes('waiting', 'active', 'delayed')) === 0);
    expect((await counters.read())['reason:country_changed']).toBe(3);
    expect(await setAside.count()).toBe(0);
    expect(await queue.getJobCountByTypes('failed')).toBe(0);
  });

  test('is set aside after five returns', async () => {
    const { queue, worker, bob, found, setAside } = await world({ returnDelayMs: 1 });
    await until(async () => (await setAside.count()) === 1, { timeoutMs: 15_000 });
    expect(await setAside.list(10)).toEqual([
      expect.objectContaining({ code: 'login_failed', lid: bob.lid, jobId: expect.stringMatching(/-r5$/) }),
    ]);
    expect(await found()).toEqual(OTHERS);
    await until(async () => (await queue.getJobCountByTypes('waiting', 'active', 'delayed')) === 0);
    expect(await queue.getJobCountByTypes('failed')).toBe(0);
    expect(worker.log.text()).toContain('"set_aside"');
  });
});
