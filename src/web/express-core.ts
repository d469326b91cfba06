import { sessionUnavailable } from '../errors.ts';
import type { WriteOutcome } from '../ports.ts';
import { Attached } from './attached.ts';
import { isBrought as isUnderItsId, type SessionEngine } from './engine.ts';
import {
  type Entry,
  endable,
  type Looked,
  lookedAgain,
  notReloaded,
  type Opened,
  type OpenedLive,
  type SessionState,
} from './entry.ts';
import { withExpiry } from './expiry.ts';
import { isUpgrade } from './upgrade.ts';

export interface SessionLike {
  cookie?: { expires?: Date | string | null };
}
export interface RequestLike {
  sessionID: string;
  session: SessionLike;
  /** Express puts the response there. */
  res?: { once?(event: 'finish', listener: () => void): unknown; readonly closed?: boolean };
  readonly headers?: Readonly<Record<string, string | readonly string[] | undefined>>;
}
/** What express-session's sessions know of themselves, in properties that are not enumerated. */
export interface Made {
  readonly id: string;
  readonly req: RequestLike;
}
/** How express-session makes a request's session objects. */
export interface Maker {
  /** Of stored data, under the request's id as it is now. */
  create(req: RequestLike, data: object): object;
  /** A fresh one, under a fresh id. */
  generate(req: RequestLike): void;
}

/** Milliseconds that the cookie asks for, or null where it says none. */
function ttlOf(session: SessionLike): number | null {
  const expires = session.cookie?.expires;
  return expires ? new Date(expires).getTime() - Date.now() : null;
}

/** What a loaded value turned out to be. */
interface Found {
  readonly opened: Exclude<Opened, { kind: 'anonymous' }>;
  /** The id had been left long ago. */
  readonly reused: Looked['reused'];
}
type Pending =
  | { readonly kind: 'alarm'; readonly sessionId: string; readonly ended: Promise<Opened> }
  | { readonly kind: 'rotate'; readonly sessionId: string; readonly opened: OpenedLive };

/** As express-session compares: without the cookie, which changes with every request. */
function textOf(session: object): string {
  return JSON.stringify({ ...session, cookie: undefined });
}

function dataOf({ data, entry }: OpenedLive): Record<string, unknown> {
  return withExpiry(data, entry.head.renewedAtMs);
}

/** For express-session, which makes a session of it and changes it in doing so. */
function loadedOf(opened: OpenedLive): object {
  const data = dataOf(opened);
  // The cookie of a session that differs from what was loaded is set: so a forwarded one does.
  if (opened.forwardTo !== null) return { ...data, forwarded: true };
  return data === opened.data ? { ...data } : data;
}

/** More regenerated sessions than this that are neither saved nor destroyed, at the same time: the oldest are forgotten. */
const MAX_UNSAVED = 1000;

/** Keeps the engine's entries with express-session's objects. */
export class ExpressCore {
  readonly #engine: SessionEngine;
  readonly #maker: Maker;
  readonly #entries = new Attached<Entry>();
  /** By loaded values, until express-session makes a session object of one. */
  readonly #found = new Attached<Found>();
  // Of few requests; those of all others have nothing to do with them.
  readonly #states = new WeakMap<object, SessionState>();
  /** express-session always saves a session under another id than the cookie's; an unchanged one is stored already. */
  readonly #asLoaded = new WeakMap<object, string>();
  /** What a request's cookie calls for and no store call can do: the gate waits for it. */
  readonly #pending = new WeakMap<object, Pending>();

  /** What took the place of a session that was logged out. */
  readonly #signedOut = new WeakSet<object>();

  /** By their ids: those that go on from another session and are not stored yet. */
  readonly #unsaved = new Map<string, Entry>();

  constructor(engine: SessionEngine, maker: Maker) {
    this.#engine = engine;
    this.#maker = maker;
  }

  /**
   * A look, which changes nothing: express-session asks by the id alone, and so does an app that wants to know about a session.
   * Whose cookie brought the id is known when a session is made of the answer.
   */
  async load(sessionId: string): Promise<object | null> {
    const { opened, reused } = await this.#engine.look(sessionId);
    if (opened.kind === 'anonymous') return null;
    const data = opened.kind === 'live' ? loadedOf(opened) : { cookie: {} };
    this.#found.set(data, { opened, reused });
    return data;
  }

  inflate(req: RequestLike, data: object): object {
    const found = this.#found.get(data);
    if (found === undefined) return this.#maker.create(req, data);
    const { opened, reused } = found;
    // `store.load` has no request, and a request that has its session has had its cookie looked at.
    const isBrought = req.session === undefined && req.headers !== undefined;
    if (isBrought && reused !== null) {
      const { sessionID: sessionId } = req;
      this.#pending.set(req, { kind: 'alarm', sessionId, ended: this.#engine.alarm(sessionId, reused) });
      this.#maker.generate(req);
      // express-session compares what was loaded with what it has at the end: else it would store the fresh session, and set
      // its cookie behind the one that takes the old id away.
      for (const name of Object.keys(data)) if (name !== 'cookie') Reflect.deleteProperty(data, name);
      return req.session;
    }
    if (opened.kind === 'live') return this.#inflateLive(req, data, opened, isBrought);
    if (opened.kind === 'unavailable') return this.#whileAway(req, opened.entry);
    this.#bounce(req, req.sessionID, opened);
    return req.session;
  }

