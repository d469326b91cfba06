import type { Redis } from 'ioredis';
import type { EndMark, Enrolment, Logins } from '../ports.ts';
import { type Keys, tagOf } from './keys.ts';
import { loadScript, runScript } from './script.ts';

const enroll = loadScript('enroll-5');

/** An incident that only the user's epoch ended has no case of its own. */
const NO_CASE = 'NONE';

/** The web tier's side: an id is enrolled, which tells whether its login has ended, and only then saved. */
export function redisLogins(redis: Redis, keys: Keys): Logins {
  return {
    async enroll(enrolment) {
      const args = [...enrolmentArgs(enrolment), enrolment.givenBack ? '1' : '0'];
      const [mark, epoch] = (await runScript(redis, enroll, loginKeys(keys, enrolment.lid), args)) as [string, string];
      return endMarkOf(mark, epoch);
    },
    async endMark(lid, loginAtMs) {
      if (loginAtMs === undefined) return parseMark(await redis.get(keys.loginEnd(lid)));
      const [mark, epoch] = await redis.mget(keys.loginEnd(lid), keys.epoch(tagOf(lid)));
      return endMarkOf(mark ?? '', Number(epoch) >= loginAtMs ? (epoch ?? '0') : '0');
    },
    async isLifted(lid) {
      return parseStoredMark(await redis.get(keys.loginEnd(lid)))?.liftedAtMs !== undefined;
    },
  };
}

/** Where a login is enrolled: the first keys of "enroll" and "enter". */
export function loginKeys(keys: Keys, lid: string): string[] {
  const tag = tagOf(lid);
  return [keys.loginIds(lid), keys.loginEnd(lid), keys.epoch(tag), keys.userLogins(tag), keys.userEntries(tag)];
}

/** The first arguments of both. */
export function enrolmentArgs({ lid, handle, nowMs, endsAtMs, loginAtMs }: Enrolment): string[] {
  return [lid, handle, ...[nowMs, endsAtMs, loginAtMs ?? 0].map((ms) => String(Math.trunc(ms)))];
}

/** As those scripts tell it: the login's own mark, or the epoch of its user ('0': neither). */
export function endMarkOf(mark: string, epoch: string): EndMark | null {
  const ended = mark === '' ? null : parseMark(mark);
  if (ended !== null) return ended;
  return epoch === '0' ? null : { reason: 'forced_logout', caseId: NO_CASE, atMs: Number(epoch) };
}

/** What stands at a login's mark. */
export interface StoredMark extends EndMark {
  /** A person took this end back then: the login lives, and a repeat of that end does not count. */
  readonly liftedAtMs?: number | undefined;
  /** The end before this one was taken back then. */
  readonly afterMs?: number | undefined;
}

export function parseStoredMark(value: string | null): StoredMark | null {
  return value === null ? null : (JSON.parse(value) as StoredMark);
}

/** Null where the login has not ended, or its end was lifted. */
export function parseMark(value: string | null): EndMark | null {
  const mark = parseStoredMark(value);
  if (mark === null || mark.liftedAtMs !== undefined) return null;
  return { reason: mark.reason, caseId: mark.caseId, atMs: mark.atMs };
}
