import { sessionUnavailable } from '../errors.ts';
import type { Log } from '../ports.ts';
import type { SessionEngine } from './engine.ts';
import { type Entry, endable, lookedAgain, type OpenedLive } from './entry.ts';
import { withExpiry } from './expiry.ts';
import { currentRequest, type GuardedRequest } from './guard-context.ts';

export interface GuardDeps {
  readonly engine: SessionEngine;
  /** For a session that is stored without a time to live, milliseconds: nothing lives for ever here. */
  readonly absoluteTtlMs: number;
  readonly log: Log;
}

/**
 * What the commands of a stock session store come to. None of them fails but a logout that was not done: a refused save
 * answers like a successful one, since express-session saves after the headers have gone.
 */
export class StockGuard {
  readonly #deps: GuardDeps;
  #warned = false;

  constructor(deps: GuardDeps) {
    this.#deps = deps;
  }

  /**
   * GET. Null, which a store reads as "no such session", for all that is not live; the gate learns why. Once a request it is
   * express-session that asks about the cookie's id; all else is an app's look (`reload`, `store.get`), which changes nothing.
   */
  async load(sessionId: string): Promise<string | null> {
    const request = reached();
    if (request === undefined) return this.peek(sessionId);
    request.mayName = (entry) => this.#deps.engine.mayName(entry);
    if (!request.isLoading(sessionId)) return this.#again(request, sessionId);
    const opened = await this.#deps.engine.open(sessionId, request.mayRotate());
    if (opened.kind === 'live') return recall(request, sessionId, opened);
    if (opened.kind === 'revoked') request.state = { revoked: { tombstone: opened.tombstone, sessionId } };
    return opened.kind === 'unavailable' ? whileAway(request, sessionId, opened.entry) : null;
  }

  async #again(request: GuardedRequest, sessionId: string): Promise<string | null> {
    const { opened } = await this.#deps.engine.look(sessionId);
    if (opened.kind !== 'live') return null;
    const before = request.entries.get(sessionId);
    request.entries.set(sessionId, before === undefined ? opened.entry : lookedAgain(before, opened.entry));
    return textOf(opened);
  }

  /** MGET, and whatever is asked outside of a request: only looks. */
  async peek(sessionId: string): Promise<string | null> {
    const { opened } = await this.#deps.engine.look(sessionId);
    return opened.kind === 'live' ? textOf(opened) : null;
  }

  /** SET. `ttlMs` null: the store gives none. */
  async save(sessionId: string, text: string, ttlMs: number | null): Promise<void> {
    const request = reached();
    if (request?.isLeftEmpty(sessionId)) return;
    const known = request?.entries.get(sessionId) ?? this.#created(sessionId, request);
    const entry = known ?? (await this.#fromElsewhere(sessionId, request));
    await this.#deps.engine.save(entry, dataOf(text), ttlMs ?? this.#deps.absoluteTtlMs);
    // Its client has hung up: nobody will hear of the new id, and "finish" never comes.
    if (entry.emptied && request?.res.closed) await this.#endUnused(request);
  }

  /** EXPIRE. */
  async touch(sessionId: string, ttlMs: number): Promise<void> {
    const known = reached()?.entries.get(sessionId);
    if (ttlMs <= 0) return void (await this.#deps.engine.end(this.#deps.engine.fresh(sessionId).handle));
    // Unknown here: the script looks for itself whether it lives, and never past its absolute end.
    await this.#deps.engine.touch(known ?? { ...this.#deps.engine.fresh(sessionId), first: false }, ttlMs);
  }

  /** DEL: `regenerate` when the request still has its session (express-session drops it first on `destroy`), else logout. */
  async end(sessionId: string): Promise<void> {
    const request = reached();
    const entry = request?.entries.get(sessionId);
    if (request?.owns(sessionId)) {
      // Made in this request and never stored: nothing to end, one command less on every login.
      if (entry === undefined && request.makes(sessionId)) return this.#endLeft(request);
      if (entry && request.req.session && request.newLid === '') return this.#leave(request, sessionId, entry);
    }
    if (entry) entry.blocked = 'logout';
    const isLogin = request?.owns(sessionId) && request.req.session;
    const lid = entry && !entry.first ? entry.head.lid : undefined;
    const outcome = await this.#deps.engine.end(this.#deps.engine.fresh(sessionId).handle, lid);
    // Where the answer has begun (`unset: 'destroy'`), an error would cut it.
    if (outcome !== null || isLogin || request?.res.headersSent) return;
    throw sessionUnavailable('destroy: Redis is away; the session ends when it is back');
  }

  /** See `bouncer.logout`. The request goes on with an empty session, which is stored when something is put into it. */
  async logOut(request: GuardedRequest): Promise<void> {
    const { req, movedFrom } = request;
    const own = request.entry();
    const old = endable(movedFrom?.entry ?? own);
    if (own !== null) own.blocked ??= 'logout';
    request.movedFrom = null;
    request.newLid = '';
    const store = req.sessionStore as { generate?(req: object): void } | undefined;
    if (req.session) store?.generate?.(req);
    request.signedOutId = req.sessionID ?? null;
    if (old !== null) await this.#deps.engine.logout(old.handle, old.head.lid);
  }

  /**
   * The session goes on under an id that is not known yet: it is moved when that is first saved, and until then parallel
   * requests find it. For this request it is over at once; and where nothing is ever saved, it ends with the request.
   */
  #leave(request: GuardedRequest, sessionId: string, entry: Entry): void {
    request.movedFrom = { sessionId, entry: { ...entry } };
    entry.blocked = 'moved';
    request.res.once?.('finish', () => void this.#endUnused(request));
  }

  async #endUnused(request: GuardedRequest): Promise<void> {
    const next = request.entry();
    const left = request.movedFrom?.entry ?? (next?.first ? next.origin?.entry : undefined);
    request.movedFrom = null;
    if (left === undefined || left.first || left.blocked !== null) return;
    await this.#deps.engine.end(left.handle, left.head.lid);
  }

  /** A new id that was never stored ends: by another regenerate the session goes on, else it is a logout (or a login). */
  async #endLeft(request: GuardedRequest): Promise<void> {
    const { movedFrom } = request;
    if (movedFrom === null || (request.req.session && request.newLid === '')) return;
    request.movedFrom = null;
    const { handle, first, origin } = movedFrom.entry;
    const stored = first ? origin?.entry.handle : handle;
    if (stored === undefined) return;
    if (request.req.session) await this.#deps.engine.end(stored);
    else await this.#deps.engine.logout(stored);
  }

  /** Nothing is waited for: a login's save must leave on the connection before its report does. */
  #created(sessionId: string, request: GuardedRequest | undefined): Entry | undefined {
    if (!request?.makes(sessionId)) return undefined;
    const { movedFrom: from, newLid } = request;
    const { engine } = this.#deps;
    const goesOn = newLid === '' && from !== null;
    const entry = goesOn ? engine.move(from.entry, from.sessionId, sessionId) : engine.fresh(sessionId, newLid);
    request.newLid = '';
    request.movedFrom = null;
    request.entries.set(sessionId, entry);
    return entry;
  }

  /**
   * A socket, a script, a request without our context. What lives may be written; nothing is created, because nobody can
   * say that this id is new and not one whose session has ended and been forgotten.
   */
  async #fromElsewhere(sessionId: string, request: GuardedRequest | undefined): Promise<Entry> {
    const fresh = this.#deps.engine.fresh(sessionId);
    const { opened } = await this.#deps.engine.look(sessionId);
    if (opened.kind === 'unavailable') return opened.entry;
    if (opened.kind === 'live') {
      return opened.entry.handle === fresh.handle ? opened.entry : { ...fresh, blocked: 'moved' };
    }
    if (request === undefined && opened.kind === 'anonymous') this.#warn();
    return { ...fresh, blocked: opened.kind === 'revoked' ? 'revoked' : 'gone' };
  }

  #warn(): void {
    if (this.#warned) return;
    this.#warned = true;
    this.#deps.log.error(
      { event: 'guard_context_missing', code: 'guard_context_missing' },
      'A session was not created: mount bouncer.context() right before session(...)',
    );
  }
}

