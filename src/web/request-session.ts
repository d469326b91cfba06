import type { RevokedTombstone } from '../ports.ts';
import type { Attached } from './attached.ts';
import type { SessionEngine } from './engine.ts';
import { type Entry, endable, lookedAgain, type OpenedLive } from './entry.ts';
import { withExpiry } from './expiry.ts';
import { randomToken } from './handle.ts';
import type { HttpRequest } from './http.ts';
import type { SessionState } from './session-store.ts';

/** What a framework's session middleware is told about the id in the cookie. */
export type Loaded =
  | { readonly kind: 'live'; readonly data: Record<string, unknown> }
  /** Not known, ended, or revoked (then `state` says so): it makes a fresh session with a fresh id. */
  | { readonly kind: 'none' }
  /** Redis was away: the session is empty, and its id is kept so that the browser's cookie stays. */
  | { readonly kind: 'away' };

export type Saved = 'saved' | 'unchanged' | 'renewed' | 'refused';

/**
 * The session of one request, for frameworks whose stores know ids only. It carries the login and the id that the request
 * came with to whatever id the app goes on with, also when the app regenerates without knowing of us.
 */
export class RequestSession {
  /** For the gate; undefined where there is nothing to say. */
  state: SessionState | undefined;
  /** Has the session middleware asked for an id? It does not for a cookie that is badly signed. */
  asked = false;
  /** The session middleware is through: what is asked from now on, the app asks. */
  begun = false;
  /** The id that the cookie must be changed to, while the session goes on under it. */
  forwardTo: string | null = null;
  /** What came of the latest save. */
  lastSave: Saved = 'unchanged';
  readonly #engine: SessionEngine;
  readonly #mayRotate: boolean;
  /** The ids that stand for `#entry`: after a forward the old one and the new one. */
  #ids: readonly string[] = [];
  #entry: Entry | null = null;
  #text: string | null = null;
  #leaving = false;
  /** The ids that were made in this request; no other new one is ever stored. */
  readonly #made: string[] = [];
  #next: string | null = null;
  /** Logged out by a login in this request already. */
  #left: readonly string[] = [];
  /** The store has said in this request that the session has the id that was brought. */
  #confirmed = false;

  /** @param mayRotate whether the answer can tell the browser a new id */
  constructor(engine: SessionEngine, mayRotate = true) {
    this.#engine = engine;
    this.#mayRotate = mayRotate;
  }

  /** Of the session now; null where it is not known to the store (yet). */
  get entry(): Entry | null {
    return this.#entry;
  }

