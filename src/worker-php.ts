/** What a login worker does for PHP sites: their sessions lie in a Redis of PHP's, under phpredis's keys. */

import type { Redis } from 'ioredis';
import { endingPhp, withoutPhp } from './php/ender.ts';
import { sweepingPhp } from './php/listing.ts';
import { type SealKeys, sealsOf } from './php/seal.ts';
import type { SessionFormat } from './php/session-data.ts';
import type { Log, Registry, Sessions } from './ports.ts';
import { openPhpRedis, type RedisTarget } from './redis/connection.ts';
import type { Keys } from './redis/keys.ts';
import { redisPhpIds, redisPhpSessions } from './redis/php-sessions.ts';
import type { Releasers } from './release.ts';

export interface PhpOptions {
  /** Open the session ids that the PHP side seals: key id -> 32 bytes in base64. Several while they change over. */
  readonly keys: SealKeys;
  /** Where PHP keeps its sessions. Default: the worker's own Redis. */
  readonly redis?: RedisTarget | undefined;
  /** Default `PHPREDIS_SESSION:`, as phpredis. */
  readonly sessionPrefix?: string | undefined;
  /** `session.serialize_handler`. Default `php`. */
  readonly format?: SessionFormat | undefined;
  /** The variable that says who is logged in. Default `username`. */
  readonly field?: string | undefined;
  /** `null` (default) sets it to NULL, `destroy` deletes the session. */
  readonly end?: 'null' | 'destroy' | undefined;
  /** `redis.session.locking_enabled`. Default false, as phpredis. */
  readonly locking?: boolean | undefined;
  /** How long to wait for a session's lock, milliseconds. Default 1000; then it is ended without. */
  readonly lockWaitMs?: number | undefined;
  /** `max_execution_time`. Default 30. */
  readonly maxExecutionSeconds?: number | undefined;
}

/** A worker without keys has taken a job for one that has them: it goes back to the queue. */
export class PhpKeysMissing extends Error {
  override readonly name = 'PhpKeysMissing';
}

export interface PhpEnding {
  /** Can this worker end PHP's sessions at all? */
  readonly isConfigured: boolean;
  ending(sessions: Sessions): Sessions;
  /** The registry as the sweep is to clean it. */
  sweeping(registry: Registry): Registry;
  /** When the end of a login at a PHP site is applied again, beside the other re-checks, milliseconds after it. */
  readonly recheckDelaysMs: readonly number[];
}

/** Most requests are short: soon and often at first. */
const DELAYS_MS: readonly number[] = [200, 500, 1000, 2000, 4000, 8000, 15_000];
/** After this nothing that was running when the login ended still runs. */
const MARGIN_MS = 5000;

export function phpRecheckDelays(maxExecutionSeconds: number): readonly number[] {
  const lastMs = maxExecutionSeconds * 1000 + MARGIN_MS;
  return [...DELAYS_MS.filter((ms) => ms < lastMs), lastMs];
}

/** Before anything is opened. Throws BouncerError `option_invalid`. */
export function checkPhpOptions(php: PhpOptions | undefined): void {
  if (php !== undefined) sealsOf(php.keys);
}

export function openPhpEnding(
  redis: Redis,
  keys: Keys,
  { redis: target, php }: { readonly redis: RedisTarget; readonly php?: PhpOptions | undefined },
  { log, releasers }: { readonly log: Log; readonly releasers: Releasers },
): PhpEnding {
  if (php === undefined) {
    const ending = (sessions: Sessions) => withoutPhp(sessions, log);
    return { isConfigured: false, ending, sweeping: (registry) => registry, recheckDelaysMs: [] };
  }
  const { sessionPrefix = 'PHPREDIS_SESSION:', locking = false, lockWaitMs = 1000 } = php;
  const { format = 'php', field = 'username', end = 'null' } = php;
  const seals = sealsOf(php.keys);
  const phpRedis = openPhpRedis(php.redis ?? target, log);
  releasers.add('php redis', () => phpRedis.disconnect());
  const sessions = redisPhpSessions(phpRedis, { sessionPrefix, locking, lockWaitMs });
  const deps = { ids: redisPhpIds(redis, keys), sessions, seals, format, field, end, log };
  const recheckDelaysMs = phpRecheckDelays(php.maxExecutionSeconds ?? 30);
  const settleMs = recheckDelaysMs.at(-1) ?? 0;
  return {
    isConfigured: true,
    ending: (inner) => endingPhp(inner, deps),
    sweeping: (inner) => sweepingPhp(inner, { ...deps, settleMs }),
    recheckDelaysMs,
  };
}
