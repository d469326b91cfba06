/** Where PHP sites are to be protected: is the Redis of their sessions there, and are there any? */

import type { Redis } from 'ioredis';
import { type Config, maskUrl } from '../../config/load.ts';
import { BouncerError, errorName } from '../errors.ts';
import { type Check, fail, ok, warn } from './doctor-check.ts';

/** Looked through for a session, at most. */
const KEYS_LOOKED_AT = 20_000;

export async function phpCheck(redis: Redis, { phpSessionPrefix }: Config): Promise<Check> {
  const name = 'php sessions';
  const found = await anySession(redis, phpSessionPrefix);
  if (found === 'yes') return ok(name, `there are some under ${phpSessionPrefix}`);
  if (found === 'unknown') return ok(name, `none of ${KEYS_LOOKED_AT} keys looked at is under ${phpSessionPrefix}`);
  const remedy = 'Compare phpRedisUrl and phpSessionPrefix with session.save_path, or log in at the site once.';
  return warn(name, `there is none under ${phpSessionPrefix}`, remedy);
}

/** Where its Redis is away. */
export function phpAway({ phpRedisUrl, redisUrl }: Config, error: unknown): Check {
  const why =
    error instanceof BouncerError ? error.message : `${maskUrl(phpRedisUrl ?? redisUrl)}: ${errorName(error)}`;
  return fail(
    'php sessions',
    why,
    'Without it no session of the PHP site is ended; the re-checks try for ten minutes.',
  );
}

async function anySession(redis: Redis, prefix: string): Promise<'yes' | 'no' | 'unknown'> {
  const pattern = `${prefix.replace(/[\\*?[\]]/g, '\\$&')}*`;
  let cursor = '0';
  for (let looked = 0; looked < KEYS_LOOKED_AT; looked += 1000) {
    const [next, keys] = await redis.scan(cursor, 'MATCH', pattern, 'COUNT', 1000);
    if (keys.length > 0) return 'yes';
    if (next === '0') return 'no';
    cursor = next;
  }
  return 'unknown';
}
