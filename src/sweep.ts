import { defaultLog } from './log.ts';
import type { Clock, Log } from './ports.ts';
import { type SweepOptions, type Sweeps, startSweeps } from './queue/sweeps.ts';
import { openWorkerRedis, type RedisTarget } from './redis/connection.ts';
import { keysFor, SWEEP_QUEUE } from './redis/keys.ts';
import { redisRegistry } from './redis/registry.ts';
import { redisRetention, retentionTimes } from './redis/retention.ts';
import { redisSweeper, SWEEP_USER_EVERY_MS } from './redis/sweeper.ts';

export interface SweepWorkerOptions {
  /** A URL, ioredis options, or an ioredis instance (duplicated, never used itself). */
  readonly redis: RedisTarget;
  /** The same as the web tier's. Default `bouncer`. */
  readonly prefix?: string | undefined;
  /** Default 60. */
  readonly sweepEveryMinutes?: number | undefined;
  /** The same as the login workers': default 365, 365 and 730 days. */
  readonly incidentTtlDays?: number | undefined;
  readonly visitTtlDays?: number | undefined;
  readonly auditTtlDays?: number | undefined;
  readonly log?: Log | undefined;
  readonly clock?: Clock | undefined;
}

export const SWEEP_EVERY_MINUTES = 60;

/** A worker that does nothing but sweep the registry and what is too old, for those who want it in a process of its own. */
export function createSweepWorker(options: SweepWorkerOptions): Sweeps {
  const { log = defaultLog('info'), clock = Date.now } = options;
  const keys = keysFor(options.prefix ?? 'bouncer');
  const redis = openWorkerRedis(options.redis, log);
  const sweeper = redisSweeper(redis, keys, redisRegistry(redis, keys), SWEEP_USER_EVERY_MS);
  const everyMs = (options.sweepEveryMinutes ?? SWEEP_EVERY_MINUTES) * 60_000;
  const retention = redisRetention(redis, keys, retentionTimes(options));
  const how: SweepOptions = { sweeper, retention, everyMs, clock, log };
  const sweeps = startSweeps(redis, { queue: SWEEP_QUEUE, prefix: keys.queuePrefix }, how);
  return {
    async close(force) {
      await sweeps.close(force);
      redis.disconnect();
    },
  };
}
