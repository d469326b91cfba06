import type { RedisOptions } from 'ioredis';
import type { Log } from '../ports.ts';

/** The replies of a server that is there and does not do what it is asked. Older ones say them in the middle, for a script. */
const REFUSAL = /(?:^|[\s-])(OOM|READONLY|LOADING|BUSY|MISCONF|NOREPLICAS|MASTERDOWN|CLUSTERDOWN)\s/;

/** Silence for so long is the end of it, milliseconds. */
const OVER_AFTER_MS = 60_000;

/** Between two attempts to reach another server, milliseconds: each breaks off what is under way. */
const FIRST_RETRY_MS = 1000;
const LAST_RETRY_MS = 60_000;

export type ReconnectOnError = NonNullable<RedisOptions['reconnectOnError']>;

/**
 * Looks at each error that a server replies: one line an outage, with the reply's first word and nothing else of it; and a
 * connection to a server that has become a replica is given up for another, which the same name may lead to by now.
 */
export function watchRefusals(connection: string, log: Log, theirs?: ReconnectOnError | null): ReconnectOnError {
  const lastAt = new Map<string, number>();
  let retryAt = 0;
  let retryMs = FIRST_RETRY_MS;

  const isDue = (now: number, isFirst: boolean): boolean => {
    if (isFirst) retryMs = FIRST_RETRY_MS;
    else if (now < retryAt) return false;
    retryAt = now + retryMs;
    retryMs = Math.min(2 * retryMs, LAST_RETRY_MS);
    return true;
  };

  return (error) => {
    const asked = theirs?.(error) ?? false;
    const reply = REFUSAL.exec(error.message)?.[1];
    if (reply === undefined) return asked;
    const now = performance.now();
    const isFirst = now - (lastAt.get(reply) ?? Number.NEGATIVE_INFINITY) > OVER_AFTER_MS;
    lastAt.set(reply, now);
    if (isFirst) log.warn({ event: 'redis_refuses', connection, reply }, 'Redis is there and refuses what it is asked');
    if (asked !== false) return asked;
    return reply === 'READONLY' && isDue(now, isFirst);
  };
}

/** What the app's own connection (of whichever copy of ioredis), Cluster or options say of it. */
export function reconnectOnErrorOf(target: unknown): ReconnectOnError | null | undefined {
  if (typeof target !== 'object' || target === null) return undefined;
  const { options } = target as { options?: RedisOptions & { redisOptions?: RedisOptions } };
  return (options?.redisOptions ?? options ?? (target as RedisOptions)).reconnectOnError;
}
