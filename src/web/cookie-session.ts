import { type CookieAttributes, clearCookie, setCookie } from './cookie.ts';
import type { RequestSession } from './request-session.ts';
import { signId } from './sign.ts';

export interface CookieSessionOptions {
  /** Signs the id in the cookie, 32 characters or more. Of several, the first signs and all are accepted. */
  readonly secret: string | readonly string[];
  /** Default `__Host-sid`, or `sid` where `cookie` says that it is not secure or has a domain. */
  readonly name?: string | undefined;
  /** Default: `Path=/; HttpOnly; Secure; SameSite=Lax`. */
  readonly cookie?: CookieAttributes | undefined;
  /** How long the cookie lives after the latest write or renewal, seconds. Default: until the browser closes. */
  readonly maxAgeSeconds?: number | undefined;
}

export interface CookieRules {
  readonly secrets: readonly string[];
  readonly name: string;
  readonly cookie: CookieAttributes;
  readonly maxAgeMs: number | null;
}

/** A session for frameworks without a session middleware of their own. `data` is plain JSON, saved when it has changed. */
export class CookieSession {
  data: Record<string, unknown> = {};
  #id: string;
  /** The id in the browser's cookie, or null. */
  readonly #brought: string | null;
  readonly #session: RequestSession;
  readonly #rules: CookieRules;
  #ended = false;
  #named = false;
  /** Logged out: the cookie goes, unless another one comes. */
  #cleared = false;

  private constructor(session: RequestSession, brought: string | null, rules: CookieRules) {
    this.#session = session;
    this.#brought = brought;
    this.#id = '';
    this.#rules = rules;
  }

  /** @param id from the cookie, its signature checked; null where there is none. Never throws. */
  static async open(session: RequestSession, id: string | null, rules: CookieRules): Promise<CookieSession> {
    const own = new CookieSession(session, id, rules);
    const loaded = id === null ? null : await session.load(id);
    own.#id = id === null || loaded?.kind === 'none' ? session.makeId() : (session.forwardTo ?? id);
    if (loaded === null || loaded.kind === 'none') return own;
    if (loaded.kind === 'live') own.data = loaded.data;
    return own;
  }

  get id(): string {
    return this.#id;
  }

  /** Now, rather than at the end of the request. False where it was refused: it has ended, or Redis is away. */
  async save(): Promise<boolean> {
    const done = await this.#session.save(this.#id, this.data, this.#rules.maxAgeMs);
    if (done !== 'unchanged') this.#named = done !== 'refused';
    return done !== 'refused';
  }

  /** A new id and no data; the login goes on. Stored with what is put into it until the end of the request. */
  async regenerate(): Promise<void> {
    this.data = {};
    this.#id = this.#session.makeId();
    this.#ended = false;
  }

  /** A new id; data and login go on. */
  async rotate(): Promise<void> {
    this.#id = this.#session.makeId();
    this.#ended = false;
    await this.save();
  }

  /** Logout. The cookie goes in any case; throws `session_unavailable` when Redis was away. */
  async destroy(): Promise<void> {
    this.data = {};
    this.#ended = true;
    await this.#session.end(this.#id);
  }

  /** See `bouncer.logout`: what is put into it afterwards is stored under a new id. */
  async logOut(): Promise<void> {
    const ended = this.#session.logOut();
    this.data = {};
    this.#id = this.#session.makeId();
    this.#cleared = true;
    await ended;
  }

  /** A new login under a new id; see `bouncer.login`. */
  begin(lid: string, data: Readonly<Record<string, unknown>>): { sessionId: string; saved: Promise<boolean> } {
    const { sessionId, ended } = this.#session.begin(lid);
    this.#id = this.#session.makeId();
    this.#ended = false;
    this.data = { ...data };
    return { sessionId, saved: Promise.all([this.save(), ended]).then(([done]) => done) };
  }

  /** At the end of the request: saves what has changed. The `Set-Cookie` value that the response needs, or null. */
  async commit(): Promise<string | null> {
    const { name, cookie, maxAgeMs, secrets } = this.#rules;
    if (this.#ended) return this.#brought === null ? null : clearCookie(name, cookie);
    const stored = this.#session.entry !== null;
    if (stored || Object.keys(this.data).length > 0) await this.save();
    const changed = this.#id !== this.#brought;
    const set = changed
      ? this.#session.entry !== null
      : this.#named && maxAgeMs !== null && this.#session.unnamable() === null;
    if (!set && this.#cleared && this.#brought !== null) return clearCookie(name, cookie);
    return set ? setCookie(name, signId(this.#id, secrets[0] ?? ''), cookie, maxAgeMs) : null;
  }
}