  /**
   * The id that the request came with, where the answer must not set the cookie to it: unless the store has just said that the
   * session still has it, the browser, which may have been told a new one meanwhile, would be thrown back to the old. So a
   * cookie lives on when the session's time to live is renewed, and not with every answer.
   */
  unnamable(): string | null {
    const entry = this.#entry;
    if (!entry?.brought || (entry.id === undefined && this.#confirmed)) return null;
    return this.#ids[0] ?? null;
  }

  /** A new id, for whatever the framework wants one: the one that was decided on before, or a random one. */
  makeId(): string {
    const id = this.#next ?? newSessionId();
    this.#next = null;
    this.#made.push(id);
    return id;
  }

  /** For a framework that names a session only by making it: the forwarded one is made under its own id. */
  makeForwarded(): void {
    this.#next = this.forwardTo;
  }

  /** Does this id stand for this request's session, now or before? */
  owns(sessionId: string): boolean {
    return this.#ids.includes(sessionId) || this.#made.includes(sessionId);
  }

  /** Has another id been made since this one? Then a framework that drops it goes on with the session. */
  outlived(sessionId: string): boolean {
    return this.owns(sessionId) && this.#made.length > 0 && this.#made.at(-1) !== sessionId;
  }

  /**
   * One GET, unless the session has moved. Never throws. Only the first time it is the cookie's id, which the browser brought;
   * afterwards an app looks at its own session again, or at another one.
   */
  async load(sessionId: string): Promise<Loaded> {
    if (this.#ids.includes(sessionId)) return this.#again(sessionId);
    if (this.asked || this.begun) return this.peek(sessionId);
    this.asked = true;
    const opened = await this.#engine.open(sessionId, this.#mayRotate);
    if (opened.kind === 'anonymous') return { kind: 'none' };
    if (opened.kind === 'revoked') return this.#revoked(sessionId, opened.tombstone);
    this.#entry = opened.entry;
    this.#ids = [sessionId];
    if (opened.kind === 'unavailable') {
      this.state = { unavailable: true };
      return { kind: 'away' };
    }
    this.forwardTo = opened.forwardTo;
    if (opened.forwardTo !== null) this.#ids = [opened.forwardTo, sessionId];
    return this.#loaded(opened);
  }

  /** Reads only, and leaves this request's own session as it is. */
  async peek(sessionId: string): Promise<Loaded> {
    const { opened } = await this.#engine.look(sessionId);
    if (opened.kind === 'unavailable') return { kind: 'away' };
    return opened.kind === 'live' ? { kind: 'live', data: dataOf(opened) } : { kind: 'none' };
  }

  async #again(sessionId: string): Promise<Loaded> {
    const { opened } = await this.#engine.look(sessionId);
    if (opened.kind === 'unavailable') return { kind: 'away' };
    if (opened.kind !== 'live') return { kind: 'none' };
    this.#entry = this.#entry === null ? opened.entry : lookedAgain(this.#entry, opened.entry);
    return this.#loaded(opened);
  }

  #loaded(opened: OpenedLive): Loaded {
    this.#text = fingerprint(opened.data);
    return { kind: 'live', data: dataOf(opened) };
  }

  #revoked(sessionId: string, tombstone: RevokedTombstone): Loaded {
    this.state = { revoked: { tombstone, sessionId } };
    return { kind: 'none' };
  }

  /**
   * Writes what has changed; what has not only renews its time to live, when a part of it has gone. A refusal is no error.
   * An id that was made in this request is where the session goes on; any other one is not ours to write.
   *
   * @param ttlMs what the cookie asks for, or null for the default
   */
  async save(sessionId: string, data: object, ttlMs: number | null): Promise<Saved> {
    const entry = this.#ids.includes(sessionId) && this.#entry ? this.#entry : this.#enter(sessionId);
    if (entry === null) {
      await this.#engine.save({ ...this.#engine.fresh(sessionId), blocked: 'foreign' }, data, ttlMs);
      return 'refused';
    }
    this.lastSave = await this.#write(entry, data, ttlMs);
    if (this.lastSave !== 'unchanged') this.#confirmed = this.lastSave !== 'refused';
    return this.lastSave;
  }

