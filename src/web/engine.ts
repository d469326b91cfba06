import { randomBytes } from 'node:crypto';
import { hasSettled, judgeMoved, REISSUE_MS } from '../domain/grace.ts';
import { errorName, sessionUnavailable } from '../errors.ts';
import type {
  Clock,
  GuardedSessions,
  LiveHead,
  LoadedSession,
  Log,
  Logins,
  Refusal,
  SharedClock,
  WriteOutcome,
} from '../ports.ts';
import { Creation, leavesLogin, type Mutation } from './creation.ts';
import type { Entry, Looked, Opened, OpenedLive } from './entry.ts';
import { lifeIn, renewalOf } from './expiry.ts';
import { randomToken, sessionHandle } from './handle.ts';
import { type LateEnd, LateEnds } from './late-ends.ts';
import { logOut } from './logout.ts';
import { endedBy, endedByReuse, followMoved } from './moved.ts';
import { ID_PATTERN, type IdProblem, idProblem } from './strict-id.ts';

export interface EngineDeps {
  readonly sessions: GuardedSessions;
  readonly logins: Logins;
  readonly clock: Clock;
  /** For first uses and tails, which one host notes and another judges. Default: `clock`. */
  readonly sharedClock?: SharedClock | undefined;
  readonly log: Log;
  /** Life of a session whose cookie says none, milliseconds. */
  readonly ttlMs: number;
  /** No session lives longer than this (or its first cookie, if that is longer), however often it is renewed. */
  readonly absoluteTtlMs: number;
  /** The time to live is renewed when this part of it (0..1) has gone. */
  readonly renewAfter: number;
  /** The shape of the ids that the session middleware issues; others are refused before Redis. Default: see ID_PATTERN. */
  readonly idPattern?: RegExp | undefined;
  /** Told of every id that was refused before Redis was asked. */
  onRefusedId?(problem: IdProblem): void;
  /** A session's id is changed about once in so many requests; 0 or left out: only when the app does it. */
  readonly rotateEvery?: number | undefined;
  /** 0 to 1. For tests: whether a request rotates. Default Math.random. */
  readonly random?: (() => number) | undefined;
  /** Told of every write that was refused; never an error into the app. */
  onRefused(refusal: Refusal): void;
  /** An id was used long after its session had moved on: two parties hold this login. Ends the whole login. */
  onReused(reuse: { lid: string; handle: string }): Promise<void>;
  /** A session of this login is logged out, and so the whole login ends, where that is not one step. May throw. */
  onLogout?(login: { lid: string; handle: string }): Promise<void>;
  /** For the mutation check of the tests only. */
  readonly mutation?: Mutation | undefined;
}

export type { Entry, Opened } from './entry.ts';

/** Sessions for any framework: which store calls may happen when, in which order, and what each outcome means. */
export class SessionEngine {
  readonly #deps: EngineDeps;
  readonly #late: LateEnds;
  readonly #shared: SharedClock;
  readonly #creation: Creation;
  #warned = false;

  constructor(deps: EngineDeps) {
    this.#deps = deps;
    this.#creation = new Creation(deps);
    this.#shared = deps.sharedClock ?? { now: deps.clock, isFresh: () => true, measure: async () => false };
    this.#late = new LateEnds(deps.log, () => this.endLate());
  }

