import type { Redis } from 'ioredis';
import type { EndMark, Logins } from '../ports.ts';
import type { Keys } from './keys.ts';

/** The web tier's side: an id is enrolled, then the mark is read, then the id is saved. Never in another order. */
export function redisLogins(redis: Redis, keys: Keys): Logins {
  return {
    async enroll(lid, handle, ttlMs) {
      const key = keys.loginIds(lid);
      // Two commands on one key, in order on one connection; a crash between them leaves an index that lives too long.
      await Promise.all([redis.sadd(key, handle), redis.pexpire(key, Math.ceil(ttlMs))]);
    },
    async endMark(lid) {
      return parseMark(await redis.get(keys.loginEnd(lid)));
    },
    async epochOf(userId) {
      return Number((await redis.get(keys.epoch(userId))) ?? 0);
    },
  };
}

export function parseMark(value: string | null): EndMark | null {
  return value === null ? null : (JSON.parse(value) as EndMark);
}
