import { errorName } from '../errors.ts';
import type { Log, Logins, Revocations } from '../ports.ts';
import type { SessionEngine } from './engine.ts';
import type { RequestLogin } from './whose.ts';

/** The part of a `ws` WebSocket that we use; structural, nothing of ws is imported. */
export interface WsSocket {
  close(code?: number, reason?: string): unknown;
  terminate(): unknown;
  pause?(): unknown;
  once(event: 'close', listener: () => void): unknown;
}

/** The part of a socket.io (server side) Socket that we use. */
export interface SocketIoSocket {
  disconnect(close?: boolean): unknown;
  once(event: 'disconnect', listener: () => void): unknown;
  /** The upgrade (or first polling) request. */
  readonly request?: object;
  /** The connection beneath, which also exists before the namespace is joined. */
  readonly conn?: { close(discard?: boolean): unknown; once(event: 'close', listener: () => void): unknown };
}

/** A response that streams (server-sent events), or a bare socket. */
export interface Destroyable {
  destroy(): unknown;
  once(event: 'close', listener: () => void): unknown;
}

export type GuardableSocket = WsSocket | SocketIoSocket | Destroyable;

/**
 * For a request that no session middleware has seen: the login, as `judge` tells it; or the id from the cookie, its signature
 * checked.
 */
export type SocketOwner = { readonly lid: string } | { readonly sessionId: string | undefined };

export interface SocketDeps {
  readonly news: Revocations;
  readonly logins: Pick<Logins, 'endMark'>;
  /** Null where the request has no session that is known. */
  identify(request: object): RequestLogin | null;
  readonly engine: Pick<SessionEngine, 'open'>;
  /** An id that is named by itself was brought too late, and its login has ended by it: no gate will tell. */
  onReused?(reuse: { lid: string; handle: string }): void;
  readonly log: Log;
}

/** RFC 6455, 7.4.2: 4000 to 4999 are the application's; after HTTP's 401. */
export const SESSION_ENDED = 4401;
/** Its registry: "Try Again Later". */
const TRY_AGAIN = 1013;
/** RFC 6455: "an unexpected condition". */
const UNKNOWN = 1011;

/** WebSocket.CLOSED. */
const WS_CLOSED = 3;

const REASONS: Readonly<Record<number, string>> = { [SESSION_ENDED]: 'session_ended', [TRY_AGAIN]: 'try_again' };

/** A `ws` peer that does not answer the close frame is cut off after this, milliseconds; the library's own limit is 30 s. */
const CLOSE_GRACE_MS = 500;

/**
 * The sockets of each login. A socket outlives the request that opened it, and no gate sees what comes over it: so when a
 * login ends, its sockets are closed.
 *
 * Order: register, then read the login's mark. A login that ends while its socket connects has its mark either written
 * before that read or told after the registration.
 */
export class Sockets {
  readonly #deps: SocketDeps;
  readonly #byLid = new Map<string, Set<GuardableSocket>>();
  #listening = false;

  constructor(deps: SocketDeps) {
    this.#deps = deps;
  }

  /** Sockets that are watched now. */
  get size(): number {
    return [...this.#byLid.values()].reduce((sum, { size }) => sum + size, 0);
  }

  /**
   * Resolves true when the socket may go on. False: its login has ended, or nobody can say (Redis is away, or the request has
   * gone through no session middleware of ours); it is closed then, or has closed before. An anonymous socket may go on and is
   * not watched. Never throws.
   */
  async guard(socket: GuardableSocket, of: object | SocketOwner): Promise<boolean> {
    if ('sessionId' in of && isOwner(of)) return this.#guardId(socket, of.sessionId);
    const found = 'lid' in of && isOwner(of) ? loginNamed(of.lid) : this.#deps.identify(of);
    if (found !== null) return this.#guardLogin(socket, found);
    this.#deps.log.error(
      { event: 'socket_without_session' },
      'A socket was refused: no session middleware has seen its request; give guardSocket { lid } or { sessionId }',
    );
    return this.#refuse(socket, UNKNOWN);
  }

