import { randomBytes } from 'node:crypto';
import { judgeMoved } from '../domain/grace.ts';
import { errorName, sessionUnavailable } from '../errors.ts';
import type {
  Clock,
  EndMark,
  GuardedSessions,
  LiveHead,
  LoadedSession,
  Log,
  Logins,
  MovedTombstone,
  Refusal,
  RevokedTombstone,
  WriteOutcome,
} from '../ports.ts';
import { randomToken, sessionHandle } from './handle.ts';
import { LateEnds } from './late-ends.ts';
import { openId, sealId } from './seal.ts';
import { ID_PATTERN, type IdProblem, idProblem } from './strict-id.ts';

export interface EngineDeps {
  readonly sessions: GuardedSessions;
  readonly logins: Logins;
  readonly clock: Clock;
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
  /** For the mutation check of the tests only: the writer's order, swapped. */
  readonly mutation?: 'save_before_enroll' | undefined;
}

/**
 * What we know of one session in one request, beside the app's data. An adapter keeps it with the session object (or the
 * request) and hands it back with every call; it never reaches the app.
 */
export interface Entry {
  /** Of the id that is written to. In the tail after a move this is the successor's, whatever id the cookie has. */
  handle: string;
  head: LiveHead;
  /** Generated in this request and not stored yet. */
  first: boolean;
  /** Its login began in this request. */
  newLogin: boolean;
  /** Where its login began in this request: when, milliseconds since the epoch. */
  loginAtMs?: number | undefined;
  /** Nothing is ever written: Redis was away when it was to be loaded, or the move to this id was refused. */
  blocked: Refusal['outcome'] | null;
  /** In the tail after a move: the id that `handle` is of, which the cookie does not have. Never leaves this process. */
  readonly id?: string;
}

export type Opened =
  /** `forwardTo`: the id that the cookie must be changed to. */
  | {
      readonly kind: 'live';
      readonly entry: Entry;
      readonly data: Record<string, unknown>;
      readonly forwardTo: string | null;
    }
  /** Unknown, expired, logged out: plain anonymous. */
  | { readonly kind: 'anonymous' }
  /** For a fraud reason: the gate's business. */
  | { readonly kind: 'revoked'; readonly tombstone: RevokedTombstone }
  /** Redis could not be asked. The entry is blocked. */
  | { readonly kind: 'unavailable'; readonly entry: Entry };

type OpenedLive = Extract<Opened, { kind: 'live' }>;

/** Milliseconds that a stored session's cookie asks for, as express-session and @fastify/session, or koa-session, write it. */
function lifeIn(data: Record<string, unknown>): number | null {
  const { cookie, _maxAge } = data as { cookie?: { originalMaxAge?: unknown } | null; _maxAge?: unknown };
  const life = cookie?.originalMaxAge ?? _maxAge;
  return typeof life === 'number' && life > 0 ? life : null;
}

/** Sessions for any framework: which store calls may happen when, in which order, and what each outcome means. */
export class SessionEngine {
  readonly #deps: EngineDeps;
  readonly #late: LateEnds;

  constructor(deps: EngineDeps) {
    this.#deps = deps;
    this.#late = new LateEnds(deps.log);
  }

