import { BouncerError } from '../errors.ts';
import type { WriteOutcome } from '../ports.ts';
import type { SessionEngine } from './engine.ts';
import type { Entry, SessionState } from './entry.ts';
import { ExpressCore, type Made, type Maker, type RequestLike, type SessionLike } from './express-core.ts';

export type { SessionState } from './entry.ts';

/** The part of express-session's `Store` class that we build on (its `generate` is put there by `session()`). */
export interface StoreBase {
  generate?(req: object): void;
  createSession(req: object, data: object): object;
  regenerate(req: object, done: (error?: unknown) => void): void;
}
export type StoreClass = { new (): StoreBase; readonly prototype: StoreBase };

/** Of express-session's module. Left out, or given as something else, it is said which call that was. */
export function storeClassOf(session: { readonly Store: unknown }, call: 'store' | 'express'): StoreClass {
  const Store = (session as { readonly Store: unknown } | undefined)?.Store;
  if (typeof Store === 'function') return Store as unknown as StoreClass;
  throw new BouncerError('option_invalid', `${call}: give express-session's own function: bouncer.${call}(session)`);
}

type Done = (error?: unknown, value?: unknown) => void;

/** What the rest of the web tier may ask of our store. */
export interface BouncerStore {
  stateOf(req: object): SessionState | undefined;
  lidOf(session: object | undefined): string;
  /** Null for a session object that the store has not seen. */
  entryOf(session: object): Entry | null;
  /** May the answer set the cookie to the id of this session? See the engine. */
  mayName(session: object | undefined): boolean;
  /** What the request's cookie calls for and is not done yet, before any handler; null where that is nothing. */
  settle(req: object): Promise<void> | null;
  /** Gives the request a new session with a new id that belongs to a new login; the old session is logged out. */
  renew(req: object, lid: string): Promise<void>;
  /** Ends the session and its login; the request goes on with an empty one. Throws `session_unavailable`. */
  logOut(req: object): Promise<void>;
  /** Stores it now; null when that was refused or Redis was away. */
  store(sessionId: string, session: object): Promise<WriteOutcome | null>;
}

/**
 * What express-session calls its callback where it ends a session itself (`unset: 'destroy'`): in `res.end`, after the
 * headers have gone, an error would cut the answer. The session ends when Redis is back all the same.
 */
const ITS_OWN = 'ondestroy';

const OURS: unique symbol = Symbol.for('session-bouncer.store');

export function isBouncerStore(store: unknown): store is BouncerStore {
  return typeof store === 'object' && store !== null && OURS in store;
}

/**
 * An express-session store in which the dead stay dead. express-session saves inside `res.end`, after the headers have
 * gone, so a refused or failed write calls back without an error; and while Redis is away a request goes on with an
 * empty session instead of failing. Only a logout that was not done says so.
 */
export function createSessionStore(Store: StoreClass, engine: SessionEngine): StoreBase & BouncerStore {
  class SessionStore extends Store {
    readonly [OURS] = true;

    get(sessionId: string, done: Done): void {
      void core.load(sessionId).then((data) => done(null, data));
    }

    set(sessionId: string, session: SessionLike, done?: Done): void {
      void core.save(sessionId, session).then(() => done?.(null));
    }

    touch(sessionId: string, session: SessionLike, done?: Done): void {
      const touched = core.touch(sessionId, session);
      if (touched === null) return done?.(null);
      void touched.then(() => done?.(null));
    }

    destroy(sessionId: string, done?: Done): void {
      void core.destroy(sessionId).then((error) => done?.(done.name === ITS_OWN ? null : error));
    }

    override createSession(req: object, data: object): object {
      return core.inflate(req as RequestLike, data);
    }

    /** Never an error: an app that ignores it would go on all the same, and the new id is then dead. */
    override regenerate(req: object, done: (error?: unknown) => void): void {
      core.regenerate(req as RequestLike);
      setImmediate(done); // as every other store: later
    }

    async renew(req: object, lid: string): Promise<void> {
      await core.renew(req as RequestLike, lid);
    }

    async logOut(req: object): Promise<void> {
      await core.logOut(req as RequestLike);
    }

    settle(req: object): Promise<void> | null {
      return core.settle(req as RequestLike);
    }
  }
  const store = new SessionStore();
  const maker = reloadable(() => core, {
    create: (req, data) => Store.prototype.createSession.call(store, req, data),
    generate: (req) => store.generate?.(req),
  });
  const core = new ExpressCore(engine, maker);
  return Object.assign(store, answersOf(core));
}

/** The same, whose sessions have a `reload` of ours: express-session's own would make a fresh session of one that has ended. */
function reloadable(core: () => ExpressCore, { create, generate }: Maker): Maker {
  // One for all sessions: it is put onto each that is loaded.
  function value(this: Made, done: Done): void {
    void core()
      .reload(this.req, this.id, this)
      .then((error) => (error === null ? done() : done(error)));
  }
  const reload = { configurable: true, enumerable: false, writable: true, value };
  return {
    create: (req, data) => Object.defineProperty(create(req, data), 'reload', reload),
    generate: (req) => {
      generate(req);
      Object.defineProperty(req.session, 'reload', reload);
    },
  };
}

function answersOf(core: ExpressCore): Omit<BouncerStore, 'renew' | 'logOut' | 'settle'> {
  return {
    stateOf: (req) => core.stateOf(req),
    lidOf: (session) => core.lidOf(session),
    entryOf: (session) => core.known(session),
    mayName: (session) => core.mayName(session),
    store: (sessionId, session) => core.save(sessionId, session),
  };
}
