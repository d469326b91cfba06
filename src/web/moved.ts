import { type GraceVerdict, judgeMoved } from '../domain/grace.ts';
import type { Clock, EndReason, GuardedSessions, LoadedSession, MovedTombstone, Tombstone } from '../ports.ts';
import type { Looked, Opened } from './entry.ts';
import { openId } from './seal.ts';

interface MovedDeps {
  readonly sessions: GuardedSessions;
  readonly clock: Clock;
}

interface Successor {
  readonly id: string;
  readonly handle: string;
  readonly found: LoadedSession;
}

/** Who has logged out, or was logged out by a person, is simply logged out; the gotcha page is for thieves. */
export function isLogout(reason: EndReason): boolean {
  return reason === 'logout' || reason === 'forced_logout';
}

/** What becomes of a request whose id ended. */
export function endedBy(tombstone: Exclude<Tombstone, MovedTombstone>): Opened {
  if (tombstone.kind !== 'revoked' || isLogout(tombstone.reason)) return { kind: 'anonymous' };
  return { kind: 'revoked', tombstone };
}

/**
 * A request with an id that is more generations old than this, none of them ever used, is plain anonymous: each would cost a
 * read more with every request, for ever, and leave a tombstone. No browser loses so many answers in a row; the calls of one
 * page, all under way with one id while the app changes it in each, are fewer.
 */
export const MAX_UNUSED = 32;

/** What is known of a chain of ids before this one. */
interface Before {
  /** An earlier id was brought too late. */
  readonly reused: Looked['reused'];
  /** How many ids between have moved on, without ever having been used. */
  readonly unused: number;
}

/** An id whose session has moved on: what its holder is served. Reads only; may throw when Redis is away. */
export async function followMoved(
  deps: MovedDeps,
  sessionId: string,
  handle: string,
  moved: MovedTombstone,
  { reused, unused }: Before = { reused: null, unused: 0 },
): Promise<Looked> {
  const named = successorsFor(sessionId, moved);
  // Not one login, or not surely one user: forwarding would hand a session to whoever planted the old id.
  if (moved.lid === '' || named.length === 0) return nothing();
  const verdict = judgeMoved(moved.successorUsedAtMs, deps.clock());
  const own = { lid: moved.lid, handle };
  const late = reused ?? (verdict === 'reused' ? own : null);
  const { id, handle: next, found } = await bestOf(deps.sessions, named, moved.lid);
  if (found.kind === 'absent') return nothing();
  if (found.kind === 'live') return { opened: successor(id, next, found, moved.lid, verdict), reused: late };
  if (found.tombstone.kind !== 'moved') return { opened: endedBy(found.tombstone), reused: null };
  // Two generations old. Where the id between was never used, answers were lost: the chain's newest id is served.
  const older = judgeMoved(moved.successorUsedAtMs, deps.clock(), true);
  const before = { reused: late ?? (older === 'reused' ? own : null), unused: unused + 1 };
  // Where there is an alarm to raise it is raised, however far: that is once.
  if (before.reused === null && before.unused >= MAX_UNUSED) return nothing();
  return followMoved(deps, id, next, found.tombstone, before);
}

function nothing(): Looked {
  return { opened: { kind: 'anonymous' }, reused: null };
}

/**
 * Newest first; of an id that is listed more than once the latest word counts. Not those that holders of the old id must
 * not learn.
 */
function successorsFor(sessionId: string, moved: MovedTombstone): { id: string; handle: string }[] {
  const latest = new Map<string, string | null>();
  for (const { handle, sealedId } of moved.successors) {
    latest.delete(handle);
    latest.set(handle, sealedId);
  }
  return [...latest].reverse().flatMap(([handle, sealedId]) => {
    const id = sealedId === null ? null : openId(sealedId, sessionId);
    return id === null ? [] : [{ id, handle }];
  });
}

/** Two tabs that moved a session at the same time left two: the newest that lives, or has moved on in its turn. */
async function bestOf(
  sessions: GuardedSessions,
  named: readonly { id: string; handle: string }[],
  lid: string,
): Promise<Successor> {
  let best: Successor | null = null;
  for (const one of named) {
    const found = await sessions.load(one.handle);
    const rank = rankOf(found, lid);
    if (rank === 3) return { ...one, found };
    if (best === null || rank > rankOf(best.found, lid)) best = { ...one, found };
  }
  return best as Successor;
}

function rankOf(found: LoadedSession, lid: string): number {
  if (found.kind === 'live') return found.head.lid === lid ? 3 : 0;
  if (found.kind === 'absent') return 0;
  // A login that has been revoked is over, whatever its other ids still look like.
  if (found.tombstone.kind === 'revoked') return 3;
  return found.tombstone.kind === 'moved' ? 2 : 1;
}

function successor(
  id: string,
  handle: string,
  { head, data, text }: Extract<LoadedSession, { kind: 'live' }>,
  lid: string,
  verdict: GraceVerdict,
): Opened {
  if (head.lid !== lid) return { kind: 'anonymous' };
  const name = verdict === 'forward';
  const entry = { handle, head, first: false, blocked: null, id, text, brought: !name };
  return { kind: 'live', entry, data, forwardTo: name ? id : null };
}

/** The login has been ended because an old id of it came back: whoever brought that is told as a thief is. */
export function endedByReuse(handle: string, now: LoadedSession): Opened {
  if (now.kind !== 'tombstone' || now.tombstone.kind === 'moved') return { kind: 'anonymous' };
  const { tombstone } = now;
  // The gate reports it: it knows who the request came from.
  return endedBy(tombstone.kind === 'revoked' ? { ...tombstone, reused: handle } : tombstone);
}
