import type { Redis } from 'ioredis';
import type { Revocation, RevokeResult, Sessions } from '../ports.ts';
import { type Keys, tagOf } from './keys.ts';
import { parseStoredMark, type StoredMark } from './logins.ts';
import { publishRevoked } from './publisher.ts';
import { loadScript, runScript } from './script.ts';
import { type EndOneResult, endOne } from './sessions.ts';
import { putBack } from './undo.ts';

const markScript = loadScript('mark-1');

/** Ids ended at the same time: a login that has had thousands must not stop everything else. */
const ABREAST = 100;

/** For the mutation check of the tests: an order swapped, or the last look at the mark left out. */
export type Mutation = 'mark_last' | 'no_last_look';

const LIFTED: RevokeResult = { outcome: 'other_login', atMs: 0, lifted: true };

/**
 * Ends logins. The order is the whole point:
 *
 *   1 the login's mark      the commit point: from here on no id of this login can be created
 *   2 the event's own id, and every id it moved to (of a logout it is the last: who dies half way leaves its holder logged in,
 *     who says it again, and finds all that is left)
 *   3 the login's index, each id in it; read again until it holds nothing new
 *   4 the mark again        has a person lifted this end meanwhile (see undo)? Then what was ended here is put back
 *
 * An app that regenerates by itself and then only reports the login goes on under the login id that the session had before:
 * that login ends with this one, if it began earlier (see `earlierLogin`).
 *
 * Whoever creates an id enrols it first, then reads the mark, then saves (see web/engine). So an id is either enrolled
 * before our last read of the index, and then we end it, or it reads the mark, and then it is never saved.
 */
export function redisSessions(redis: Redis, keys: Keys, tombstoneTtlMs: number, mutation?: Mutation): Sessions {
  const markEnded = (one: Revocation) => writeMark(redis, keys, one, tombstoneTtlMs);

  const endAll = async (one: Revocation): Promise<RevokeResult> => {
    const mark: StoredMark = mutation === 'mark_last' ? one : await markEnded(one);
    if (mark.liftedAtMs !== undefined) return LIFTED;
    const end = { ...mark, lid: one.lid, tombstoneTtlMs, afterMs: mark.afterMs ?? 0 };
    const done = new Map<string, EndOneResult>();
    const ids = () => redis.smembers(keys.loginIds(one.lid));
    // Once: a PHP site that notes an id after the mark reads the mark before it saves.
    const phpIds = redis.exists(keys.phpIds(one.lid));
    phpIds.catch(() => {});
    const next = (handles: readonly string[]) => {
      const left = [...new Set(handles)].filter((handle) => !done.has(handle));
      const others = left.filter((handle) => handle !== one.handle);
      return one.reason === 'logout' && others.length > 0 ? others : left;
    };
    const own = one.markOnly ? [] : [one.handle];
    let todo = one.reason === 'logout' || one.markOnly ? next([...own, ...(await ids())]) : own;
    let last: StoredMark | null = null;
    while (todo.length > 0) {
      const results: EndOneResult[] = [];
      for (let i = 0; i < todo.length; i += ABREAST) {
        const some = todo.slice(i, i + ABREAST);
        results.push(...(await Promise.all(some.map((handle) => endOne(redis, keys, handle, end)))));
      }
      for (const [i, handle] of todo.entries()) done.set(handle, results[i] as EndOneResult);
      const [indexed, now] = await Promise.all([ids(), readMark(redis, keys, one.lid)]);
      last = now;
      todo = next([...results.flatMap((result) => result.successors), ...indexed, ...own]);
    }
    if (last?.liftedAtMs !== undefined && mutation !== 'no_last_look') {
      await putBack(redis, keys, one, last.liftedAtMs, last.liftedAtMs);
      return LIFTED;
    }
    if (mutation === 'mark_last') await markEnded(one);
    const handles = [...done].flatMap(([handle, { outcome }]) => (outcome === 'other_login' ? [] : [handle]));
    const { reason, caseId, atMs } = mark;
    // After the commit. The login has ended, told or not: a user without the right to publish must not fail the revoke;
    // the re-checks tell again, and whoever reconnects reads the marks.
    const told = { lid: one.lid, handles, reason, caseId, atMs, repeat: one.repeat ?? false };
    await publishRevoked(redis, keys, told).catch(() => {});
    const before = await earlierLogin(redis, keys, one, done.get(one.handle));
    if (before !== null) return endAll({ ...one, lid: before, loginAtMs: undefined });
    return { ...summary(one.handle, done), caseId, ...((await phpIds) > 0 ? { hasPhpIds: true as const } : {}) };
  };
  return {
    revoke: (revocations) =>
      Promise.all(
        revocations.map((one) =>
          endAll(one).catch((error: unknown) => (error instanceof Error ? error : new Error('revoke failed'))),
        ),
      ),
  };
}

/** The first mark stays: a repeated revoke gives every id the same reason, case and time. */
async function writeMark(redis: Redis, keys: Keys, one: Revocation, ttlMs: number): Promise<StoredMark> {
  const { lid, reason, caseId, atMs, again = false, loginAtMs = atMs } = one;
  const times = [atMs, Math.ceil(ttlMs)].map((ms) => String(Math.trunc(ms)));
  const args = [reason, caseId, ...times, again ? '1' : '0', String(Math.trunc(loginAtMs))];
  const mark = (await runScript(redis, markScript, [keys.loginEnd(lid)], args)) as string;
  return parseStoredMark(mark) ?? { reason, caseId, atMs };
}

async function readMark(redis: Redis, keys: Keys, lid: string): Promise<StoredMark | null> {
  return parseStoredMark(await redis.get(keys.loginEnd(lid)));
}

/**
 * The login that the reported session belongs to in truth: it holds the event's own id, and began before the event. One that
 * began later has that id by a login of its own, and a late job must not touch it.
 */
async function earlierLogin(
  redis: Redis,
  keys: Keys,
  { loginAtMs }: Revocation,
  own: EndOneResult | undefined,
): Promise<string | null> {
  if (loginAtMs === undefined || own?.outcome !== 'other_login' || own.otherLid === undefined) return null;
  const newest = await redis.hget(keys.userEntries(tagOf(own.otherLid)), `${own.otherLid}/h`);
  const startedMs = Number(/ (\d{1,16})$/.exec(newest ?? '')?.[1] ?? Number.NaN);
  return startedMs > 0 && startedMs < loginAtMs ? own.otherLid : null;
}

/** One id of the login that was found and ended makes it `revoked`; the event's own id may be gone since. */
function summary(handle: string, done: ReadonlyMap<string, EndOneResult>): RevokeResult {
  const own = done.get(handle);
  const best = [...done.values()].find(({ outcome }) => outcome === 'revoked') ?? own;
  return { outcome: best?.outcome ?? 'not_found', atMs: best?.atMs ?? 0 };
}
