import { errorName } from '../errors.ts';
import type { Clock, GuardedSessions, LiveHead, Log, Refusal, Tombstone, WriteOutcome } from '../ports.ts';
import { randomToken, sessionHandle } from './handle.ts';

/** The part of express-session's `Store` class that we build on (its `generate` is put there by `session()`). */
export interface StoreBase {
  generate?(req: object): void;
  createSession(req: object, data: object): object;
  regenerate(req: object, done: (error?: unknown) => void): void;
}
export type StoreClass = new () => StoreBase;

type Done = (error?: unknown, value?: unknown) => void;

interface SessionLike {
  cookie?: { expires?: Date | string | null; originalMaxAge?: number | null };
}
interface RequestLike {
  sessionID: string;
  session: SessionLike;
}

export interface StoreDeps {
  readonly sessions: GuardedSessions;
  readonly clock: Clock;
  readonly log: Log;
  /** Life of a session whose cookie says none, milliseconds. */
  readonly ttlMs: number;
  /** No session lives longer than this (or its first cookie, if that is longer), however often it is renewed. */
  readonly absoluteTtlMs: number;
  /** The time to live is renewed when this part of it (0..1) has gone. */
  readonly renewAfter: number;
  /** Told of every write that was refused; never an error into the app. */
  onRefused(refusal: Refusal): void;
}

/** What we know of one session object beside the app's data. Never part of what the app sees. */
interface Meta {
  head: LiveHead;
  /** Generated in this request and not stored yet. */
  first: boolean;
  /** Redis was away when it was to be loaded: it is empty, and must never overwrite what is stored. */
  unavailable: boolean;
}

/** What the gate asks about a request. */
export interface SessionState {
  /** The session that the request's cookie named was revoked. */
  revoked?: { readonly tombstone: Extract<Tombstone, { kind: 'revoked' }>; readonly sessionId: string };
  /** The store could not be asked: the request goes on as anonymous. */
  unavailable?: boolean;
}

/** What the rest of the web tier may ask of our store. */
export interface BouncerStore {
  stateOf(req: object): SessionState | undefined;
  /** Makes `session` belong to a login. It must not be stored yet. */
  stamp(session: object, lid: string): void;
  /** Stores it now; null when Redis was away. */
  store(sessionId: string, session: object): Promise<WriteOutcome | null>;
}

const OURS: unique symbol = Symbol.for('session-bouncer.store');

export function isBouncerStore(store: unknown): store is BouncerStore {
  return typeof store === 'object' && store !== null && OURS in store;
}

type RevokedTombstone = Extract<Tombstone, { kind: 'revoked' }>;

/**
 * An express-session store in which the dead stay dead. express-session saves inside `res.end`, after the headers have
 * gone, so a refused or failed write calls back without an error and is reported through `onRefused`; and while Redis
 * is away a request goes on with an empty session instead of failing.
 */
export function createSessionStore(Store: StoreClass, deps: StoreDeps): StoreBase & BouncerStore {
  const core = new StoreCore(deps);
  class SessionStore extends Store implements BouncerStore {
    readonly [OURS] = true;

    get(sessionId: string, done: Done): void {
      void core.load(sessionId).then((data) => done(null, data));
    }

    set(sessionId: string, session: SessionLike, done?: Done): void {
      void core.save(sessionId, session).then(() => done?.(null));
    }

    touch(sessionId: string, session: SessionLike, done?: Done): void {
      if (!core.needsTouch(session)) return done?.(null);
      void core.touch(sessionId, session).then(() => done?.(null));
    }

    destroy(sessionId: string, done?: Done): void {
      void core.end(sessionId).then(() => done?.(null));
    }

    override createSession(req: object, data: object): object {
      const create = (given: object) => super.createSession(req, given);
      return core.inflate(req as RequestLike, data, create, () => this.generate?.(req));
    }

    /** A session that was never stored has nothing to end: one command less on every login. */
    override regenerate(req: object, done: (error?: unknown) => void): void {
      if (!core.isUnsaved((req as RequestLike).session)) return super.regenerate(req, done);
      this.generate?.(req);
      done();
    }

    stateOf(req: object): SessionState | undefined {
      return core.stateOf(req);
    }

    stamp(session: object, lid: string): void {
      core.stamp(session, lid);
    }

    store(sessionId: string, session: object): Promise<WriteOutcome | null> {
      return core.save(sessionId, session);
    }
  }
  return new SessionStore();
}

class StoreCore {
  readonly #deps: StoreDeps;
  readonly #metas = new WeakMap<object, Meta>();
  readonly #states = new WeakMap<object, SessionState>();
  /** What a loaded value turned out to be, until express-session makes a session object of it. */
  readonly #loaded = new WeakMap<object, LiveHead | RevokedTombstone | 'unavailable'>();

  constructor(deps: StoreDeps) {
    this.#deps = deps;
  }

  /** One plain GET. Null: plain anonymous (an unknown id, or a logout; only a revoked session is the gate's business). */
  async load(sessionId: string): Promise<object | null> {
    try {
      const found = await this.#deps.sessions.load(sessionHandle(sessionId));
      if (found.kind === 'absent') return null;
      if (found.kind === 'live') return this.#remember(found.data, found.head);
      return found.tombstone.kind === 'revoked' ? this.#remember({ cookie: {} }, found.tombstone) : null;
    } catch (error) {
      this.#deps.log.debug({ event: 'session_unavailable', error: errorName(error) }, 'A session could not be loaded');
      return this.#remember({ cookie: {} }, 'unavailable');
    }
  }

