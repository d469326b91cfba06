import type { Redis } from 'ioredis';
import type { Revocation, RevokeResult, Sessions } from '../ports.ts';
import type { Keys } from './keys.ts';
import { parseMark } from './logins.ts';
import { publishRevoked } from './publisher.ts';
import { type EndOneResult, endOne } from './sessions.ts';

/** For the mutation check of the tests: which of the two orders is swapped. */
export type Mutation = 'mark_last';

/**
 * Ends logins. The order is the whole point:
 *
 *   1 the login's mark      the commit point: from here on no id of this login can be created
 *   2 the event's own id, and every id it moved to
 *   3 the login's index, each id in it; read again until it holds nothing new
 *
 * Whoever creates an id enrols it first, then reads the mark, then saves (see web/engine). So an id is either enrolled
 * before our last read of the index, and then we end it, or it reads the mark, and then it is never saved.
 */
export function redisSessions(redis: Redis, keys: Keys, tombstoneTtlMs: number, mutation?: Mutation): Sessions {
  const endAll = async (one: Revocation): Promise<RevokeResult> => {
    const mark = mutation === 'mark_last' ? one : await markEnded(redis, keys, one, tombstoneTtlMs);
    const end = { lid: one.lid, reason: mark.reason, caseId: mark.caseId, atMs: mark.atMs, tombstoneTtlMs };
    const done = new Map<string, EndOneResult>();
    let todo = [one.handle];
    while (todo.length > 0) {
      const results = await Promise.all(todo.map((handle) => endOne(redis, keys, handle, end)));
      for (const [i, handle] of todo.entries()) done.set(handle, results[i] as EndOneResult);
      const found = [
        ...results.flatMap((result) => result.successors),
        ...(await redis.smembers(keys.loginIds(one.lid))),
      ];
      todo = [...new Set(found)].filter((handle) => !done.has(handle));
    }
    if (mutation === 'mark_last') await markEnded(redis, keys, one, tombstoneTtlMs);
    const handles = [...done].flatMap(([handle, { outcome }]) => (outcome === 'other_login' ? [] : [handle]));
    const { reason, caseId, atMs } = mark;
    // After the commit. The login has ended, told or not: a user without the right to publish must not fail the revoke;
    // the re-checks tell again, and whoever reconnects reads the marks.
    const told = { lid: one.lid, handles, reason, caseId, atMs, repeat: one.repeat ?? false };
    await publishRevoked(redis, keys, told).catch(() => {});
    return summary(one.handle, done);
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
async function markEnded(redis: Redis, keys: Keys, one: Revocation, ttlMs: number) {
  const { reason, caseId, atMs } = one;
  const key = keys.loginEnd(one.lid);
  const written = await redis.set(key, JSON.stringify({ reason, caseId, atMs }), 'PX', Math.ceil(ttlMs), 'NX');
  if (written === 'OK') return { reason, caseId, atMs };
  return parseMark(await redis.get(key)) ?? { reason, caseId, atMs };
}

/** One id of the login that was found and ended makes it `revoked`; the event's own id may be gone since. */
function summary(handle: string, done: ReadonlyMap<string, EndOneResult>): RevokeResult {
  const own = done.get(handle);
  const best = [...done.values()].find(({ outcome }) => outcome === 'revoked') ?? own;
  return { outcome: best?.outcome ?? 'not_found', atMs: best?.atMs ?? 0 };
}
