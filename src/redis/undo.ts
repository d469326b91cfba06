import type { Redis } from 'ioredis';
import type { MeantEnd, Undo, UndoOutcome } from '../desk-ports.ts';
import type { Keys } from './keys.ts';
import { tagOf } from './keys.ts';
import { parseMark, parseStoredMark, redisLogins } from './logins.ts';
import { loadScript, runScript } from './script.ts';

const scripts = { lift: loadScript('lift-3'), undo: loadScript('undo-1') };

const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;

/** The login whose end is lifted. */
export interface LiftedLogin {
  readonly lid: string;
  /** Of the id that it was reported under. */
  readonly handle: string;
  /** For a login that the registry has forgotten, milliseconds since the epoch. */
  readonly loginAtMs?: number | undefined;
}

/**
 * Takes the end of a login back. The order mirrors the ender's:
 *
 *   1 the login's mark     lifted, never deleted: re-checks and repeated jobs of that end find it and do nothing
 *   2 each id of the login enrolled again, as a writer does (it tells whether the login has ended anew), then put back
 *   3 the mark once more   has somebody ended the login meanwhile?
 *
 * An end that is decided after 1 has a later time than the lift: it finds each id either put back, and ends it, or still
 * ended, and renames it, which step 2 then leaves alone. A repeat that had read the mark before 1 reads it again when it
 * is done (see redis/ender), and puts back itself what it had ended. So of any two, one sees the other.
 */
export function redisUndo(redis: Redis, keys: Keys): Undo {
  return {
    async lift({ atMs, only, ...login }) {
      const outcome = await liftOne(redis, keys, login, atMs, only);
      const earlier = outcome === 'blocked' ? null : await endedWithIt(redis, keys, login);
      if (earlier === null) return outcome;
      // Its mark has a time of its own.
      const same = only && { ...only, endedAtMs: undefined };
      return liftOne(redis, keys, { ...earlier, handle: login.handle }, atMs, same);
    },
  };
}

async function liftOne(
  redis: Redis,
  keys: Keys,
  login: LiftedLogin,
  atMs: number,
  only: MeantEnd | undefined,
): Promise<UndoOutcome> {
  const [outcome, liftedAtMs] = await liftMark(redis, keys, login, atMs, only);
  if (outcome === 'blocked') return 'blocked';
  if (outcome === 'none') {
    const heads = await ownHeads(redis, keys, login);
    // Only tombstones are left of an end, and they name another case.
    if (heads.some(({ kind }) => kind === 'revoked')) return 'blocked';
    return heads.some(({ kind }) => kind === 'live') ? 'not_ended' : 'gone';
  }
  const seen = await putBack(redis, keys, login, liftedAtMs, atMs);
  const endedAgain = parseMark(await redis.get(keys.loginEnd(login.lid))) !== null;
  return endedAgain ? 'blocked' : summary(seen);
}

/** The login that the session belonged to in truth, where it ended by this one's case (see the ender's `earlierLogin`). */
async function endedWithIt(redis: Redis, keys: Keys, { lid, handle }: LiftedLogin): Promise<{ lid: string } | null> {
  const found = await headAt(redis, keys, handle);
  if (found?.kind !== 'revoked' || found.lid === lid || found.caseId === null) return null;
  const mark = parseStoredMark(await redis.get(keys.loginEnd(lid)));
  return mark?.caseId === found.caseId ? { lid: found.lid } : null;
}

async function liftMark(
  redis: Redis,
  keys: Keys,
  login: LiftedLogin,
  atMs: number,
  only: MeantEnd | undefined,
): Promise<['lifted' | 'blocked' | 'none', number]> {
  const { lid, loginAtMs = 0 } = login;
  const isMeant = ({ kind, caseId }: Head) => kind === 'revoked' && (only === undefined || caseId === only.caseId);
  const tag = tagOf(lid);
  const where = [keys.loginEnd(lid), keys.epoch(tag), keys.userEntries(tag)];
  // A mark may be lost (its time is over, or Redis forgot it) while the tombstones stand: they are lifted all the same.
  const ttlMs = (await ownHeads(redis, keys, login)).some(isMeant) ? 30 * DAY_MS : 0;
  const times = [whole(atMs), whole(loginAtMs), String(ttlMs)];
  const end = only?.endedAtMs === undefined ? '' : whole(only.endedAtMs);
  const args = [lid, ...times, only?.caseId ?? '', only?.reuse ? '1' : '0', end];
  const [outcome, when] = (await runScript(redis, scripts.lift, where, args)) as ['lifted', string];
  return [outcome, Number(when)];
}

