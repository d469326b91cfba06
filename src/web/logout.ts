import type { Clock, GuardedSessions, WriteOutcome } from '../ports.ts';

export interface LogoutDeps {
  readonly sessions: GuardedSessions;
  readonly clock: Clock;
  readonly absoluteTtlMs: number;
  onLogout?(login: { lid: string; handle: string }): Promise<void>;
}

/** A login's mark stands so long, at least. */
export const MARK_TTL_MS = 30 * 86_400_000;

/**
 * Ends a session and its login. Whoever dies half way must leave something that the user sees, and can do again. On one server
 * it is one step. On a Cluster: the login's mark, its other ids, and this one last; until then its holder is logged in, and the
 * next logout finds all that is left. (This one first, and nobody could say a word about the others any more.) May throw.
 *
 * @param lid the session's login, where it is known ('': it has none)
 */
export async function logOut(deps: LogoutDeps, handle: string, lid = ''): Promise<WriteOutcome> {
  const { logoutAtOnce } = deps.sessions;
  const outcome = logoutAtOnce === null ? null : await atOnce(deps, logoutAtOnce, handle, lid);
  return outcome ?? stepByStep(deps, handle, lid);
}

async function atOnce(
  deps: LogoutDeps,
  logout: NonNullable<GuardedSessions['logoutAtOnce']>,
  handle: string,
  lid: string,
): Promise<WriteOutcome | null> {
  const { sessions, clock, absoluteTtlMs: tombstoneTtlMs, onLogout } = deps;
  const markTtlMs = Math.max(MARK_TTL_MS, tombstoneTtlMs);
  const ended = await logout({ handle, lid, nowMs: clock(), tombstoneTtlMs, markTtlMs });
  if (ended === null) return null;
  // Not known before: the session itself says whose it is.
  if (ended.outcome === 'other') return atOnce(deps, logout, handle, ended.lid);
  if (!ended.isAll) await onLogout?.({ lid, handle });
  if (ended.lid !== '' || ended.outcome !== 'moved') return ended.outcome;
  // An anonymous session that has moved on.
  return (await sessions.logout(handle, clock(), tombstoneTtlMs)).outcome;
}

async function stepByStep(deps: LogoutDeps, handle: string, given: string): Promise<WriteOutcome> {
  const { sessions, clock, absoluteTtlMs, onLogout } = deps;
  const known = await loginOf(deps, handle, given);
  if (known !== '' && onLogout !== undefined) {
    await onLogout({ lid: known, handle });
    return 'logout';
  }
  const { outcome, lid } = await sessions.logout(handle, clock(), absoluteTtlMs);
  // A revoked one's login has ended before.
  if (lid !== '' && outcome !== 'revoked') await onLogout?.({ lid, handle });
  return outcome;
}

/** '' where none is to be ended: a revoked session's login has ended before. `given`: of a session that is gone. */
async function loginOf({ sessions }: LogoutDeps, handle: string, given: string): Promise<string> {
  const found = await sessions.load(handle);
  if (found.kind === 'live') return found.head.lid;
  if (found.kind === 'absent') return given;
  return found.tombstone.kind === 'revoked' ? '' : found.tombstone.lid;
}
