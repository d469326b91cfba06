import { AsyncLocalStorage } from 'node:async_hooks';
import { Attached } from './attached.ts';
import type { Entry } from './entry.ts';
import type { SessionState } from './session-store.ts';
import { isUpgrade } from './upgrade.ts';

/** What we use of a request that express-session serves; structural. */
export interface SessionRequest {
  readonly headers: Record<string, string | string[] | undefined>;
  sessionID?: string;
  session?: unknown;
  sessionStore?: unknown;
}

/** What we use of a response: express-session saves when it ends. */
export interface EndableResponse {
  readonly headersSent?: boolean;
  end(...args: never[]): unknown;
  once?(event: 'finish', listener: () => void): unknown;
  readonly closed?: boolean;
}

type End = (...args: unknown[]) => unknown;

const requests = new AsyncLocalStorage<GuardedRequest>();
const byRequest = new Attached<GuardedRequest>();

/**
 * One request under a stock store. Such a store tells its Redis client no more than an id and a text; whether this request
 * loaded that id or made it, and which session the id goes on from, is remembered here.
 */
export class GuardedRequest {
  readonly req: SessionRequest;
  readonly res: EndableResponse;
  /** By session id: what this request loaded or created. */
  readonly entries = new Map<string, Entry>();
  /** For the gate; undefined in the common case. */
  state: SessionState | undefined;
  /** May the answer set the cookie to this entry's id? The engine's, once a guarded client has been asked. */
  mayName: ((entry: Entry) => boolean) | null = null;
  /** A session that `regenerate` has just left: the next id made here goes on from it. */
  movedFrom: { readonly sessionId: string; readonly entry: Entry } | null = null;
  /** The login that begins with the next id made here; '' for none. */
  newLid = '';
  /** What took the place of a session that was logged out. */
  signedOutId: string | null = null;
  /** Has a guarded client been asked in this request? If not, the session is in some other store. */
  reached = false;
  #loaded = false;

  constructor(req: SessionRequest, res: EndableResponse) {
    this.req = req;
    this.res = res;
  }

  /** Does express-session ask for the session that the cookie names? It does before there is one, and once. */
  isLoading(sessionId: string): boolean {
    const isFirst = !this.#loaded && this.owns(sessionId) && this.req.session === undefined;
    this.#loaded ||= isFirst;
    return isFirst;
  }

  /** Can the answer tell the browser a new id? */
  mayRotate(): boolean {
    return !isUpgrade(this.req.headers) && 'setHeader' in this.res;
  }

  /** Is this the request's own session, as against another one that the app asked its store for? */
  owns(sessionId: string): boolean {
    return this.req.sessionID === sessionId;
  }

  /** Is this an id that was made in this request? Its own one, and not one that the browser sent. */
  makes(sessionId: string): boolean {
    return this.owns(sessionId) && !this.#brought(sessionId);
  }

  #brought(sessionId: string): boolean {
    const header = this.req.headers.cookie;
    const cookies = typeof header === 'string' ? header : '';
    return cookies.includes(sessionId) || cookies.includes(encodeURIComponent(sessionId));
  }

  /** Of the request's session now; null where it is not stored (yet). */
  entry(): Entry | null {
    return this.entries.get(this.req.sessionID ?? '') ?? null;
  }

  /** express-session stores what has another id than the cookie's, be it empty. */
  isLeftEmpty(sessionId: string): boolean {
    const { session } = this.req;
    if (this.signedOutId !== sessionId || typeof session !== 'object' || session === null) return false;
    return Object.keys(session).every((name) => name === 'cookie');
  }

  /** The login that the request's session belongs to; '' for an anonymous one. */
  lid(): string {
    return this.entry()?.head.lid ?? '';
  }

  /** The session was loaded, but through no guarded client: this request's store is some other one. */
  bypassed(): boolean {
    return !this.reached && this.req.session !== undefined && this.#brought(this.req.sessionID ?? '');
  }

  /** Is its session ours? One that a guarded client was asked for, or that express-session has made without asking anybody. */
  get isOurs(): boolean {
    return this.reached || (this.req.session !== undefined && !this.bypassed());
  }

  run<T>(work: () => T): T {
    return requests.getStore() === this ? work() : requests.run(this, work);
  }
}

/** The request that the running code belongs to. */
export function currentRequest(): GuardedRequest | undefined {
  return requests.getStore();
}

/** By the request object: also works where a library between has lost the asynchronous context. */
export function guardedRequest(req: object): GuardedRequest | undefined {
  return byRequest.get(req);
}

/**
 * Express middleware, before `session(...)`. After it (the session is loaded by then) it would know half of the story, so
 * there it does nothing, and the guard works as outside of any request.
 */
export function guardContext() {
  return (req: SessionRequest, res: EndableResponse, next: (error?: unknown) => void): void => {
    if (req.sessionStore !== undefined || byRequest.get(req) !== undefined) return next();
    const request = new GuardedRequest(req, res);
    byRequest.set(req, request);
    bindEnd(res, request);
    request.run(() => next());
  };
}

/**
 * express-session saves inside `res.end`, and not only this request's own code may call that: a long poll is ended by
 * another request, a stream by its socket. So whatever is put there as `end` runs in this request's context.
 */
function bindEnd(res: EndableResponse, request: GuardedRequest): void {
  const bind = (end: End): End =>
    function bound(this: unknown, ...args) {
      return request.run(() => end.apply(this, args));
    };
  let current = bind(res.end as End);
  Object.defineProperty(res, 'end', {
    configurable: true,
    enumerable: true,
    get: () => current,
    set: (end: End) => {
      current = bind(end);
    },
  });
}
