import type { Redis } from 'ioredis';
import type { Counters } from '../ports.ts';
import type { Keys } from './keys.ts';

/** Running totals in one hash: what was checked, and what could not be, and why. */
export function redisCounters(redis: Redis, keys: Keys): Counters {
  return {
    async add(counts) {
      if (counts.size === 0) return;
      const pipeline = redis.pipeline();
      for (const [name, count] of counts) pipeline.hincrby(keys.counters(), name, count);
      await pipeline.exec();
    },
    async read() {
      const totals = await redis.hgetall(keys.counters());
      return Object.fromEntries(Object.entries(totals).map(([name, count]) => [name, Number(count)]));
    },
  };
}