  /** A fresh anonymous session, so that the open routes work; the gate bounces the others. */
  #bounce(req: RequestLike, sessionId: string, opened: Opened): void {
    this.#note(req, sessionId, opened);
    this.#maker.generate(req);
  }

  #note(req: RequestLike, sessionId: string, opened: Opened): void {
    if (opened.kind === 'revoked') this.#states.set(req, { revoked: { tombstone: opened.tombstone, sessionId } });
    if (opened.kind === 'unavailable') this.#states.set(req, { unavailable: true });
  }

  #inflateLive(req: RequestLike, data: object, opened: OpenedLive, isBrought: boolean): object {
    const { entry, forwardTo } = opened;
    const sessionId = req.sessionID;
    if (forwardTo !== null) req.sessionID = forwardTo;
    const session = this.#maker.create(req, forwardTo === null ? data : dataOf(opened));
    this.#entries.set(session, entry);
    if (forwardTo !== null) this.#asLoaded.set(session, textOf(session));
    if (!isBrought || !isUnderItsId(opened)) return session;
    this.#engine.arrived(entry);
    if (!isUpgrade(req.headers ?? {}) && this.#engine.isDue(entry.head)) {
      this.#pending.set(req, { kind: 'rotate', sessionId, opened });
    }
    return session;
  }

  /** The rest of what a request's cookie calls for, before any handler; null where that is nothing. */
  settle(req: RequestLike): Promise<void> | null {
    const pending = this.#pending.get(req);
    if (pending === undefined) return null;
    this.#pending.delete(req);
    const { sessionId } = pending;
    // A middleware before the gate has given the request another session (or none): that one goes on.
    if (pending.kind === 'rotate' && this.#entries.get(req.session ?? {}) !== pending.opened.entry) return null;
    if (pending.kind === 'rotate') return this.#rotate(req, sessionId, pending.opened);
    // The fresh session stays.
    return pending.ended.then((opened) => this.#note(req, sessionId, opened));
  }

  async #rotate(req: RequestLike, sessionId: string, old: OpenedLive): Promise<void> {
    const opened = await this.#engine.rotate(sessionId, old);
    if (opened === old) return;
    if (opened.kind !== 'live') return this.#bounce(req, sessionId, opened);
    const { forwardTo, entry } = opened;
    // What a middleware before the gate has put into it goes along.
    const { cookie, ...own } = req.session;
    const isChanged = textOf(own) !== textOf(old.data);
    req.sessionID = forwardTo ?? sessionId;
    const data = isChanged ? { ...own, cookie: JSON.parse(JSON.stringify(cookie ?? {})) } : dataOf(opened);
    const session = this.#maker.create(req, data);
    this.#entries.set(session, entry);
    this.#asLoaded.set(session, textOf(opened.data));
  }

  /** The app's own `reload`: the session as it stands now. Resolves to the error, or null. */
  async reload(req: RequestLike, sessionId: string, session: object): Promise<Error | null> {
    const { opened } = await this.#engine.look(sessionId);
    if (opened.kind === 'unavailable') return sessionUnavailable('reload: Redis is away');
    if (opened.kind !== 'live') return notReloaded();
    const before = this.#entries.get(session);
    const made = this.#maker.create(req, dataOf(opened));
    this.#entries.set(made, before === undefined ? opened.entry : lookedAgain(before, opened.entry));
    return null;
  }

  /** Keeps the id, so that the browser's cookie is not replaced and the user is logged in again after the outage. */
  #whileAway(req: RequestLike, entry: Entry): object {
    this.#states.set(req, { unavailable: true });
    const { sessionID } = req;
    this.#maker.generate(req); // for the cookie with the app's own attributes
    const { cookie } = req.session;
    req.sessionID = sessionID;
    const session = this.#maker.create(req, { cookie: {} });
    Object.assign(session, { cookie });
    this.#entries.set(session, entry);
    return session;
  }

  async save(sessionId: string, session: SessionLike): Promise<WriteOutcome | null> {
    const found = this.#found.get(session);
    if (found !== undefined) return this.#saveOpened(sessionId, session, found);
    if (this.#isLeftEmpty(session)) return 'live';
    const loaded = this.#asLoaded.get(session);
    this.#asLoaded.delete(session);
    if (loaded !== undefined && loaded === textOf(session)) {
      await this.#engine.touch(this.entryOf(sessionId, session), ttlOf(session));
      return 'live';
    }
    const entry = this.entryOf(sessionId, session);
    const outcome = await this.#engine.save(entry, session, ttlOf(session));
    if (!entry.first) this.#unsaved.delete(sessionId);
    // Its client has hung up: nobody will hear of the new id, and "finish" never comes.
    if (entry.emptied && (session as Partial<Made>).req?.res?.closed) await this.#endLeft(sessionId);
    return outcome;
  }

  /** Null where nothing is sent. */
  touch(sessionId: string, session: SessionLike): Promise<unknown> | null {
    return this.#engine.touchDue(this.entryOf(sessionId, session), ttlOf(session));
  }

  mayName(session: object | undefined): boolean {
    if (session !== undefined && this.#isLeftEmpty(session)) return false;
    const entry = this.#entries.get(session);
    return entry === undefined || this.#engine.mayName(entry);
  }

  /** The app brings back what it was given by `get`: no object of express-session's, but a session that was loaded. */
  #saveOpened(sessionId: string, data: SessionLike, { opened }: Found): Promise<WriteOutcome | null> {
    const { forwarded: _, ...own } = data as SessionLike & { forwarded?: unknown };
    const isForwarded = opened.kind === 'live' && opened.forwardTo !== null;
    return this.#engine.save(this.entryOf(sessionId, data), isForwarded ? own : data, ttlOf(data));
  }

  #liveEntry(data: object): Entry | undefined {
    const opened = this.#found.get(data)?.opened;
    return opened === undefined || opened.kind === 'revoked' ? undefined : opened.entry;
  }

  /** By the id alone: express-session says no more. A moved id logs its successors out. Resolves to the error, or null. */
  destroy(sessionId: string): Promise<unknown> {
    const left = this.#leave(sessionId);
    const { handle } = left ?? this.#engine.fresh(sessionId);
    return this.#engine.logout(handle, left?.head.lid).then(
      () => null,
      (error: unknown) => error,
    );
  }

  /** The old id is moved when the new one is first saved; or it ends with the request, where the app never does that. */
  regenerate(req: RequestLike): void {
    const { session, sessionID } = req;
    const old = session ? this.entryOf(sessionID, session) : null;
    this.#maker.generate(req);
    if (old === null) return;
    const entry = this.#engine.move(old, sessionID, req.sessionID);
    this.#entries.set(req.session, entry);
    this.#unsaved.delete(sessionID);
    if (entry.origin === undefined) return;
    const newId = req.sessionID;
    this.#unsaved.set(newId, entry);
    const [oldest] = this.#unsaved.keys();
    if (this.#unsaved.size > MAX_UNSAVED && oldest !== undefined) this.#unsaved.delete(oldest);
    req.res?.once?.('finish', () => void this.#endLeft(newId));
  }

  async #endLeft(newId: string): Promise<void> {
    const left = this.#leave(newId);
    if (left !== null) await this.#engine.end(left.handle, left.head.lid);
  }

  /** The session that this new id was to go on from, if it never did; it will not any more. */
  #leave(newId: string): Entry | null {
    const entry = this.#unsaved.get(newId);
    this.#unsaved.delete(newId);
    if (entry?.origin === undefined || !entry.first || entry.blocked !== null) return null;
    entry.blocked = 'logout';
    return entry.origin.entry;
  }

  async renew(req: RequestLike, lid: string): Promise<void> {
    const { session, sessionID } = req;
    const old = session ? this.entryOf(sessionID, session) : null;
    this.#maker.generate(req);
    this.#entries.set(req.session, this.#engine.fresh(req.sessionID, lid));
    // A session that was never stored has nothing to end: one command less on every login.
    const stored = old?.first ? this.#leave(sessionID) : old;
    if (stored) await this.#engine.end(stored.handle, stored.head.lid);
  }

  async logOut(req: RequestLike): Promise<void> {
    const { session, sessionID } = req;
    if (!session) return;
    const own = this.entryOf(sessionID, session);
    const old = endable(own);
    this.#leave(sessionID);
    own.blocked ??= 'logout';
    this.#maker.generate(req);
    this.#entries.set(req.session, this.#engine.fresh(req.sessionID));
    this.#signedOut.add(req.session);
    if (old !== null) await this.#engine.logout(old.handle, old.head.lid);
  }

  /** express-session stores what has another id than the cookie's, be it empty. */
  #isLeftEmpty(session: object): boolean {
    return this.#signedOut.has(session) && textOf(session) === '{}';
  }

  stateOf(req: object): SessionState | undefined {
    return this.#states.get(req);
  }

  lidOf(session: object | undefined): string {
    return this.#entries.get(session)?.head.lid ?? '';
  }

  known(session: object): Entry | null {
    return this.#entries.get(session) ?? null;
  }

  entryOf(sessionId: string, session: object): Entry {
    let entry = this.#entries.get(session);
    if (entry === undefined) {
      entry = this.#liveEntry(session) ?? this.#engine.fresh(sessionId);
      this.#entries.set(session, entry);
    }
    return entry;
  }
}
