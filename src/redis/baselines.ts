import type { Redis } from 'ioredis';
import type { Baselines, Log, StoredBaseline } from '../ports.ts';
import { decodeBaseline, encodeBaseline, NOTHING_STORED, revisionOf } from './baseline-text.ts';
import type { Keys } from './keys.ts';
import { loadScript, runScript } from './script.ts';

const learn = loadScript('learn-n');

export function redisBaselines(redis: Redis, keys: Keys, ttlMs: number, log: Log): Baselines {
  return {
    async load(userIds) {
      if (userIds.length === 0) return [];
      const values = await redis.mget(userIds.map((userId) => keys.baseline(userId)));
      return values.map((value) => decode(value, log));
    },
    async save(changes) {
      if (changes.length === 0) return [];
      const args = [String(ttlMs)];
      for (const change of changes) args.push(String(change.revision), encodeBaseline(change));
      const where = changes.map((change) => keys.baseline(change.userId));
      const written = (await runScript(redis, learn, where, args)) as number[];
      return written.map((one) => (one < 0 ? new Error('baseline key holds another type') : one === 1));
    },
  };
}

/** An unreadable value counts as nothing known: the user is not locked out, and the operator is told. */
function decode(value: string | null, log: Log): StoredBaseline {
  if (value === null) return NOTHING_STORED;
  try {
    return decodeBaseline(value);
  } catch {
    log.error({ event: 'baseline_unreadable' }, 'A stored baseline could not be read; it counts as nothing known');
    return { ...NOTHING_STORED, revision: revisionOf(value) };
  }
}