  get #idPattern(): RegExp {
    return this.#deps.idPattern ?? ID_PATTERN;
  }

  /** A session object that this request has just generated. */
  fresh(sessionId: string, lid = ''): Entry {
    const head: LiveHead = { renewedAtMs: 0, endsAtMs: 0, birth: randomToken(), lid, movedFrom: '' };
    const login = lid !== '' ? { loginAtMs: this.#deps.clock() } : {};
    const odd = idProblem(sessionId, this.#idPattern) === null ? {} : { malformed: true };
    return { handle: sessionHandle(sessionId), head, first: true, ...odd, ...login, blocked: null };
  }

  /** What an id stands for: one plain GET, unless the session has moved. Reads only. Never throws. */
  async look(sessionId: string): Promise<Looked> {
    const problem = idProblem(sessionId, this.#idPattern);
    if (problem !== null) {
      this.#deps.onRefusedId?.(problem);
      return { opened: { kind: 'anonymous' }, reused: null };
    }
    const handle = sessionHandle(sessionId);
    try {
      let looked = await this.#find(sessionId, handle);
      // Not on the word of a clock that is wrong.
      if (looked.reused !== null && (await this.#shared.measure())) looked = await this.#find(sessionId, handle);
      const { opened } = looked;
      // Its user has logged out, though Redis has not taken it yet.
      const own = opened.kind === 'live' ? opened.entry : null;
      const isOver =
        this.#late.has(handle) || (own !== null && (this.#late.has(own.handle) || this.#late.hasLogin(own.head.lid)));
      return isOver ? { opened: { kind: 'anonymous' }, reused: null } : looked;
    } catch (error) {
      return { opened: this.#away(sessionId, error), reused: null };
    }
  }

  async #find(sessionId: string, handle: string): Promise<Looked> {
    const found = await this.#deps.sessions.load(handle);
    if (found.kind === 'absent') return { opened: { kind: 'anonymous' }, reused: null };
    if (found.kind === 'live') return { opened: liveUnder(handle, found), reused: null };
    if (found.tombstone.kind !== 'moved') return { opened: endedBy(found.tombstone), reused: null };
    return followMoved({ sessions: this.#deps.sessions, clock: this.#shared.now }, sessionId, handle, found.tombstone);
  }

  #away(sessionId: string, error: unknown): Opened {
    this.#deps.log.debug({ event: 'session_unavailable', error: errorName(error) }, 'A session could not be loaded');
    return { kind: 'unavailable', entry: { ...this.fresh(sessionId), blocked: 'unavailable' } };
  }

  /** A look at the id in the request's cookie, and what follows from its having been brought. Once a request. Never throws. */
  async open(sessionId: string, mayRotate = true): Promise<Opened> {
    const looked = await this.look(sessionId);
    if (looked.reused !== null) return this.alarm(sessionId, looked.reused);
    const { opened } = looked;
    if (!isBrought(opened)) return opened;
    this.arrived(opened.entry);
    return mayRotate && this.isDue(opened.entry.head) ? this.rotate(sessionId, opened) : opened;
  }

  /** Two parties hold this login: it ends for both. Never throws. */
  async alarm(sessionId: string, reused: NonNullable<Looked['reused']>): Promise<Opened> {
    try {
      await this.#deps.onReused(reused);
      return endedByReuse(reused.handle, await this.#deps.sessions.load(reused.handle));
    } catch (error) {
      return this.#away(sessionId, error);
    }
  }

  /** Its holder has the id: starts the old id's tail, where it has one. Not waited for. */
  arrived(entry: Entry): void {
    const { handle, head } = entry;
    if (head.movedFrom === '') return;
    const shared = this.#shared;
    const note = () => this.#deps.sessions.arrive(handle, head.movedFrom, shared.now());
    const noted = shared.isFresh() ? note() : shared.measure().then(note, note);
    noted.catch((error: unknown) => {
      this.#deps.log.debug({ event: 'session_unavailable', error: errorName(error) }, 'A first use could not be noted');
    });
    // A save of this request must not write the predecessor's name back.
    entry.head = { ...head, movedFrom: '', firstUsedAtMs: shared.now() };
  }

  /**
   * By chance, once in n: an exact count would need a write with every request, or requests that always reach the same
   * process. Never an id that its holder has only now begun to use, nor an anonymous session.
   */
  isDue({ lid, movedFrom, firstUsedAtMs = 0 }: LiveHead): boolean {
    const { rotateEvery = 0, random = Math.random } = this.#deps;
    if (rotateEvery <= 0 || lid === '' || movedFrom !== '') return false;
    if (!hasSettled(firstUsedAtMs, this.#shared.now())) return false;
    return random() * rotateEvery < 1;
  }

  /** The session goes on under a new id, its data kept. When Redis fails, this request is served as it would have been. */
  async rotate(sessionId: string, old: OpenedLive): Promise<Opened> {
    const newId = randomBytes(24).toString('base64url');
    const entry = this.move(old.entry, sessionId, newId);
    if (entry.malformed) {
      this.#warnMalformed();
      return old;
    }
    const nowMs = this.#deps.clock();
    const { endsAtMs } = entry.head;
    const head: LiveHead = { ...entry.head, renewedAtMs: nowMs };
    const ttlMs = Math.min(lifeIn(old.data) ?? this.#deps.ttlMs, endsAtMs - nowMs);
    if (ttlMs <= 0) return old;
    try {
      const outcome = await this.#creation.rotate(entry, head, old.data, ttlMs);
      if (outcome === 'live') {
        const own = { ...old.entry, handle: entry.handle, head, id: newId, brought: false };
        return { ...old, entry: own, forwardTo: newId };
      }
      return await this.#notRotated(sessionId, old, entry.handle, outcome);
    } catch (error) {
      const { log } = this.#deps;
      log.debug({ event: 'session_unavailable', error: errorName(error) }, 'A session could not be given a new id');
      return old;
    }
  }

  async #notRotated(sessionId: string, old: Opened, newHandle: string, outcome: WriteOutcome): Promise<Opened> {
    if (outcome === 'taken') return this.open(sessionId); // another request was faster, or has changed the session
    if (outcome === 'foreign') return old;
    if (outcome !== 'revoked') return { kind: 'anonymous' };
    // Why it ended stands where the new id would have been.
    const found = await this.#deps.sessions.load(newHandle);
    if (found.kind !== 'tombstone' || found.tombstone.kind === 'moved') return { kind: 'anonymous' };
    return endedBy(found.tombstone);
  }

  /** Null when Redis was away. `ttlMs`: what the cookie asks for, or null for the default. */
  async save(entry: Entry, data: object, wantedTtlMs: number | null): Promise<WriteOutcome | null> {
    if (entry.blocked !== null) return this.#refuse('save', entry.blocked);
    if (entry.first && entry.malformed) this.#warnMalformed();
    if ('__bouncer' in data) return this.#refuse('save', 'reserved_name');
    const left = leavesLogin(entry, data);
    entry.emptied = left === 'all';
    // Nothing to store yet: the app may still put something into it, and then the login goes on.
    if (entry.emptied) return 'live';
    if (left === 'user' && !(await this.#detach(entry))) return null;
    const { clock, absoluteTtlMs, ttlMs: defaultTtlMs } = this.#deps;
    const nowMs = clock();
    // A kept session object's cookie may have expired while other requests renewed the session; whether it has gone, the script
    // knows. (Where the app itself sets an expiry in the past, that is the cookie's own life too.)
    const given = wantedTtlMs ?? defaultTtlMs;
    const wanted = given > 0 || entry.first ? given : (lifeIn(data) ?? given);
    const endsAtMs = entry.head.endsAtMs > 0 ? entry.head.endsAtMs : nowMs + Math.max(absoluteTtlMs, wanted);
    const ttlMs = Math.min(wanted, endsAtMs - nowMs);
    if (ttlMs <= 0) return this.#endBoth(entry);
    const head: LiveHead = { ...entry.head, renewedAtMs: renewalOf(data, wanted, nowMs), endsAtMs };
    const outcome = await this.#write('save', async () => {
      const came = await this.#creation.save(entry, head, data, ttlMs);
      if (came === 'moved') await this.#movedOn(entry);
      return came;
    });
    if (outcome === 'live') Object.assign(entry, { head, first: false, saved: true });
    // It never came to be: what it was to go on from is not this request's to end any more.
    else if (entry.first && outcome === 'revoked') entry.blocked = 'revoked';
    return outcome;
  }

  /** Passport has logged its user out: the login ends, and what is kept (a message) is an anonymous session's. */
  async #detach(entry: Entry): Promise<boolean> {
    const { origin, head } = entry;
    const outcome = origin === undefined ? null : await this.end(origin.entry.handle, head.lid);
    if (outcome === 'revoked') {
      entry.blocked = outcome;
      this.#refuse('save', outcome);
    }
    if (outcome === null || outcome === 'revoked') return false;
    delete entry.origin;
    entry.head = { ...head, lid: '', movedFrom: '', endsAtMs: 0 };
    return true;
  }

  /** Its holder will be anonymous with the next request, and the app has not been told anything. */
  #warnMalformed(): void {
    if (this.#warned) return;
    this.#warned = true;
    this.#deps.log.warn(
      { event: 'session_id_malformed' },
      'A session is stored under an id that is refused when it comes back: give session.idPattern the shape of your ids',
    );
  }

  async #endBoth({ handle, origin, first }: Entry): Promise<WriteOutcome | null> {
    if (first && origin !== undefined) await this.end(origin.entry.handle, origin.entry.head.lid);
    return this.end(handle);
  }

  /**
   * May this answer set the cookie to the id that the request came with? Not once the session is known to have moved on: the
   * browser may have the new id already. Nor where the request has nothing to write: a cookie lives on when the session's
   * time to live is renewed. Else nobody knows yet (express-session decides before it saves): the write that follows finds
   * out, and one follows where the app had saved before.
   */
  mayName(entry: Entry): boolean {
    if (!entry.brought || entry.blocked !== null) return true;
    if (entry.id !== undefined || entry.movedOn) return false;
    const isIdle = entry.idleTtlMs !== undefined;
    if (isIdle && !entry.saved) return false;
    entry.named = true;
    if (isIdle) void this.touch(entry, entry.idleTtlMs ?? null);
    return true;
  }

  /** The session moved on while this request was under way, which may have given the browser its old id again. */
  async #movedOn(entry: Entry): Promise<void> {
    entry.movedOn = true;
    if (!entry.named || entry.head.lid === '') return;
    await this.#deps.sessions.reissued(entry.handle, this.#shared.now(), REISSUE_MS);
  }

  /** Most unmodified requests need no second command: the time to live is renewed when part of it has gone. */
  needsTouch(entry: Entry, wantedTtlMs: number | null): boolean {
    if (entry.first || entry.blocked !== null) return false;
    if (entry.named && entry.head.lid !== '') return true;
    return this.#deps.clock() - entry.head.renewedAtMs >= (wantedTtlMs ?? this.#deps.ttlMs) * this.#deps.renewAfter;
  }

  /** False where it was refused, or Redis was away. */
  async touch(entry: Entry, wantedTtlMs: number | null): Promise<boolean> {
    return this.touchDue(entry, wantedTtlMs) ?? true;
  }

  /** The same; null where nothing is sent, as with most requests. */
  touchDue(entry: Entry, wantedTtlMs: number | null): Promise<boolean> | null {
    if (this.needsTouch(entry, wantedTtlMs)) return this.#renew(entry, wantedTtlMs);
    entry.idleTtlMs = wantedTtlMs;
    return null;
  }

  async #renew(entry: Entry, wantedTtlMs: number | null): Promise<boolean> {
    const nowMs = this.#deps.clock();
    const ttlMs = wantedTtlMs ?? this.#deps.ttlMs;
    const outcome = await this.#write('touch', async () => {
      const came = await this.#deps.sessions.touch(entry.handle, nowMs, ttlMs);
      if (came === 'moved') await this.#movedOn(entry);
      return came;
    });
    if (outcome === 'live') entry.head = { ...entry.head, renewedAtMs: nowMs };
    return outcome === 'live';
  }

  /**
   * Has this session ended since it was loaded? One GET: of its login's mark, the first thing that a revocation writes,
   * or of its own key where it has no login. Throws when Redis is away.
   */
  async hasEnded({ handle, head, first }: Entry): Promise<boolean> {
    if (this.#late.has(handle) || this.#late.hasLogin(head.lid)) return true;
    if (head.lid !== '') return (await this.#deps.logins.endMark(head.lid)) !== null;
    return !first && (await this.#deps.sessions.load(handle)).kind !== 'live';
  }

  /** Has the user of this login logged out, though Redis has not taken it yet? */
  isLeaving(lid: string): boolean {
    return this.#late.hasLogin(lid);
  }

  /**
   * What has become of an id that was bounced; reads only. `live`: a person has given its login back. `gone`: it is no
   * session of a bounced login, nor will it be. Never throws.
   */
  async stands(sessionId: string): Promise<'live' | 'ended' | 'gone' | 'unknown'> {
    try {
      const found = await this.#deps.sessions.load(sessionHandle(sessionId));
      if (found.kind === 'tombstone' && found.tombstone.kind === 'revoked') return 'ended';
      const lid = lidThatLives(found, this.#shared.now());
      return lid !== '' && (await this.#deps.logins.isLifted(lid)) ? 'live' : 'gone';
    } catch {
      return 'unknown';
    }
  }

  /**
   * A logout, of the session and its login with whatever other ids and sockets it has. `lid`: the login, where it is known.
   * Never throws. Null when Redis was away: then it is done when Redis is back (see `endLate`).
   */
  async end(handle: string, lid?: string): Promise<WriteOutcome | null> {
    const outcome = await this.#write('destroy', () => logOut(this.#deps, handle, lid));
    if (outcome === null) this.#late.add(handle, lid);
    else this.#late.delete(handle);
    return outcome;
  }

  /** Logout, by the app's own word: nobody is told that it is done when it is not. Throws `session_unavailable`. */
  async logout(handle: string, lid?: string): Promise<void> {
    if ((await this.end(handle, lid)) === null) {
      throw sessionUnavailable('logout: Redis is away; the session ends when it is back');
    }
  }

  /**
   * Redis is back, or may be: what could not be ended ends now. One goes first, to see. None is counted as refused again.
   * Never throws.
   */
  async endLate(): Promise<void> {
    const [first, ...others] = this.#late.all();
    if (first === undefined || !(await this.#endLate(first))) return;
    await Promise.all(others.map((one) => this.#endLate(one)));
  }

  async #endLate({ handle, lid }: LateEnd): Promise<boolean> {
    try {
      await logOut(this.#deps, handle, lid);
      this.#late.delete(handle);
      return true;
    } catch {
      this.#late.add(handle, lid); // behind the others: it may be this one alone
      return false;
    }
  }

  /** Tries once more to end what waits for it. Never throws. */
  async close(): Promise<void> {
    await this.endLate();
    this.#late.stop();
  }

  /**
   * The session goes on under a new id, from its first save: until then the old one lives, so that parallel requests find
   * it. The new entry carries the login with it, also when the app does not know of us. Where the save is refused the
   * session is not moved either: what has ended does not go on under another name. An old id that is never moved after all
   * is for the adapter to end.
   */
  move(old: Entry, oldId: string, newId: string): Entry {
    const entry = this.fresh(newId);
    const { lid, endsAtMs } = old.head;
    const { origin, loginAtMs } = old;
    if (old.blocked !== null) return { ...entry, blocked: old.blocked };
    const from = old.first ? origin && { ...origin, newId } : { entry: old, id: old.id ?? oldId, newId, sealed: null };
    const movedFrom = lid === '' || from === undefined ? '' : from.entry.handle;
    const head = { ...entry.head, lid, endsAtMs, movedFrom };
    return { ...entry, head, ...(old.first ? { loginAtMs } : {}), ...(from ? { origin: from } : {}) };
  }

  /** Null when Redis was away. */
  async #write(operation: Refusal['operation'], write: () => Promise<WriteOutcome>): Promise<WriteOutcome | null> {
    try {
      const outcome = await write();
      const done = operation === 'destroy' || outcome === 'live';
      if (!done) this.#refuse(operation, outcome);
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

function liveUnder(handle: string, { head, data, text }: Extract<LoadedSession, { kind: 'live' }>): OpenedLive {
  return {
    kind: 'live',
    entry: { handle, head, first: false, blocked: null, text, brought: true },
    data,
    forwardTo: null,
  };
}

/** '' where no login lives under it. An old id past its time would be taken for a thief's. */
function lidThatLives(found: LoadedSession, nowMs: number): string {
  if (found.kind === 'absent') return '';
  if (found.kind === 'live') return found.head.lid;
  const { tombstone } = found;
  if (tombstone.kind !== 'moved' || judgeMoved(tombstone.successorUsedAtMs, nowMs) === 'reused') return '';
  return tombstone.lid;
}

/** Lives under the very id that the cookie has. */
export function isBrought(opened: Opened): opened is OpenedLive {
  return opened.kind === 'live' && opened.entry.brought === true && opened.entry.id === undefined;
}