  async #write(entry: Entry, data: object, ttlMs: number | null): Promise<Saved> {
    const text = fingerprint(data);
    if (!entry.first && entry.blocked === null && text === this.#text) {
      if (!this.#engine.needsTouch(entry, ttlMs)) return 'unchanged';
      return (await this.#engine.touch(entry, ttlMs)) ? 'renewed' : 'refused';
    }
    if ((await this.#engine.save(entry, data, ttlMs)) !== 'live') return 'refused';
    this.#text = text;
    return 'saved';
  }

  /** Its first save makes the move. */
  #enter(sessionId: string): Entry | null {
    if (!this.#made.includes(sessionId)) return null;
    const [oldId] = this.#ids;
    const old = this.#entry;
    this.#entry =
      old === null || oldId === undefined ? this.#engine.fresh(sessionId) : this.#engine.move(old, oldId, sessionId);
    this.#leaving = false;
    this.forwardTo = null;
    this.#ids = [sessionId];
    return this.#entry;
  }

  /** The framework drops this id because the session goes on under another one, which it saves next. */
  leave(sessionId: string): void {
    if (this.#ids.includes(sessionId)) this.#leaving = true;
  }

  /** Logout. Throws `session_unavailable` when Redis was away; it is done when Redis is back. */
  async end(sessionId: string): Promise<void> {
    if (this.#left.includes(sessionId)) return;
    this.forwardTo = null;
    const own = this.#ids.includes(sessionId) ? this.#entry : null;
    // A new id that was never stored: what ends is the session that it was to go on from.
    const left = own === null && this.#made.includes(sessionId) ? stored(this.#entry) : stored(own);
    this.#leaving = false;
    await this.#engine.logout((left ?? own ?? this.#engine.fresh(sessionId)).handle, left?.head.lid);
    if (own !== null && own !== left) own.blocked ??= 'logout';
  }

  /** The same, whatever id the session has by now. What this request goes on with is nobody's. */
  async logOut(): Promise<void> {
    const old = endable(this.#entry);
    this.#left = [...this.#left, ...this.#ids, ...this.#made];
    this.#entry = null;
    this.#ids = [];
    this.#text = null;
    this.forwardTo = null;
    this.#leaving = false;
    if (old !== null) await this.#engine.logout(old.handle, old.head.lid);
  }

  /** Is there something for `finish` to do? */
  get isLeaving(): boolean {
    return this.#leaving;
  }

  /** At the end of the request: what was left and never went on is logged out. */
  async finish(): Promise<void> {
    const left = this.#leaving || this.#entry?.emptied ? stored(this.#entry) : null;
    this.#leaving = false;
    if (left !== null) await this.#engine.end(left.handle, left.head.lid);
  }

  /** A new login under a new id, which is saved next. The session before it is logged out, if there was one. */
  begin(lid: string): { sessionId: string; ended: Promise<unknown> } {
    const old = stored(this.#entry);
    const sessionId = newSessionId();
    this.#next = sessionId;
    this.#left = [...this.#left, ...this.#ids, ...this.#made];
    this.#entry = this.#engine.fresh(sessionId, lid);
    this.#ids = [sessionId];
    this.#text = null;
    this.forwardTo = null;
    this.#leaving = false;
    const ended = old === null ? Promise.resolve(null) : this.#engine.end(old.handle, old.head.lid);
    return { sessionId, ended };
  }
}

/** The session itself, or the one that it goes on from; null where there is none in Redis. */
function stored(entry: Entry | null): Entry | null {
  return entry?.first ? (entry.origin?.entry ?? null) : entry;
}

function dataOf({ data, entry }: OpenedLive): Record<string, unknown> {
  return withExpiry(data, entry.head.renewedAtMs);
}

/** A session id of 192 bits in 32 letters, as express-session and @fastify/session make them. */
export function newSessionId(): string {
  return randomToken() + randomToken().slice(0, 10);
}

/** What `bouncer.login` and `assertNotRevoked` need of a request, whatever the framework. */
export interface RequestPort {
  readonly http: HttpRequest;
  readonly session: RequestSession;
  /** A new id, login and data, and their save; the id is known at once. Throws `session_missing`. */
  begin(lid: string, data: Readonly<Record<string, unknown>>): { sessionId: string; saved: Promise<boolean> };
  /** Ends session and login; the request goes on with an empty session. Throws `session_unavailable`. */
  logOut(): Promise<void>;
}

/** The port of each request object (or context) that an adapter has seen. */
export type RequestPorts = Attached<RequestPort>;

const LASTING = ['path', 'domain', 'secure', 'sameSite', 'httpOnly', 'partitioned', 'originalMaxAge'] as const;

/** Equal texts: nothing to write. Times at which a cookie expires differ with every request and do not count. */
function fingerprint(data: object): string {
  const { cookie, _expire: _, ...rest } = data as { cookie?: Record<string, unknown> | null; _expire?: unknown };
  return JSON.stringify([rest, cookie ? LASTING.map((name) => cookie[name] ?? null) : null]);
}
