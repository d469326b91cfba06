import type { Redis } from 'ioredis';
import type { Revocation, Standing } from '../ports.ts';
import type { Keys } from './keys.ts';
import { parseStoredMark } from './logins.ts';
import { guardedSessions } from './sessions.ts';

/** Reads only, so that a loss is seen before it is repaired. */
export function redisStanding(redis: Redis, keys: Keys): Standing {
  const sessions = guardedSessions(redis, keys);

  const livesOn = async (handle: string, lid: string): Promise<boolean> => {
    const found = await sessions.load(handle);
    return found.kind === 'live' && found.head.lid === lid;
  };

  const look = async ({ lid, handle }: Revocation) => {
    const [mark, indexed] = await Promise.all([redis.get(keys.loginEnd(lid)), redis.smembers(keys.loginIds(lid))]);
    const handles = [...new Set([handle, ...indexed])];
    const live = await Promise.all(handles.map((one) => livesOn(one, lid)));
    const lifted = parseStoredMark(mark)?.liftedAtMs !== undefined;
    return { mark: mark !== null, live: live.filter(Boolean).length, lifted };
  };

  return { look: (revocations) => Promise.all(revocations.map(look)) };
}