  /** A session object that this request has just generated. */
  fresh(sessionId: string, lid = ''): Entry {
    const head: LiveHead = { renewedAtMs: 0, endsAtMs: 0, birth: randomToken(), lid, movedFrom: '' };
    const newLogin = lid !== '' ? { newLogin: true, loginAtMs: this.#deps.clock() } : { newLogin: false };
    return { handle: sessionHandle(sessionId), head, first: true, ...newLogin, blocked: null };
  }

  /** What the cookie's id stands for: one plain GET, unless the session has moved. Never throws. */
  async open(sessionId: string): Promise<Opened> {
    const problem = idProblem(sessionId, this.#deps.idPattern ?? ID_PATTERN);
    if (problem !== null) {
      this.#deps.onRefusedId?.(problem);
      return { kind: 'anonymous' };
    }
    const handle = sessionHandle(sessionId);
    try {
      const found = await this.#deps.sessions.load(handle);
      if (found.kind === 'absent') return { kind: 'anonymous' };
      if (found.kind === 'live') {
        const opened = this.#live(handle, found.head, found.data);
        return this.#isDue(found.head) ? await this.#rotate(sessionId, opened) : opened;
      }
      if (found.tombstone.kind === 'moved') return await this.#moved(sessionId, handle, found.tombstone);
      return this.#ended(found.tombstone);
    } catch (error) {
      this.#deps.log.debug({ event: 'session_unavailable', error: errorName(error) }, 'A session could not be loaded');
      return { kind: 'unavailable', entry: { ...this.fresh(sessionId), blocked: 'unavailable' } };
    }
  }

  #ended(tombstone: RevokedTombstone | { kind: 'logout' }): Opened {
    // Somebody whom a person logged out is simply logged out; the gotcha page is for thieves.
    if (tombstone.kind !== 'revoked' || tombstone.reason === 'forced_logout') return { kind: 'anonymous' };
    return { kind: 'revoked', tombstone };
  }

  #live(handle: string, head: LiveHead, data: Record<string, unknown>): OpenedLive {
    if (head.movedFrom !== '') this.#arrived(handle, head.movedFrom);
    // It has arrived: a save of this request must not write the predecessor's name back.
    const entry: Entry = { handle, head: { ...head, movedFrom: '' }, first: false, newLogin: false, blocked: null };
    return { kind: 'live', entry, data, forwardTo: null };
  }

