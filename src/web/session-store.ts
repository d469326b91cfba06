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

/**
 * An express-session store in which the dead stay dead. express-session saves inside `res.end`, after the headers have
 * gone, so a refused or failed write calls back without an error and is reported through `onRefused`; and while Redis
 * is away a request goes on with an empty session instead of failing.
 */
export function createSessionStore(Store: StoreClass, deps: StoreDeps): StoreBase & BouncerStore {
  const { sessions, clock } = deps;
  const metas = new WeakMap<object, Meta>();
  const states = new WeakMap<object, SessionState>();
  const loaded = new WeakMap<object, LiveHead | Extract<Tombstone, { kind: 'revoked' }> | 'unavailable'>();

  const metaOf = (session: object): Meta => {
    let meta = metas.get(session);
    if (meta === undefined) {
      meta = { head: { renewedAtMs: 0, endsAtMs: 0, birth: randomToken(), lid: '' }, first: true, unavailable: false };
      metas.set(session, meta);
    }
    return meta;
  };

  const ttlOf = (session: SessionLike, nowMs: number): number => {
    const expires = session.cookie?.expires;
    return expires ? new Date(expires).getTime() - nowMs : deps.ttlMs;
  };

  const refuse = (operation: Refusal['operation'], outcome: Refusal['outcome']) =>
    deps.onRefused({ operation, outcome });

  class SessionStore extends Store implements BouncerStore {
    readonly [OURS] = true;

    /** One plain GET. */
    get(sessionId: string, done: Done): void {
      sessions.load(sessionHandle(sessionId)).then(
        (found) => {
          if (found.kind === 'live') {
            loaded.set(found.data, found.head);
            return done(null, found.data);
          }
          const tombstone = found.kind === 'tombstone' ? found.tombstone : null;
          // A logout, like an unknown id, is plain anonymous; only a revoked session is the gate's business.
          if (tombstone?.kind !== 'revoked') return done(null, null);
          const empty = { cookie: {} };
          loaded.set(empty, tombstone);
          done(null, empty);
        },
        (error: unknown) => {
          deps.log.debug({ event: 'session_unavailable', error: errorName(error) }, 'A session could not be loaded');
          const empty = { cookie: {} };
          loaded.set(empty, 'unavailable');
          done(null, empty);
        },
      );
    }

    override createSession(req: object, data: object): object {
      const what = loaded.get(data);
      if (what === undefined) return super.createSession(req, data);
      if (what === 'unavailable') return this.#whileAway(req as RequestLike);
      if ('kind' in what) return this.#afterRevocation(req as RequestLike, what);
      const session = super.createSession(req, data);
      metas.set(session, { head: what, first: false, unavailable: false });
      return session;
    }

    /** The request gets a fresh anonymous session, so that the open routes work; the gate bounces the others. */
    #afterRevocation(req: RequestLike, tombstone: Extract<Tombstone, { kind: 'revoked' }>): object {
      states.set(req, { revoked: { tombstone, sessionId: req.sessionID } });
      this.generate?.(req);
      return req.session;
    }

    /** Keeps the id, so that the browser's cookie is not replaced and the user is logged in again after the outage. */
    #whileAway(req: RequestLike): object {
      states.set(req, { unavailable: true });
      const { sessionID } = req;
      this.generate?.(req); // for the cookie with the app's own attributes
      const { cookie } = req.session;
      req.sessionID = sessionID;
      const session = super.createSession(req, { cookie: {} });
      Object.assign(session, { cookie });
      metaOf(session).unavailable = true;
      return session;
    }

    set(sessionId: string, session: SessionLike, done?: Done): void {
      void this.store(sessionId, session).then(() => done?.(null));
    }

    async store(sessionId: string, session: SessionLike): Promise<WriteOutcome | null> {
      const meta = metaOf(session);
      if (meta.unavailable || '__bouncer' in session) {
        refuse('save', meta.unavailable ? 'unavailable' : 'reserved_name');
        return null;
      }
      const nowMs = clock();
      const wanted = ttlOf(session, nowMs);
      const endsAtMs = meta.first ? nowMs + Math.max(deps.absoluteTtlMs, wanted) : meta.head.endsAtMs;
      const ttlMs = Math.min(wanted, endsAtMs - nowMs);
      if (ttlMs <= 0) return this.#end(sessionId, nowMs);
      const head: LiveHead = { ...meta.head, renewedAtMs: nowMs, endsAtMs };
      const outcome = await this.#write('save', () =>
        sessions.save(sessionHandle(sessionId), meta.first, head, session, ttlMs),
      );
      if (outcome === 'live') Object.assign(meta, { head, first: false });
      return outcome;
    }

    touch(sessionId: string, session: SessionLike, done?: Done): void {
      const meta = metaOf(session);
      const nowMs = clock();
      const ttlMs = ttlOf(session, nowMs);
      if (meta.first || meta.unavailable || nowMs - meta.head.renewedAtMs < ttlMs * deps.renewAfter)
        return done?.(null);
      void this.#write('touch', () => sessions.touch(sessionHandle(sessionId), nowMs, ttlMs)).then((outcome) => {
        if (outcome === 'live') meta.head = { ...meta.head, renewedAtMs: nowMs };
        done?.(null);
      });
    }

    destroy(sessionId: string, done?: Done): void {
      void this.#end(sessionId, clock()).then(() => done?.(null));
    }

    /** A session that was never stored has nothing to end: one command less on every login. */
    override regenerate(req: object, done: (error?: unknown) => void): void {
      const { session } = req as RequestLike;
      if (session && metaOf(session).first) {
        this.generate?.(req);
        done();
      } else super.regenerate(req, done);
    }

    stateOf(req: object): SessionState | undefined {
      return states.get(req);
    }

    stamp(session: object, lid: string): void {
      const meta = metaOf(session);
      meta.head = { ...meta.head, lid };
    }

    #end(sessionId: string, nowMs: number): Promise<WriteOutcome | null> {
      return this.#write('destroy', () => sessions.destroy(sessionHandle(sessionId), nowMs, deps.absoluteTtlMs));
    }

    /** Null when Redis was away. */
    async #write(operation: Refusal['operation'], write: () => Promise<WriteOutcome>): Promise<WriteOutcome | null> {
      try {
        const outcome = await write();
        if (operation !== 'destroy' && outcome !== 'live') refuse(operation, outcome);
        return outcome;
      } catch (error) {
        deps.log.debug({ event: 'session_unavailable', error: errorName(error) }, 'A session could not be written');
        refuse(operation, 'unavailable');
        return null;
      }
    }
  }
  return new SessionStore();
}
