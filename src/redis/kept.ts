/** What the desk writes beside the workers is kept as long as what they write: they say how long that is (redis/ages). */

import type { Redis } from 'ioredis';
import type { Baselines, Log, Sessions } from '../ports.ts';
import { type Ages, redisAges } from './ages.ts';
import { redisBaselines } from './baselines.ts';
import { redisSessions } from './ender.ts';
import type { Keys } from './keys.ts';

export interface KeepingOptions {
  readonly redis: Redis;
  readonly keys: Keys;
  readonly log: Log;
  /** Until a worker has said how long it keeps them. Default 180 and 30 days. */
  readonly baselineTtlMs?: number | undefined;
  readonly tombstoneTtlMs?: number | undefined;
  /** As the web tier's, where the desk is in it. */
  readonly absoluteTtlMs?: number | undefined;
}

const DAY_MS = 86_400_000;

export function keptAsByWorkers({ redis, keys, log, ...given }: KeepingOptions): {
  readonly baselines: Baselines;
  readonly sessions: Sessions;
} {
  const said = redisAges(redis, keys);
  const { baselineTtlMs = 180 * DAY_MS, tombstoneTtlMs = 30 * DAY_MS, absoluteTtlMs = 0 } = given;
  let known: Partial<Ages> = {};
  // How long something is kept is no reason not to do it: on a Cluster this key may be on a server that is away.
  const ages = async () => {
    known = await said.read().catch(() => known);
    return { baselineTtlMs, tombstoneTtlMs, ...known };
  };
  return {
    baselines: {
      load: (userIds) => redisBaselines(redis, keys, baselineTtlMs, log).load(userIds),
      save: async (changes) => redisBaselines(redis, keys, (await ages()).baselineTtlMs, log).save(changes),
    },
    sessions: {
      async revoke(revocations) {
        const ttlMs = Math.max((await ages()).tombstoneTtlMs, absoluteTtlMs);
        return redisSessions(redis, keys, ttlMs).revoke(revocations);
      },
    },
  };
}
