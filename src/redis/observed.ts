import type { Redis } from 'ioredis';
import type { Keys } from './keys.ts';
import { bucketsOf, redisSeries } from './series.ts';

const HOUR_MS = 3_600_000;
/** As long as the counts over time. */
const KEPT_MS = 31 * 86_400_000;

export interface WouldHaveEnded {
  /** Exact. */
  readonly sessions: number;
  /** Counted with a HyperLogLog: within about one in a hundred. */
  readonly users: number;
}

/** What enforcing would have done while the workers observed (by their mode, or by the brake), in whole hours. */
export interface Observed {
  /** Idempotent. */
  add(userIds: Iterable<string>, atMs: number): Promise<void>;
  /** Null where nothing was observed. */
  read(fromMs: number, toMs: number): Promise<WouldHaveEnded | null>;
}

export function redisObserved(redis: Redis, keys: Keys): Observed {
  const series = redisSeries(redis, keys);
  return {
    async add(userIds, atMs) {
      const users = [...userIds];
      if (users.length === 0) return;
      const key = keys.observedUsers(Math.floor(atMs / HOUR_MS));
      await Promise.all([redis.pfadd(key, ...users), redis.pexpire(key, KEPT_MS)]);
    },
    async read(fromMs, toMs) {
      const hours = bucketsOf(Math.max(fromMs, toMs - KEPT_MS), toMs, HOUR_MS);
      if (hours.length === 0) return null;
      const [points, users] = await Promise.all([
        series.read(fromMs, toMs, 'hour'),
        redis.pfcount(...hours.map((hour) => keys.observedUsers(hour))),
      ]);
      const sessions = points.reduce((sum, { counts }) => sum + (counts.would_revoke ?? 0), 0);
      return sessions === 0 ? null : { sessions, users: Math.min(users, sessions) };
    },
  };
}
