import type { Redis } from 'ioredis';
import type { SetAside, SetAsideEntry } from '../ports.ts';
import type { Keys } from './keys.ts';
import { loadScript, runScript } from './script.ts';

const aside = loadScript('aside-3');

/** The newest entries are kept; the count goes on. */
const KEPT = 1000;

/** Longer than a job is tried again, whether its worker died or Redis was away in between. */
const MARK_MS = 3_600_000;

/** Where logins and jobs that could not be read are noted, so that none vanishes unseen. */
export function redisSetAside(redis: Redis, keys: Keys): SetAside {
  return {
    async put(batchId, entries) {
      if (entries.length === 0) return false;
      const rows = entries.map((entry) => JSON.stringify(entry));
      const lists = [keys.setAside(), keys.setAsideCount(), keys.setAsideMark(batchId)];
      return (await runScript(redis, aside, lists, [String(MARK_MS), String(KEPT - 1), ...rows])) === 1;
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
