import type { Redis } from 'ioredis';
import type { SetAside, SetAsideEntry } from '../ports.ts';
import type { Keys } from './keys.ts';

/** The newest entries are kept; the count goes on. */
const KEPT = 1000;

/** Where logins and jobs that could not be read are noted, so that none vanishes unseen. */
export function redisSetAside(redis: Redis, keys: Keys): SetAside {
  return {
    async put(entries) {
      if (entries.length === 0) return;
      await redis
        .multi()
        .lpush(keys.setAside(), ...entries.map((entry) => JSON.stringify(entry)))
        .ltrim(keys.setAside(), 0, KEPT - 1)
        .incrby(keys.setAsideCount(), entries.length)
        .exec();
    },
    async list(limit) {
      const rows = await redis.lrange(keys.setAside(), 0, Math.max(0, limit - 1));
      return rows.map((row) => JSON.parse(row) as SetAsideEntry);
    },
    async count() {
      return Number((await redis.get(keys.setAsideCount())) ?? 0);
    },
  };
}