type Seen = 'given_back' | 'live' | 'expired' | 'gone' | 'ended_again' | 'other';

/** Every id of the login, and what each moved to, as far as it ended before the lift. Idempotent. */
export async function putBack(
  redis: Redis,
  keys: Keys,
  login: LiftedLogin,
  liftedAtMs: number,
  nowMs: number,
): Promise<ReadonlySet<Seen>> {
  const done = new Set<string>();
  const seen = new Set<Seen>();
  let todo = await handlesOf(redis, keys, login);
  while (todo.length > 0) {
    for (const handle of todo) done.add(handle);
    const results = await Promise.all(todo.map((one) => putOneBack(redis, keys, login, one, liftedAtMs, nowMs)));
    for (const { outcome } of results) seen.add(outcome);
    todo = [...new Set(results.flatMap(({ successors }) => successors))].filter((handle) => !done.has(handle));
  }
  return seen;
}

async function putOneBack(
  redis: Redis,
  keys: Keys,
  { lid, loginAtMs }: LiftedLogin,
  handle: string,
  liftedAtMs: number,
  nowMs: number,
): Promise<{ outcome: Seen; successors: readonly string[] }> {
  const found = await headAt(redis, keys, handle);
  const endsAtMs = found?.endsAtMs ?? 0;
  if (found?.lid === lid && found.was === 'live' && endsAtMs > nowMs) {
    // The registry may have dropped the login as dead: whoever ends all of the user's logins must find it again.
    const enrolment = { lid, handle, nowMs, endsAtMs, loginAtMs: loginAtMs ?? null, givenBack: true };
    const mark = await redisLogins(redis, keys).enroll(enrolment);
    if (mark !== null) return { outcome: 'ended_again', successors: [] };
  }
  const args = [lid, String(liftedAtMs), whole(nowMs), String(HOUR_MS)];
  const [outcome, successors] = (await runScript(redis, scripts.undo, [keys.session(handle)], args)) as [Seen, string];
  return { outcome, successors: successors === '' ? [] : successors.split(' ') };
}

function summary(seen: ReadonlySet<Seen>): UndoOutcome {
  if (seen.has('given_back') || seen.has('live')) return 'given_back';
  if (seen.has('ended_again')) return 'blocked';
  return seen.has('expired') ? 'expired' : 'gone';
}

async function handlesOf(redis: Redis, keys: Keys, { lid, handle }: LiftedLogin): Promise<string[]> {
  return [...new Set([handle, ...(await redis.smembers(keys.loginIds(lid)))])];
}

/** Of the ids that hold something of this login. */
async function ownHeads(redis: Redis, keys: Keys, login: LiftedLogin): Promise<Head[]> {
  const handles = await handlesOf(redis, keys, login);
  const heads = await Promise.all(handles.map((handle) => headAt(redis, keys, handle)));
  return heads.filter((head) => head !== null && head.lid === login.lid) as Head[];
}

/** The first bytes of a session's value, which all scripts go by. */
interface Head {
  readonly kind: string;
  readonly lid: string;
  /** Of a tombstone: what stood there. */
  readonly was: string | null;
  /** Of a revoked one. */
  readonly caseId: string | null;
  readonly endsAtMs: number;
}

async function headAt(redis: Redis, keys: Keys, handle: string): Promise<Head | null> {
  const bytes = await redis.getrange(keys.session(handle), 0, 299);
  const kind = /^\{"__bouncer":\{"k":"([a-z]+)"/.exec(bytes)?.[1];
  if (kind === undefined) return null;
  return {
    kind,
    lid: /"l":"([\w-]*)"/.exec(bytes)?.[1] ?? '',
    caseId: /"case":"([\w-]+)"/.exec(bytes)?.[1] ?? null,
    was: kind === 'revoked' ? (/"was":"([a-z]+)"/.exec(bytes)?.[1] ?? null) : null,
    endsAtMs: Number(/"e":(\d+)/.exec(bytes)?.[1] ?? 0),
  };
}

function whole(ms: number): string {
  return String(Math.max(0, Math.trunc(ms)));
}
