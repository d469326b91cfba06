import { holdsTheSame, leftOut, REISSUE_MS } from '../domain/grace.ts';
import type { Clock, EndMark, GuardedSessions, LiveHead, Logins, Move, WriteOutcome } from '../ports.ts';
import type { Entry } from './entry.ts';
import { sealId } from './seal.ts';

/** The writer's order, swapped; only the step-by-step way has one. */
export type Mutation = 'save_before_enroll';

export interface CreationDeps {
  readonly sessions: GuardedSessions;
  readonly logins: Logins;
  readonly clock: Clock;
  readonly absoluteTtlMs: number;
  readonly mutation?: Mutation | undefined;
}

/** How an id comes into being, or a session goes on under a new one: what is written, in which order. May throw. */
export class Creation {
  readonly #deps: CreationDeps;

  constructor(deps: CreationDeps) {
    this.#deps = deps;
  }

  async save(entry: Entry, head: LiveHead, data: object, ttlMs: number): Promise<WriteOutcome> {
    if (!entry.first) return this.#again(entry, head, data, ttlMs);
    const sealed = isKept(entry, data);
    const outcome = await this.#create(entry, head, data, ttlMs, this.#moveOf(entry, sealed));
    if (entry.origin && outcome === 'live') entry.origin.sealed = sealed;
    return outcome;
  }

  /**
   * By the store's own choice: all data stays. Of two requests at the same time, one does. There may be thousands of old ids
   * of one login, so each is remembered only for as long as it would have lived unused (and a slow request lasts).
   */
  rotate(entry: Entry, head: LiveHead, data: object, ttlMs: number): Promise<WriteOutcome> {
    const move = this.#moveOf(entry, true);
    const tombstoneTtlMs = Math.max(ttlMs, REISSUE_MS);
    return this.#create(
      entry,
      head,
      data,
      ttlMs,
      move && { ...move, tombstoneTtlMs, onlyOnce: true, ifStill: entry.origin?.entry.text },
    );
  }

  /**
   * What an app puts into a session after its first save may make it another user's, and then holders of the old id must not
   * follow; that is written before the data. What makes it the same one's after all, afterwards.
   */
  async #again(entry: Entry, head: LiveHead, data: object, ttlMs: number): Promise<WriteOutcome> {
    const { sessions } = this.#deps;
    const { origin } = entry;
    const sealed = origin === undefined ? null : isKept(entry, data);
    const move = origin === undefined || sealed === origin.sealed ? null : this.#moveOf(entry, sealed === true);
    if (move !== null && !sealed) await sessions.move(move);
    const outcome = await sessions.save(entry.handle, false, head, data, ttlMs);
    if (move !== null && sealed && outcome === 'live') await sessions.move(move);
    if (origin) origin.sealed = sealed;
    return outcome;
  }

  #moveOf({ handle, head, origin }: Entry, sealed: boolean): Move | null {
    if (origin === undefined) return null;
    const sealedId = sealed && head.lid !== '' ? sealId(origin.newId, origin.id) : null;
    const { clock, absoluteTtlMs: tombstoneTtlMs } = this.#deps;
    return { from: origin.entry.handle, to: handle, sealedId, atMs: clock(), tombstoneTtlMs };
  }

  /**
   * One step where one server holds all keys. Else one after the other, so that whoever dies in between leaves no live
   * session that its login's end does not find: enrolled (which tells whether the login has ended), then saved, then named by
   * the old id. The revoker marks first and then reads the index, so one of the two sees the other. The order must not
   * change: a test shows that swapping it fails. An epoch ("no session authenticated before") is told by the same step,
   * because it lies with the user's registry: who writes it either finds this login there, or is found by it.
   */
  async #create(entry: Entry, head: LiveHead, data: object, ttlMs: number, move: Move | null): Promise<WriteOutcome> {
    const { sessions, absoluteTtlMs: tombstoneTtlMs, mutation } = this.#deps;
    const { lid, renewedAtMs: nowMs, endsAtMs } = head;
    const enrolment = { lid, handle: entry.handle, nowMs, endsAtMs, loginAtMs: entry.loginAtMs ?? null };
    if (sessions.enter !== null && lid !== '' && mutation === undefined) {
      const entered = await sessions.enter({ enrolment, head, data, ttlMs, move, tombstoneTtlMs });
      if (entered !== null) return entered;
    }
    const outcome = await this.#enrolAndSave(enrolment, () => sessions.save(entry.handle, true, head, data, ttlMs));
    if (outcome !== 'live' || move === null) return outcome;
    const moved = await sessions.move(move);
    if (moved === 'moved') return 'live';
    // The old id has ended, or another request was faster: nobody has been told of the new one. (Of a revoked one it is buried.)
    if (moved !== 'revoked') await sessions.destroy(entry.handle, nowMs, tombstoneTtlMs);
    return moved;
  }

  async #enrolAndSave(
    enrolment: Parameters<Logins['enroll']>[0],
    save: () => Promise<WriteOutcome>,
  ): Promise<WriteOutcome> {
    const { logins, sessions, absoluteTtlMs, mutation } = this.#deps;
    const { lid, handle } = enrolment;
    if (lid === '') return save();
    const isSwapped = mutation === 'save_before_enroll';
    const mark: EndMark | null = await (isSwapped ? logins.endMark(lid) : logins.enroll(enrolment));
    if (mark !== null) {
      await sessions.bury(handle, lid, mark, absoluteTtlMs);
      return 'revoked';
    }
    const outcome = await save();
    if (isSwapped) await logins.enroll(enrolment);
    return outcome;
  }
}

/** Is this data just what the old id's session had been loaded with? */
function isKept(entry: Entry, data: object): boolean {
  return compared(entry, data, holdsTheSame) ?? false;
}

/** Does the app's `regenerate` leave the login behind? Only a session of a login, before its first save. */
export function leavesLogin(entry: Entry, data: object): 'all' | 'user' | null {
  if (!entry.first || entry.head.lid === '') return null;
  return compared(entry, data, leftOut);
}

/** What the session that this one goes on from had been loaded with, and what this one holds; null where that is not known. */
function compared<R>(
  { origin }: Entry,
  data: object,
  compare: (before: Record<string, unknown>, after: Record<string, unknown>) => R,
): R | null {
  const text = origin?.entry.text;
  if (text === undefined) return null;
  // As it will be loaded: what has a `toJSON` (a session's cookie) is something else in memory.
  return compare(
    JSON.parse(text) as Record<string, unknown>,
    JSON.parse(JSON.stringify(data)) as Record<string, unknown>,
  );
}
