import type { Redis } from 'ioredis';
import type { Clock } from '../ports.ts';

/**
 * The time by Redis' own clock, which is one for all: of what many processes count together, a machine whose clock is wrong must
 * not make a window end early. A clock that was given in place of this machine's is kept to.
 */
export function sharedTime(redis: Redis, clock: Clock): () => Promise<number> {
  if (clock !== Date.now) return async () => clock();
  return async () => {
    const [seconds, microseconds] = await redis.time();
    return Number(seconds) * 1000 + Math.floor(Number(microseconds) / 1000);
  };
}
