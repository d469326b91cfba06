import type { Redis } from 'ioredis';
import type { Counters } from '../ports.ts';
import type { Keys } from './keys.ts';
import { loadScript, runScript } from './script.ts';
import { addTally, MARK_MS } from './series.ts';

const count = loadScript('count-2');

/** Running totals in one hash: what was checked, and what could not be, and why. */
export function redisCounters(redis: Redis, keys: Keys): Counters {
  return {
    async add(batchId, counts, tally) {
      if (tally !== undefined) return addTally(redis, keys, batchId, counts, tally);
      if (counts.size === 0) return;
      const args = [...counts].flatMap(([name, by]) => [name, String(by)]);
      await runScript(redis, count, [keys.counters(), keys.counted(batchId)], [String(MARK_MS), ...args]);
    },
    async read() {
      const totals = await redis.hgetall(keys.counters());
      return Object.fromEntries(Object.entries(totals).map(([name, total]) => [name, Number(total)]));
    },
  };
}
