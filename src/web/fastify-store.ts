import type { AsyncLocalStorage } from 'node:async_hooks';
import { sessionUnavailable } from '../errors.ts';
import type { AdapterDeps } from './adapter.ts';
import { notReloaded } from './entry.ts';
import { RequestSession } from './request-session.ts';
import type { Screened } from './strict-id.ts';

/** @fastify/session's session object, as far as we use it. */
export interface FastifySession {
  readonly sessionId: string;
  cookie?: { expires?: Date | string | null };
  regenerate(done: (error?: unknown) => void): void;
  save(done: (error?: unknown) => void): void;
  options(cookie: object): void;
}
type Done = (error?: unknown, value?: unknown) => void;

/** What one request carries through @fastify/session, which tells its store no more than ids. */
export interface FastifySlot {
  readonly session: RequestSession;
  readonly screened: Screened;
  /** The data of a forwarded session, on its way to its new id. */
  moving: Record<string, unknown> | null;
  /** A login is changing the id, or we have answered: the store keeps still. */
  still: boolean;
  /** `regenerate()` is changing the id. */
  changing: boolean;
  /** We have answered in place of the app: the `Set-Cookie` values of that answer, beside which no other names a session. */
  answered: readonly string[] | null;
}

export const IDLE = { moving: null, still: false, changing: false, answered: null };

export function fastifyStore(current: AsyncLocalStorage<FastifySlot>, deps: AdapterDeps) {
  return {
    get(sessionId: string, done: Done): void {
      const slot = current.getStore();
      if (slot === undefined || slot.session.begun) return look(sessionId, slot?.session, done, deps);
      const { session } = slot;
      session.load(sessionId).then((loaded) => {
        if (loaded.kind === 'none') return done(null, null);
        if (loaded.kind === 'away') return done(null, {});
        if (session.forwardTo === null) return done(null, loaded.data);
        // A fresh object under the new id: the gate's hook puts the data in, and the change has the cookie set.
        session.makeForwarded();
        slot.moving = loaded.data;
        done(null, null);
      }, done);
    },

    set(sessionId: string, data: FastifySession, done: Done): void {
      const slot = current.getStore();
      if (slot?.still) return done(null);
      // regenerate() stores the new session before the app has put anything into it. Until it has (the end of the request
      // stores it), parallel requests find the old one.
      if (slot?.changing) {
        slot.changing = false;
        return done(null);
      }
      // Outside a request nobody can say which login an id belongs to: it is not written.
      if (slot === undefined) {
        deps.log.warn(
          { event: 'session_without_request' },
          'A session was saved outside its request; it is not written',
        );
        return done(null);
      }
      const expires = data.cookie?.expires;
      const ttlMs = expires ? new Date(expires).getTime() - Date.now() : null;
      slot.session.save(sessionId, data, ttlMs).then(() => done(null), done);
    },

    destroy(sessionId: string, done: Done): void {
      const slot = current.getStore();
      if (slot?.still) return done(null);
      const session = slot?.session ?? new RequestSession(deps.engine);
      // regenerate() has made the new id already; a logout has not.
      if (session.outlived(sessionId)) {
        session.leave(sessionId);
        if (slot !== undefined) slot.changing = true;
        return done(null);
      }
      session.end(sessionId).then(() => done(null), done);
    },
  };
}

/**
 * The app asks: for another session, or by `reload()` for its own again. There @fastify/session would go on with an empty
 * session as if it had found one; so what is gone is an error, as it is in express-session.
 */
function look(id: string, session: RequestSession | undefined, done: Done, { engine }: AdapterDeps): void {
  const isOwn = session?.owns(id) ?? false;
  const looked = session?.load(id) ?? new RequestSession(engine).peek(id);
  looked.then((loaded) => {
    if (loaded.kind === 'live') return done(null, loaded.data);
    if (loaded.kind === 'away') return done(sessionUnavailable('get: Redis is away'));
    done(isOwn ? notReloaded() : null, null);
  }, done);
}
