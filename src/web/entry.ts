import { BouncerError } from '../errors.ts';
import type { LiveHead, Refusal, RevokedTombstone } from '../ports.ts';

/**
 * What we know of one session in one request, beside the app's data. An adapter keeps it with the session object (or the
 * request) and hands it back with every call; it never reaches the app.
 */
export interface Entry {
  /** Of the id that is written to. In the tail after a move this is the successor's, whatever id the cookie has. */
  handle: string;
  head: LiveHead;
  /** Generated in this request and not stored yet. */
  first: boolean;
  /** Its id is of a shape that no request is served with. */
  readonly malformed?: boolean;
  /** Where its login began in this request: when, milliseconds since the epoch. */
  loginAtMs?: number | undefined;
  /** Nothing is ever written: Redis was away when it was to be loaded, or the move to this id was refused. */
  blocked: Refusal['outcome'] | null;
  /** In the tail after a move: the id that `handle` is of, which the cookie does not have. Never leaves this process. */
  readonly id?: string;
  /** Loaded under the very id that the cookie has. */
  readonly brought?: boolean;
  /** The stored value as it was loaded. */
  readonly text?: string;
  /** The session goes on from this one when it is first saved. */
  origin?: Origin;
  /** The answer sets the cookie to the id that it came with. */
  named?: boolean;
  /** At its end the request had nothing to write: what its cookie asks for, milliseconds, or null for the default. */
  idleTtlMs?: number | null;
  /** Stored in this request. */
  saved?: boolean;
  /** The app has regenerated the session and left nothing in it: where that is so at the request's end, it was a logout. */
  emptied?: boolean;
  /** A write found that the session has moved on in the meantime. */
  movedOn?: boolean;
}

/** The session that a new id goes on from. */
export interface Origin {
  readonly entry: Entry;
  /** Its id, and the new one: to seal the one for holders of the other. */
  readonly id: string;
  readonly newId: string;
  /** Whether holders of the old id are forwarded; null before the first save. */
  sealed: boolean | null;
}

/** What a logout ends in Redis: the session itself, or the one that it was to go on from; null where there is none. */
export function endable(entry: Entry | null): Entry | null {
  if (!entry?.first) return entry;
  return entry.origin?.entry ?? (entry.blocked === 'unavailable' ? entry : null);
}

export type Opened =
  /** `forwardTo`: the id that the cookie must be changed to. */
  | {
      readonly kind: 'live';
      readonly entry: Entry;
      readonly data: Record<string, unknown>;
      readonly forwardTo: string | null;
    }
  /** Unknown, expired, logged out: plain anonymous. */
  | { readonly kind: 'anonymous' }
  /** For a fraud reason: the gate's business. */
  | { readonly kind: 'revoked'; readonly tombstone: RevokedTombstone }
  /** Redis could not be asked. The entry is blocked. */
  | { readonly kind: 'unavailable'; readonly entry: Entry };

/** A look at an id, which changes nothing. */
export interface Looked {
  readonly opened: Opened;
  /**
   * The id was brought long after its session had moved on, and the login lives: two parties hold it. Where the browser
   * brought it, the login ends; where an app has only asked about an id that it has kept, nobody brought anything.
   */
  readonly reused: { readonly lid: string; readonly handle: string } | null;
}

export type OpenedLive = Extract<Opened, { kind: 'live' }>;

/** What the gate asks about a request. */
export interface SessionState {
  /** The session that the request's cookie named was revoked. */
  revoked?: { readonly tombstone: RevokedTombstone; readonly sessionId: string };
  /** The store could not be asked: the request goes on as anonymous. */
  unavailable?: boolean;
  /** The login that this request's session belongs to; '' or absent for an anonymous one. */
  lid?: string;
}

/** The request's own session, looked at once more: what the request has done to it and its cookie before still counts. */
export function lookedAgain(before: Entry, now: Entry): Entry {
  if (before.handle === now.handle)
    return {
      ...before,
      head: now.head,
      ...(now.text === undefined ? {} : { text: now.text }),
      first: false,
      blocked: null,
    };
  const { brought = false, named = false, saved = false } = before;
  return { ...now, brought, named, saved };
}

/** In express-session's own words, which an app may know. */
export function notReloaded(): BouncerError {
  return new BouncerError('session_ended', 'failed to load session: it has ended; send the user to the login page');
}
