import { describe, expect, test } from '@jest/globals';
import { EFFECTS } from '../../src/detect.ts';
import type { LoginEvent } from '../../src/domain/types.ts';
import { loginQueue } from '../../src/queue/login-queue.ts';
import { redisBaselines } from '../../src/redis/baselines.ts';
import { redisCounters } from '../../src/redis/counters.ts';
import { redisHistory } from '../../src/redis/history.ts';
import { redisIncidents } from '../../src/redis/incidents.ts';
import { keysFor, LOGIN_QUEUE } from '../../src/redis/keys.ts';
import { redisSeries } from '../../src/redis/series.ts';
import { guardedSessions } from '../../src/redis/sessions.ts';
import { captureLog, connect, release, spawnNode, testPrefix, testRedisUrl, until } from '../support/index.ts';
import { ADDRESS } from '../support/shop.ts';
import { openWorker } from '../support/worker.ts';

const KILLS = 20;
const AT_ONCE = 4;
const now = Date.now();

function home(userId: string) {
  const place = { countries: ['GB'], agreed: true, firstSeenMs: now - 9e8, lastSeenMs: now - 9e8 };
  return { userId, revision: 0, baseline: { v4: { places: [place], networks: [] }, v6: { places: [], networks: [] } } };
}

function login(kind: string, i: number, address: string): LoginEvent {
  const lid = `${kind}-${i}`.padEnd(22, '_');
  return { lid, handle: lid.padEnd(43, '0'), userId: `${kind}-${i}`, address, loginAtMs: now - 1000 };
}

/** Each job carries a thief's login and an honest one from a network not seen before. */
describe('a worker killed between two effects', () => {
  test.each(EFFECTS)(
    `${KILLS} times after "%s": another one does the job, with the same result`,
    async (effect) => {
      const prefix = testPrefix();
      const keys = keysFor(prefix);
      const redis = connect();
      const baselines = redisBaselines(redis, keys, 1e10, captureLog());
      const sessions = guardedSessions(redis, keys);
      const queue = loginQueue(redis, { queue: LOGIN_QUEUE, prefix: keys.queuePrefix }, captureLog());
      release(() => queue.close());
      const jobs = Array.from({ length: KILLS }, (_, i) => ({
        thief: login('victim', i, ADDRESS.lagos),
        honest: login('honest', i, ADDRESS.londonElsewhere),
      }));
      for (const [i, { thief, honest }] of jobs.entries()) {
        await baselines.save([home(thief.userId), home(honest.userId)]);
        const head = { renewedAtMs: now, endsAtMs: now + 1e9, birth: 'b'.repeat(22), lid: thief.lid, movedFrom: '' };
        await sessions.save(thief.handle, true, head, { cookie: {} }, 1e6);
        await queue.add(`job-${i}`, [thief, honest]);
      }

      let kills = 0;
      const killOne = async () => {
        const child = spawnNode('test/support/killed-worker.js', [testRedisUrl(), prefix, effect]);
        expect((await child.exited).signal).toBe('SIGKILL');
        kills += 1;
      };
      for (let i = 0; i < KILLS; i += AT_ONCE) await Promise.all(Array.from({ length: AT_ONCE }, killOne));
      expect(kills).toBe(KILLS);

      await openWorker(prefix, { lockDurationSeconds: 1, brake: { minLogins: 10_000 } });
      const counters = redisCounters(redis, keys);
      await until(async () => (await redis.zcard(`${keys.queuePrefix}:${LOGIN_QUEUE}:completed`)) === KILLS, {
        timeoutMs: 20_000,
      });
      expect(await redis.zcard(`${keys.queuePrefix}:${LOGIN_QUEUE}:failed`)).toBe(0);

      const incidents = redisIncidents(redis, keys, 1e9);
      const history = redisHistory(redis, keys, 1e9);
      for (const { thief, honest } of jobs) {
        expect(await sessions.load(thief.handle)).toMatchObject({ kind: 'tombstone', tombstone: { kind: 'revoked' } });
        const theirs = (await incidents.list({ userId: thief.userId }, 10)).incidents;
        expect(theirs).toMatchObject([{ lid: thief.lid, outcome: 'revoked', reason: 'country_changed' }]);
        expect((await incidents.list({ userId: honest.userId }, 10)).incidents).toEqual([]);
        const [victim, taught] = await baselines.load([thief.userId, honest.userId]);
        expect(victim?.baseline).toEqual(home('').baseline);
        expect((await history.list(thief.userId, 10)).map(({ lid, action }) => [lid, action])).toEqual([
          [thief.lid, 'revoke'],
        ]);
        expect((await history.list(honest.userId, 10)).map(({ lid }) => lid)).toEqual([honest.lid]);
        expect(taught?.baseline.v4.networks).toMatchObject([{ network: '86.128.10.0/24' }]);
        expect(taught?.baseline.v4.places).toMatchObject([{ countries: ['GB'], lastSeenMs: honest.loginAtMs }]);
      }
      const points = await redisSeries(redis, keys).read(now - 3_600_000, Date.now(), 'hour');
      const sum = (name: string) => points.reduce((all, { counts }) => all + (counts[name] ?? 0), 0);
      expect([sum('checked'), sum('revoked'), sum('suspect')]).toEqual([2 * KILLS, KILLS, KILLS]);
      expect(await redis.zcard(keys.brakeGranted())).toBe(KILLS);
      // Killed after it had learned but before it had counted, the honest login finds its own network known: same action.
      const honestReason = effect === 'learn' ? 'reason:same_network' : 'reason:same_country';
      expect(await counters.read()).toEqual({
        logins: 2 * KILLS,
        'action:allow': KILLS,
        'action:revoke': KILLS,
        [honestReason]: KILLS,
        'reason:country_changed': KILLS,
      });
    },
    120_000,
  );
});