  /** Here the caller speaks of a session: where none lives under that id, it has ended. */
  async #guardId(socket: GuardableSocket, sessionId: string | undefined): Promise<boolean> {
    if (typeof sessionId !== 'string') return this.#refuse(socket, SESSION_ENDED);
    const opened = await this.#deps.engine.open(sessionId, false);
    if (opened.kind === 'unavailable') return this.#refuse(socket, TRY_AGAIN);
    const { lid = '', reused } = opened.kind === 'revoked' ? opened.tombstone : {};
    if (reused !== undefined) this.#deps.onReused?.({ lid, handle: reused });
    if (opened.kind !== 'live') return this.#refuse(socket, SESSION_ENDED);
    return this.#guardLogin(socket, { lid: opened.entry.head.lid, revoked: false });
  }

  async #guardLogin(socket: GuardableSocket, { lid, revoked }: RequestLogin): Promise<boolean> {
    if (revoked) return this.#refuse(socket, SESSION_ENDED);
    if (lid === '') return true;
    // It closed before anybody could listen, and would be held for ever.
    if (isGone(socket)) return false;
    this.#register(socket, lid);
    try {
      if ((await this.#deps.logins.endMark(lid)) === null) return this.#byLid.get(lid)?.has(socket) ?? false;
      return this.#refuse(socket, SESSION_ENDED);
    } catch (error) {
      this.#deps.log.warn({ event: 'socket_unchecked', error: errorName(error) }, 'A socket was refused unchecked');
      return this.#refuse(socket, TRY_AGAIN);
    }
  }

  #register(socket: GuardableSocket, lid: string): void {
    const sockets = this.#byLid.get(lid) ?? new Set();
    // An app may ask again: with each message, say.
    if (sockets.has(socket)) return;
    this.#byLid.set(lid, sockets.add(socket));
    const forget = () => this.#forget(socket, lid);
    if ('disconnect' in socket) {
      socket.once('disconnect', forget);
      socket.conn?.once('close', forget);
    } else {
      socket.once('close', forget);
    }
    if (this.#listening) return;
    this.#listening = true;
    this.#deps.news.listen(
      (notice) => this.#end(notice.lid),
      () => this.#byLid.keys(),
    );
  }

  #forget(socket: GuardableSocket, lid: string): void {
    const sockets = this.#byLid.get(lid);
    if (sockets?.delete(socket) && sockets.size === 0) this.#byLid.delete(lid);
  }

  #end(lid: string): void {
    for (const socket of [...(this.#byLid.get(lid) ?? [])]) {
      this.#forget(socket, lid);
      this.#refuse(socket, SESSION_ENDED);
    }
  }

  #refuse(socket: GuardableSocket, code: number): false {
    try {
      close(socket, code);
    } catch (error) {
      this.#deps.log.error({ event: 'socket_not_closed', error: errorName(error) }, 'A socket could not be closed');
    }
    return false;
  }
}

function close(socket: GuardableSocket, code: number): void {
  if ('disconnect' in socket) {
    socket.disconnect(true);
    // Before it has joined its namespace `disconnect` does nothing.
    socket.conn?.close();
  } else if ('terminate' in socket) {
    socket.close(code, REASONS[code] ?? 'session_unknown');
    // Until the peer answers, ws would go on handing us its messages.
    socket.pause?.();
    setTimeout(() => socket.terminate(), CLOSE_GRACE_MS).unref();
  } else {
    socket.destroy();
  }
}

/** Has it told of its close already? Sockets of other kinds say nothing of it. */
function isGone(socket: GuardableSocket): boolean {
  const { conn, readyState, closed, destroyed } = socket as {
    conn?: { readyState?: unknown };
    readyState?: unknown;
    closed?: unknown;
    destroyed?: unknown;
  };
  if ('disconnect' in socket) return conn?.readyState === 'closed';
  if ('terminate' in socket) return readyState === WS_CLOSED;
  return closed === true || destroyed === true;
}

/** A request may have a member of such a name as well. */
function isOwner(of: object): boolean {
  return Object.keys(of).length === 1;
}

function loginNamed(lid: unknown): RequestLogin | null {
  return typeof lid === 'string' ? { lid, revoked: false } : null;
}
