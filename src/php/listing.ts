import type { LoginEvent } from '../domain/types.ts';
import { errorName } from '../errors.ts';
import type { Clock, Log, PhpIds, PhpSessions, Rechecks, Registry, Sessions } from '../ports.ts';
import type { Seals } from './seal.ts';

/** A login at a PHP site is on its user's list for so long: how long PHP lets it live, PHP does not say. */
const LISTED_MS = 30 * 86_400_000;

export interface ListingDeps {
  readonly registry: Pick<Registry, 'add' | 'barredUntil'>;
  readonly ids: Pick<PhpIds, 'note'>;
  readonly sessions: Sessions;
  readonly rechecks: Rechecks;
  readonly clock: Clock;
  caseOf(lid: string): string;
}

/**
 * Puts a login at a PHP site on its user's list, as the web tier does with its own. Whoever ends all of a user's logins writes
 * that down first and reads the list then; here it is the other way round. So one of the two sees the other, and a login that
 * came into the list too late ends here. Repeats without harm.
 */
export async function listPhpLogin(login: LoginEvent, deps: ListingDeps): Promise<void> {
  const { lid, handle, userId, loginAtMs, php } = login;
  if (php === undefined) return;
  const nowMs = deps.clock();
  await deps.ids.note(lid, handle, php, LISTED_MS);
  await deps.registry.add(login, nowMs, loginAtMs + LISTED_MS);
  if ((await deps.registry.barredUntil(userId)) < loginAtMs) return;
  const one = { lid, handle, php, reason: 'forced_logout', caseId: deps.caseOf(lid), atMs: nowMs } as const;
  const [result] = await deps.sessions.revoke([one]);
  if (result instanceof Error) throw result;
  await deps.rechecks.schedule([one]);
}

export interface SweepingDeps {
  readonly ids: Pick<PhpIds, 'of' | 'trim'>;
  readonly sessions: Pick<PhpSessions, 'exist'>;
  readonly seals: Seals;
  /** After so long no request still runs that could save a session. */
  readonly settleMs: number;
  readonly log: Log;
}

/**
 * The sweep of a worker that reaches PHP's sessions. A login whose sessions are all gone (logged out, or too old for PHP) leaves
 * the list. A login that lives keeps the ids that PHP has, and those that it had not only just now: a request may have
 * noted an id that it has not saved yet.
 */
export function sweepingPhp(inner: Registry, deps: SweepingDeps): Registry {
  const place = { isProven: false };
  return {
    ...inner,
    async prune(tag, nowMs) {
      const pruned = await inner.prune(tag, nowMs);
      try {
        const gone: string[] = [];
        for (const { lid, loginAtMs } of await inner.atPhp(tag)) {
          const isYoung = nowMs - loginAtMs < deps.settleMs;
          if (!isYoung && (await sweepLogin(lid, nowMs, place, deps))) gone.push(lid);
        }
        const removed = gone.length === 0 ? 0 : await inner.remove(tag, gone);
        return { kept: pruned.kept - removed, removed: pruned.removed + removed };
      } catch (error) {
        deps.log.warn({ event: 'php_unswept', error: errorName(error) }, 'PHP sessions could not be looked at');
        return pruned;
      }
    },
  };
}

/**
 * Is nothing left of this login? Where PHP's Redis has none of its ids we may be looking in the wrong place; not so once some
 * other login's session was found there.
 */
async function sweepLogin(lid: string, nowMs: number, place: { isProven: boolean }, deps: SweepingDeps) {
  const opened = Object.entries(await deps.ids.of(lid)).map(([handle, sealed]) => ({
    handle,
    ...deps.seals.open(sealed, lid),
  }));
  const readable = opened.flatMap((one) => ('id' in one ? [one] : []));
  const exist = await deps.sessions.exist(readable.map(({ id }) => id));
  const absent = readable.filter((_, i) => !exist[i]).map(({ handle }) => handle);
  if (absent.length < readable.length) {
    place.isProven = true;
    await deps.ids.trim(lid, absent, nowMs, deps.settleMs);
    return false;
  }
  return place.isProven && readable.length > 0 && readable.length === opened.length;
}