  /** Not waited for: it only starts the old id's tail. */
  #arrived(handle: string, predecessor: string): void {
    this.#deps.sessions.arrive(handle, predecessor, this.#deps.clock()).catch((error: unknown) => {
      this.#deps.log.debug({ event: 'session_unavailable', error: errorName(error) }, 'A first use could not be noted');
    });
  }

  async #moved(sessionId: string, handle: string, moved: MovedTombstone): Promise<Opened> {
    const last = moved.successors.at(-1);
    // Not one login, or none at all: forwarding would hand a session to whoever planted the old id.
    if (moved.lid === '' || last === undefined || last.sealedId === null) return { kind: 'anonymous' };
    const verdict = judgeMoved(moved.successorUsedAtMs, this.#deps.clock());
    if (verdict === 'reused') return this.#reused(moved.lid, handle);
    const successorId = openId(last.sealedId, sessionId);
    if (successorId === null) return { kind: 'anonymous' };
    const found = await this.#deps.sessions.load(last.handle);
    if (found.kind === 'absent') return { kind: 'anonymous' };
    if (found.kind === 'live')
      return this.#successor(successorId, last.handle, found, moved.lid, verdict === 'forward');
    if (found.tombstone.kind !== 'moved') return this.#ended(found.tombstone);
    // Two generations old. Where the id between was never used, answers were lost: the chain's newest id is served.
    const older = judgeMoved(moved.successorUsedAtMs, this.#deps.clock(), true);
    if (older === 'reused') return this.#reused(moved.lid, handle);
    return this.#moved(successorId, last.handle, found.tombstone);
  }

  #successor(
    id: string,
    handle: string,
    { head, data }: Extract<LoadedSession, { kind: 'live' }>,
    lid: string,
    name: boolean,
  ): Opened {
    if (head.lid !== lid) return { kind: 'anonymous' };
    const entry: Entry = { handle, head, first: false, newLogin: false, blocked: null, id };
    return { kind: 'live', entry, data, forwardTo: name ? id : null };
  }

  /** Two parties hold this login: it ends for both, and whoever brought the old id is told as a thief is. */
  async #reused(lid: string, handle: string): Promise<Opened> {
    await this.#deps.onReused({ lid, handle });
    const now = await this.#deps.sessions.load(handle);
    if (now.kind !== 'tombstone' || now.tombstone.kind === 'moved') return { kind: 'anonymous' };
    const { tombstone } = now;
    // The gate reports it: it knows who the request came from.
    return this.#ended(tombstone.kind === 'revoked' ? { ...tombstone, reused: handle } : tombstone);
  }

  /**
   * By chance, once in n: an exact count would need a write with every request, or requests that always reach the same
   * process. Never an id that its holder has only now begun to use, nor an anonymous session.
   */
  #isDue({ lid, movedFrom }: LiveHead): boolean {
    const { rotateEvery = 0, random = Math.random } = this.#deps;
    return rotateEvery > 0 && lid !== '' && movedFrom === '' && random() * rotateEvery < 1;
  }

  /**
   * The session goes on under a new id, its data kept. The new id is stored first: from the moment that the old one names
   * it, requests with the old id are forwarded to it. Whatever goes wrong, this request is served as it would have been.
   */
  async #rotate(sessionId: string, old: OpenedLive): Promise<Opened> {
    const { sessions, clock, absoluteTtlMs, log } = this.#deps;
    const newId = randomBytes(24).toString('base64url');
    const entry = this.fresh(newId);
    const { lid, endsAtMs } = old.entry.head;
    const nowMs = clock();
    const head: LiveHead = { ...entry.head, lid, endsAtMs, renewedAtMs: nowMs, movedFrom: old.entry.handle };
    const ttlMs = Math.min(lifeIn(old.data) ?? this.#deps.ttlMs, endsAtMs - nowMs);
    if (ttlMs <= 0) return old;
    try {
      if ((await this.#saveInOrder(entry, head, old.data, ttlMs)) !== 'live') return old;
      const move = { from: old.entry.handle, to: entry.handle, sealedId: sealId(newId, sessionId), atMs: nowMs };
      const outcome = await sessions.move({ ...move, tombstoneTtlMs: absoluteTtlMs, onlyOnce: true });
      if (outcome === 'moved') {
        return { ...old, entry: { ...entry, head, first: false, newLogin: false, id: newId }, forwardTo: newId };
      }
      // It ended, or another request was faster: nobody has been told of the new id.
      await sessions.destroy(entry.handle, nowMs, absoluteTtlMs);
      return outcome === 'taken' ? await this.open(sessionId) : old;
    } catch (error) {
      log.debug({ event: 'session_unavailable', error: errorName(error) }, 'A session could not be given a new id');
      return old;
    }
  }

  /** Null when Redis was away. `ttlMs`: what the cookie asks for, or null for the default. */
  async save(entry: Entry, data: object, wantedTtlMs: number | null): Promise<WriteOutcome | null> {
    if (entry.blocked !== null) return this.#refuse('save', entry.blocked);
    if ('__bouncer' in data) return this.#refuse('save', 'reserved_name');
    const { clock, absoluteTtlMs, ttlMs: defaultTtlMs } = this.#deps;
    const nowMs = clock();
    const wanted = wantedTtlMs ?? defaultTtlMs;
    const endsAtMs = entry.head.endsAtMs > 0 ? entry.head.endsAtMs : nowMs + Math.max(absoluteTtlMs, wanted);
    const ttlMs = Math.min(wanted, endsAtMs - nowMs);
    if (ttlMs <= 0) return this.end(entry.handle);
    const head: LiveHead = { ...entry.head, renewedAtMs: nowMs, endsAtMs };
    const outcome = await this.#write('save', () => this.#saveInOrder(entry, head, data, ttlMs));
    if (outcome === 'live') Object.assign(entry, { head, first: false, newLogin: false });
    return outcome;
  }

  /**
   * A new id of a login: enrol it, which tells whether the login has ended, then save. The revoker marks first and then
   * reads the index, so one of the two sees the other. The order must not change: a test shows that swapping it fails.
   * An epoch ("no session authenticated before") is told by the same step, because it lies with the user's registry: who
   * writes it either finds this login there, or is found by it.
   */
  async #saveInOrder(entry: Entry, head: LiveHead, data: object, ttlMs: number): Promise<WriteOutcome> {
    const { sessions, logins, mutation } = this.#deps;
    const save = () => sessions.save(entry.handle, entry.first, head, data, ttlMs);
    if (!entry.first || head.lid === '') return save();
    const { lid, renewedAtMs: nowMs, endsAtMs } = head;
    const { loginAtMs = null } = entry;
    const enroll = () => logins.enroll({ lid, handle: entry.handle, nowMs, endsAtMs, loginAtMs });
    const bury = async (mark: EndMark): Promise<WriteOutcome> => {
      await sessions.bury(entry.handle, lid, mark, this.#deps.absoluteTtlMs);
      return 'revoked';
    };
    // The login began in this request and nobody has been told its id: both go out in one go, and in the rare case that
    // all of the user's logins were ended meanwhile, what was saved is ended before the answer.
    if (entry.newLogin) {
      const [mark, outcome] = await Promise.all([enroll(), save()]);
      return mark === null ? outcome : bury(mark);
    }
    const mark = await (mutation === 'save_before_enroll' ? logins.endMark(lid) : enroll());
    if (mark !== null) return bury(mark);
    const outcome = await save();
    if (mutation === 'save_before_enroll') await enroll();
    return outcome;
  }

  /** Most unmodified requests need no second command: the time to live is renewed when part of it has gone. */
  needsTouch(entry: Entry, wantedTtlMs: number | null): boolean {
    if (entry.first || entry.blocked !== null) return false;
    return this.#deps.clock() - entry.head.renewedAtMs >= (wantedTtlMs ?? this.#deps.ttlMs) * this.#deps.renewAfter;
  }

  async touch(entry: Entry, wantedTtlMs: number | null): Promise<void> {
    if (!this.needsTouch(entry, wantedTtlMs)) return;
    const nowMs = this.#deps.clock();
    const ttlMs = wantedTtlMs ?? this.#deps.ttlMs;
    const outcome = await this.#write('touch', () => this.#deps.sessions.touch(entry.handle, nowMs, ttlMs));
    if (outcome === 'live') entry.head = { ...entry.head, renewedAtMs: nowMs };
  }

  /**
   * Has this session ended since it was loaded? One GET: of its login's mark, the first thing that a revocation writes,
   * or of its own key where it has no login. Throws when Redis is away.
   */
  async hasEnded({ handle, head, first }: Entry): Promise<boolean> {
    if (head.lid !== '') return (await this.#deps.logins.endMark(head.lid)) !== null;
    return !first && (await this.#deps.sessions.load(handle)).kind !== 'live';
  }

  /** Never throws. Null when Redis was away: then it is done when Redis is back (see `endLate`). */
  async end(handle: string): Promise<WriteOutcome | null> {
    const { sessions, clock, absoluteTtlMs } = this.#deps;
    const outcome = await this.#write('destroy', () => sessions.destroy(handle, clock(), absoluteTtlMs));
    if (outcome === null) this.#late.add(handle);
    else this.#late.delete(handle);
    return outcome;
  }

  /** Logout, by the app's own word: nobody is told that it is done when it is not. Throws `session_unavailable`. */
  async logout(handle: string): Promise<void> {
    if ((await this.end(handle)) === null) {
      throw sessionUnavailable('logout: Redis is away; the session ends when it is back');
    }
  }

  /** Redis is back: what could not be ended while it was away ends now. */
  async endLate(): Promise<void> {
    await Promise.all(this.#late.all().map((handle) => this.end(handle)));
  }

  /**
   * The session goes on under a new id: the new entry carries the login with it, also when the app does not know of us.
   * Where the move is refused the new entry is blocked: what has ended does not go on under another name.
   */
  async move(old: Entry, oldId: string, newId: string): Promise<Entry> {
    const entry = this.fresh(newId);
    if (old.first) {
      // Not `newLogin`: the login may have been reported under the old id already, so its mark must be looked at.
      entry.head = { ...entry.head, lid: old.head.lid };
      entry.loginAtMs = old.loginAtMs;
      return entry;
    }
    if (old.blocked !== null) return { ...entry, blocked: old.blocked };
    const sealedId = old.head.lid === '' ? null : sealId(newId, old.id ?? oldId);
    const tombstoneTtlMs = this.#deps.absoluteTtlMs;
    const move = { from: old.handle, to: entry.handle, sealedId, atMs: this.#deps.clock(), tombstoneTtlMs };
    const outcome = await this.#write('move', () => this.#deps.sessions.move(move));
    if (outcome !== 'moved') return { ...entry, blocked: outcome ?? 'unavailable' };
    const { lid, endsAtMs } = old.head;
    entry.head = { ...entry.head, lid, endsAtMs, movedFrom: lid === '' ? '' : old.handle };
    return entry;
  }

  /** Null when Redis was away. */
  async #write(operation: Refusal['operation'], write: () => Promise<WriteOutcome>): Promise<WriteOutcome | null> {
    try {
      const outcome = await write();
      const done = operation === 'destroy' || outcome === (operation === 'move' ? 'moved' : 'live');
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