function reached(): GuardedRequest | undefined {
  const request = currentRequest();
  if (request !== undefined) request.reached = true;
  return request;
}

/**
 * A member by this name is in the loaded data but not in the session that express-session makes of it (a session has a
 * method of that name). So the session counts as changed, and its cookie is set, to the new id.
 */
const NEVER_COPIED = { reload: true };

function recall(request: GuardedRequest, sessionId: string, opened: OpenedLive): string {
  const { forwardTo, entry } = opened;
  if (forwardTo === null) {
    request.entries.set(sessionId, entry);
    return textOf(opened);
  }
  request.req.sessionID = forwardTo;
  request.entries.set(forwardTo, entry);
  return textOf(opened, NEVER_COPIED);
}

/**
 * An empty session under the same id, so that the browser's cookie is not replaced and the user is logged in again after
 * the outage. Its cookie must have the app's own attributes, which only `generate` knows.
 */
function whileAway(request: GuardedRequest, sessionId: string, entry: Entry): string | null {
  const { req } = request;
  const store = req.sessionStore as { generate?(req: object): void } | undefined;
  request.state = { unavailable: true };
  if (typeof store?.generate !== 'function') return null;
  request.entries.set(sessionId, entry);
  store.generate(req);
  const { cookie } = req.session as { cookie?: object };
  req.sessionID = sessionId;
  req.session = undefined;
  return JSON.stringify({ cookie });
}

/** Where a store's own serializer makes something that is not a JSON object, its text is kept whole under this name. */
const OPAQUE = '__opaque';

function dataOf(text: string): Record<string, unknown> {
  try {
    const data: unknown = JSON.parse(text);
    if (typeof data === 'object' && data !== null && !Array.isArray(data) && !(OPAQUE in data)) {
      return data as Record<string, unknown>;
    }
  } catch {
    // not JSON
  }
  return { cookie: {}, [OPAQUE]: text };
}

function textOf({ data, entry }: OpenedLive, more: object = {}): string {
  const opaque = data[OPAQUE];
  if (typeof opaque === 'string') return opaque;
  return JSON.stringify({ ...withExpiry(data, entry.head.renewedAtMs), ...more });
}