  #remember(data: object, what: LiveHead | RevokedTombstone | 'unavailable'): object {
    this.#loaded.set(data, what);
    return data;
  }

  inflate(req: RequestLike, data: object, create: (data: object) => object, generate: () => void): object {
    const what = this.#loaded.get(data);
    if (what === 'unavailable') return this.#whileAway(req, create, generate);
    if (what !== undefined && 'kind' in what) {
      // A fresh anonymous session, so that the open routes work; the gate bounces the others.
      this.#states.set(req, { revoked: { tombstone: what, sessionId: req.sessionID } });
      generate();
      return req.session;
    }
    const session = create(data);
    if (what !== undefined) this.#metas.set(session, { head: what, first: false, unavailable: false });
    return session;
  }

  /** Keeps the id, so that the browser's cookie is not replaced and the user is logged in again after the outage. */
  #whileAway(req: RequestLike, create: (data: object) => object, generate: () => void): object {
    this.#states.set(req, { unavailable: true });
    const { sessionID } = req;
    generate(); // for the cookie with the app's own attributes
    const { cookie } = req.session;
    req.sessionID = sessionID;
    const session = create({ cookie: {} });
    Object.assign(session, { cookie });
    this.#metaOf(session).unavailable = true;
    return session;
  }

  async save(sessionId: string, session: SessionLike): Promise<WriteOutcome | null> {
    const meta = this.#metaOf(session);
    if (meta.unavailable) return this.#refuse('save', 'unavailable');
    if ('__bouncer' in session) return this.#refuse('save', 'reserved_name');
    const nowMs = this.#deps.clock();
    const wantedMs = this.#ttlOf(session, nowMs);
    const endsAtMs = meta.first ? nowMs + Math.max(this.#deps.absoluteTtlMs, wantedMs) : meta.head.endsAtMs;
    const ttlMs = Math.min(wantedMs, endsAtMs - nowMs);
    if (ttlMs <= 0) return this.end(sessionId);
    const head: LiveHead = { ...meta.head, renewedAtMs: nowMs, endsAtMs };
    const outcome = await this.#write('save', (sessions) =>
      sessions.save(sessionHandle(sessionId), meta.first, head, session, ttlMs),
    );
    if (outcome === 'live') Object.assign(meta, { head, first: false });
    return outcome;
  }

  /** Most unmodified requests need no second command: the time to live is renewed when part of it has gone. */
  needsTouch(session: SessionLike): boolean {
    const { head, first, unavailable } = this.#metaOf(session);
    if (first || unavailable) return false;
    const nowMs = this.#deps.clock();
    return nowMs - head.renewedAtMs >= this.#ttlOf(session, nowMs) * this.#deps.renewAfter;
  }

  async touch(sessionId: string, session: SessionLike): Promise<void> {
    const meta = this.#metaOf(session);
    const nowMs = this.#deps.clock();
    const ttlMs = this.#ttlOf(session, nowMs);
    const outcome = await this.#write('touch', (sessions) => sessions.touch(sessionHandle(sessionId), nowMs, ttlMs));
    if (outcome === 'live') meta.head = { ...meta.head, renewedAtMs: nowMs };
  }

  /** Logout. */
  end(sessionId: string): Promise<WriteOutcome | null> {
    const { clock, absoluteTtlMs } = this.#deps;
    return this.#write('destroy', (sessions) => sessions.destroy(sessionHandle(sessionId), clock(), absoluteTtlMs));
  }

  isUnsaved(session: object | undefined): boolean {
    return session !== undefined && session !== null && this.#metaOf(session).first;
  }

  stateOf(req: object): SessionState | undefined {
    return this.#states.get(req);
  }

  stamp(session: object, lid: string): void {
    const meta = this.#metaOf(session);
    meta.head = { ...meta.head, lid };
  }

  #metaOf(session: object): Meta {
    let meta = this.#metas.get(session);
    if (meta === undefined) {
      meta = { head: { renewedAtMs: 0, endsAtMs: 0, birth: randomToken(), lid: '' }, first: true, unavailable: false };
      this.#metas.set(session, meta);
    }
    return meta;
  }

  #ttlOf(session: SessionLike, nowMs: number): number {
    const expires = session.cookie?.expires;
    return expires ? new Date(expires).getTime() - nowMs : this.#deps.ttlMs;
  }

  /** Null when Redis was away. */
  async #write(
    operation: Refusal['operation'],
    write: (sessions: GuardedSessions) => Promise<WriteOutcome>,
  ): Promise<WriteOutcome | null> {
    try {
      const outcome = await write(this.#deps.sessions);
      if (operation !== 'destroy' && outcome !== 'live') this.#refuse(operation, outcome);
      return outcome;
    } catch (error) {
      this.#deps.log.debug({ event: 'session_unavailable', error: errorName(error) }, 'A session could not be written');
      return this.#refuse(operation, 'unavailable');
    }
  }

  #refuse(operation: Refusal['operation'], outcome: Refusal['outcome']): null {
    this.#deps.onRefused({ operation, outcome });
    return null;
  }
}
