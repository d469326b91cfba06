/** What the order of effects (src/detect.ts) needs of the world. Types only; each adapter implements one of these. */

import type {
  Disposition,
  EndedAgain,
  Incident,
  IncidentRecord,
  IncidentStatus,
  PendingAnswer,
  PhpEnd,
  RevokeOutcome,
  Visit,
} from './domain/incident.ts';
import type { Reason } from './domain/reasons.ts';
import type { RegistryFinding, RegistryWord } from './domain/registry.ts';
import type { AddressFlag, AddressProblem, Baseline, Evidence, LoginEvent, Sighting } from './domain/types.ts';

/** Where an address is, as far as the loaded data says. Pure memory: synchronous, never throws. */
export interface Locator {
  locate(address: string | null, problem?: AddressProblem): Sighting;
  /** What is loaded, for `doctor` and evidence. */
  sources(): readonly SourceStatus[];
}

export interface SourceStatus {
  readonly database: string;
  /** Where it came from: a path, or a package name. */
  readonly origin: string;
  /** ISO 8601 day, or null where the source does not say. */
  readonly builtOn: string | null;
  /** Age in days at the time of asking, or null. */
  readonly ageDays: number | null;
  /** Open and answering? If not, `problem` says why. */
  readonly ok: boolean;
  readonly problem?: string | undefined;
  /** What its word is good for: it votes, is certain, flags, or is only recorded. Missing while nothing is open. */
  readonly role?: 'country' | 'override' | 'flags' | 'network' | undefined;
  /** Whose data it is, where that is known. Sources of one vendor are one voice. */
  readonly vendor?: string | undefined;
  /** How often a newer file was taken, and how often one was refused, since the start; left out while 0. */
  readonly reloads?: number | undefined;
  readonly failedReloads?: number | undefined;
  /** Why the file that lies there now is not in use, while an older one goes on. */
  readonly refused?: string | undefined;
}

export interface StoredBaseline {
  readonly baseline: Baseline;
  /** 0 when nothing is stored yet. A save names the revision it was made from. */
  readonly revision: number;
}

export interface BaselineChange extends StoredBaseline {
  readonly userId: string;
}

/** What is known of each user's logins. May throw when Redis is away. */
export interface Baselines {
  /** In the order asked. One round trip. */
  load(userIds: readonly string[]): Promise<StoredBaseline[]>;
  /**
   * Compare and set, each user for itself: false where the stored revision is no longer the one named (nothing is
   * written there; load and decide again). Atomic per user, one round trip.
   */
  save(changes: readonly BaselineChange[]): Promise<(boolean | Error)[]>;
}

export interface Revocation {
  readonly handle: string;
  readonly lid: string;
  readonly reason: EndReason;
  readonly caseId: string;
  readonly atMs: number;
  /**
   * When the user authenticated, milliseconds since the epoch. With it, a session under `handle` that an app's own code
   * carried over from an earlier login ends too: this event says that it is the session which that user got into now.
   */
  readonly loginAtMs?: number | undefined;
  /** A re-check that found it standing: only who missed the news need hear of it. */
  readonly repeat?: boolean | undefined;
  /** It was applied before and is applied once more (a re-check): does nothing where a person has lifted it since. */
  readonly again?: boolean | undefined;
  /** No re-check follows this one. */
  readonly last?: boolean | undefined;
  /** Nothing is known of a session under `handle`: only the mark is written, and what the login's index holds ends. */
  readonly markOnly?: true | undefined;
  /** As `LoginEvent.php`. */
  readonly php?: string | undefined;
  /** Of a login at a PHP site that a process has ended which does not reach PHP's sessions: a worker ends those. */
  readonly handedOver?: true | undefined;
}

/** Ends sessions. Idempotent: the first reason and time stay. Each entry is atomic on its own key; an Error is that entry's alone. */
export interface Sessions {
  revoke(revocations: readonly Revocation[]): Promise<(RevokeResult | Error)[]>;
}

export interface RevokeResult {
  readonly outcome: RevokeOutcome;
  /** When the tombstone was written; a repeated revoke tells the first time. 0 for `other_login`. */
  readonly atMs: number;
  /** A person has lifted this end (see `Undo`): nothing was ended, the outcome says `other_login`. */
  readonly lifted?: true | undefined;
  /** Of a login at a PHP site. */
  readonly php?: PhpEnd | undefined;
  /** PHP has noted ids of this login: whoever does not reach PHP's sessions hands their end over to a worker. */
  readonly hasPhpIds?: true | undefined;
  /** The case of the end that stands: the login may have ended before, by another one. Left out where nothing was ended. */
  readonly caseId?: string | undefined;
}

/** The ids that a login at a PHP site has had, as PHP notes them before it saves them. May throw when Redis is away. */
export interface PhpIds {
  /** Sealed, by handle. Written by others: trusted only once opened. */
  of(lid: string): Promise<Readonly<Record<string, string>>>;
  /** The id that a login was reported with, for a site that keeps no index. What stands there stays. Idempotent. */
  note(lid: string, handle: string, sealed: string, ttlMs: number): Promise<void>;
  /** Idempotent. Only of a login that has ended: what PHP notes after that it does not save. */
  forget(lid: string, handles: readonly string[]): Promise<void>;
  /**
   * Of a login that lives: PHP's Redis has none of these ids now. Forgets those that it did not have `settleMs` ago either,
   * remembers the others for the next time, and says how many were forgotten.
   */
  trim(lid: string, absent: readonly string[], nowMs: number, settleMs: number): Promise<number>;
}

/** The sessions that PHP keeps in Redis (phpredis). Each method may throw when that Redis is away. */
export interface PhpSessions {
  /** The first `maxBytes` + 1 bytes; null where there is nothing, or nothing in it. */
  read(id: string, maxBytes: number): Promise<Buffer | null>;
  /** Which of these are there? In the order asked. */
  exist(ids: readonly string[]): Promise<boolean[]>;
  /** Compare and set: only while the value is still what was read. Atomic. */
  replace(id: string, read: Buffer, now: Buffer): Promise<boolean>;
  /** Compare and delete: only while the value still begins with what was read. Atomic. */
  destroy(id: string, read: Buffer): Promise<boolean>;
  /**
   * Keeps PHP's requests out, as they do each other, where phpredis locks its sessions; a lock that is held is waited for,
   * bounded. `isHeld` false: it was not to be had, and a request may be running that writes back.
   */
  lock(id: string): Promise<{ readonly isHeld: boolean; release(): Promise<void> }>;
}

export interface IncidentFilter {
  readonly status?: IncidentStatus | undefined;
  readonly userId?: string | undefined;
  readonly address?: string | undefined;
}

export interface IncidentPage {
  readonly incidents: readonly IncidentRecord[];
  /** Pass it to get the next page; null at the end. A page that is short, or empty, is not the last one while it has one. */
  readonly cursor: string | null;
}

/** What the store must know of a session beside the app's own data. */
export interface LiveHead {
  /** When its time to live was last renewed, milliseconds since the epoch. */
  readonly renewedAtMs: number;
  /** It never lives past this. */
  readonly endsAtMs: number;
  /** Random token of the session object that created it. */
  readonly birth: string;
  /** The login it belongs to; '' for an anonymous session. */
  readonly lid: string;
  /** The handle it moved from, while its holder has not used the new id yet; else ''. */
  readonly movedFrom: string;
  /** When its holder first used this id, milliseconds since the epoch; 0 or left out where it never moved. */
  readonly firstUsedAtMs?: number | undefined;
}

export interface RevokedTombstone {
  readonly kind: 'revoked';
  readonly atMs: number;
  readonly lid: string;
  readonly reason: EndReason;
  readonly caseId: string;
  /** In the one request whose old id ended this login: that id's handle. Never stored. */
  readonly reused?: string | undefined;
}

export interface MovedTombstone {
  readonly kind: 'moved';
  readonly atMs: number;
  readonly lid: string;
  /** When the successor was first used, or 0. */
  readonly successorUsedAtMs: number;
  /** Oldest first; `sealedId` is null where nobody is forwarded (the login changed with the id). */
  readonly successors: readonly { readonly handle: string; readonly sealedId: string | null }[];
}

export interface LogoutTombstone {
  readonly kind: 'logout';
  readonly atMs: number;
  readonly lid: string;
}

export type Tombstone = RevokedTombstone | MovedTombstone | LogoutTombstone;

export type LoadedSession =
  | { readonly kind: 'absent' }
  /** `text`: the stored value as it was loaded, which no handler can have changed. */
  | {
      readonly kind: 'live';
      readonly head: LiveHead;
      readonly data: Record<string, unknown>;
      readonly text: string;
    }
  | { readonly kind: 'tombstone'; readonly tombstone: Tombstone };

/** What a write came to. Only `live` means written; the others say why it was refused. */
export type WriteOutcome = 'live' | 'gone' | 'taken' | 'moved' | 'logout' | 'revoked' | 'foreign';

export interface Move {
  readonly from: string;
  readonly to: string;
  /** See `MovedTombstone`. */
  readonly sealedId: string | null;
  readonly atMs: number;
  readonly tombstoneTtlMs: number;
  /**
   * The store's own rotation: of two requests that move one session at the same time, the second is refused (`taken`), and
   * the tombstone lives for `tombstoneTtlMs`, not to the session's absolute end.
   */
  readonly onlyOnce?: boolean | undefined;
  /** The old id's stored value as it was loaded: where its data is another one by now, the move is refused (`taken`). */
  readonly ifStill?: string | undefined;
}

/** The first save of an id of a login; `move`: the session goes on from another id. */
export interface Entrance {
  readonly enrolment: Enrolment;
  readonly head: LiveHead;
  readonly data: object;
  readonly ttlMs: number;
  readonly move: Move | null;
  readonly tombstoneTtlMs: number;
}

export interface Logout {
  readonly handle: string;
  /** Of the login that is to end with it. */
  readonly lid: string;
  readonly nowMs: number;
  readonly tombstoneTtlMs: number;
  readonly markTtlMs: number;
}

/**
 * The web tier's side of the sessions. Every write is guarded and atomic on its one key; a refusal is an outcome and
 * never an error. All may throw when Redis is away.
 */
export interface GuardedSessions {
  load(handle: string): Promise<LoadedSession>;
  save(handle: string, first: boolean, head: LiveHead, data: object, ttlMs: number): Promise<WriteOutcome>;
  touch(handle: string, nowMs: number, ttlMs: number): Promise<WriteOutcome>;
  /** Of one session: a moved id logs its successors out too. `lid`: the login that it is (or was) of, or ''. */
  logout(handle: string, nowMs: number, tombstoneTtlMs: number): Promise<{ outcome: WriteOutcome; lid: string }>;
  /**
   * A session and its login, with all its ids, in one atomic step, and the news of it. `other`: the session is another login's
   * (`lid`), nothing was done. Not `isAll`: ids are left, of a login with very many. Answers null on a Cluster: there the login's
   * mark, its other ids and the session end one after the other. Null in its place: so they do here.
   */
  readonly logoutAtOnce:
    | ((logout: Logout) => Promise<{ outcome: WriteOutcome | 'other'; lid: string; isAll: boolean } | null>)
    | null;
  /** As `logout`, for whom the login does not matter. */
  destroy(handle: string, nowMs: number, tombstoneTtlMs: number): Promise<WriteOutcome>;
  /** The session goes on under another id. Where the old one was revoked, the new one gets its tombstone first. */
  move(move: Move): Promise<WriteOutcome>;
  /**
   * The holder of a moved session has used its new id: starts the tail in which the old one is still served. Idempotent:
   * the first use counts.
   */
  arrive(handle: string, predecessor: string, nowMs: number): Promise<void>;
  /**
   * An answer that was under way when the session moved has given the browser its old id again: the successor counts as not
   * used yet, until its next use. Nothing happens where the move was longer ago than `withinMs`. Not atomic; safe to repeat.
   */
  reissued(handle: string, nowMs: number, withinMs: number): Promise<void>;
  /**
   * Enrol, save and move, all or nothing, in one atomic step; where the login or the old id had ended, the new id gets its
   * tombstone. Answers null on a Cluster, where these keys lie in several slots: there enrol, save and move go one after the
   * other. Null in its place: so do they here.
   */
  readonly enter: ((entrance: Entrance) => Promise<WriteOutcome | null>) | null;
  /** Puts the tombstone of an ended login where an id of it was about to be created. */
  bury(handle: string, lid: string, mark: EndMark, tombstoneTtlMs: number): Promise<void>;
}

/** What web processes are told when a login has ended. Only these: no session id, nothing of the user. */
export interface RevocationNotice {
  readonly lid: string;
  /** The handles that were ended; those of a login with very many ids are cut off. */
  readonly handles: readonly string[];
  readonly reason: EndReason;
  readonly caseId: string;
  /** When the login was ended, milliseconds since the epoch. */
  readonly atMs: number;
}

/**
 * The news of ended logins, in every web process. A listener hears of each login at least once, mostly once; one that
 * throws or rejects is logged and harms nobody. `watching`: the logins that this listener cares for; where news may have been
 * missed (the connection was away) they are looked up, so that none of them is.
 */
export interface Revocations {
  /** Returns the way to stop listening. */
  listen(listener: (notice: RevocationNotice) => unknown, watching?: () => Iterable<string>): () => void;
}

/** Looks whether what was revoked is still so. One round trip or two for the batch; may throw when Redis is away. */
export interface Standing {
  /** In the order asked. `live`: sessions of this login that are live again; `mark`: does its mark stand, or was it lifted? */
  look(
    revocations: readonly Revocation[],
  ): Promise<{ readonly live: number; readonly mark: boolean; readonly lifted?: boolean | undefined }[]>;
}

/**
 * The safety brake, asked before logins are ended. Counts first, for all workers together and in one step: whoever would pass
 * the limit is refused, so that the sessions of no more users are ended in a window than the policy allows. Idempotent by lid: what
 * was granted stays granted when a job is repeated. May throw when Redis is away: then nothing may be ended.
 */
export interface LoginBrake {
  /** In the order asked: may this login be ended? `logins`: how many were checked with them, not counted yet. */
  ask(toEnd: readonly LoginToEnd[], logins: number): Promise<readonly boolean[]>;
}

export type LoginToEnd = Pick<LoginEvent, 'lid' | 'userId'>;

/** Has each revocation applied again later, in case Redis forgets it. Idempotent by lid; throws when Redis is away. */
export interface Rechecks {
  schedule(revocations: readonly Revocation[]): Promise<void>;
}

/** Why a login ended: what a decision found, what a person or the store did, or its user (`logout`). */
export type EndReason = Reason | 'forced_logout' | 'logout';

/** The one fact that ends a login: written before anything else, and looked at before any id of the login is created. */
export interface EndMark {
  readonly reason: EndReason;
  readonly caseId: string;
  readonly atMs: number;
}

export interface Enrolment {
  readonly lid: string;
  readonly handle: string;
  readonly nowMs: number;
  /** The session's absolute end. */
  readonly endsAtMs: number;
  /** When the login began, where it began in this request; else null, and the time on record counts. */
  readonly loginAtMs: number | null;
  /** The id is given back (see `Undo`): nothing new comes into being, so a Redis without memory takes it too. */
  readonly givenBack?: boolean | undefined;
}

/** Which session ids a login has, and whether it has ended. Each method is atomic. */
export interface Logins {
  /**
   * Adds an id to the login's index and tells, in the same step, whether the login has ended: by its own mark, or by an
   * epoch of its user that it began before. MUST be done before the id is first saved.
   */
  enroll(enrolment: Enrolment): Promise<EndMark | null>;
  /** `loginAtMs`: of a login that no id was ever enrolled of; then the epoch of its user counts too. One command. */
  endMark(lid: string, loginAtMs?: number): Promise<EndMark | null>;
  /** Has it ended before, and has a person taken that end back? */
  isLifted(lid: string): Promise<boolean>;
}

/** One login of a user. Text is untrusted. */
export interface LoginEntry {
  readonly lid: string;
  /** Of its newest session id. */
  readonly handle: string;
  /** Null where the login was never reported, or that report could not be noted. */
  readonly userId: string | null;
  /** Milliseconds since the epoch, as the two below; 0 where it is not known. */
  readonly loginAtMs: number;
  /** It lives no longer than this. */
  readonly endsAtMs: number;
  readonly address: string | null;
  /** Where that address may be, once the worker has located it. */
  readonly countries: readonly string[];
  readonly userAgent?: string | undefined;
  readonly deviceId?: string | undefined;
  /** At a PHP site: PHP keeps its sessions, and may have logged it out without a word. */
  readonly php?: true | undefined;
}

/** Which logins a user has. A hint that cleans itself: the sessions' own keys are the truth. May throw when Redis is away. */
export interface Registry {
  /** Idempotent. */
  add(login: LoginEvent, nowMs: number, endsAtMs: number): Promise<void>;
  /** Notes where logins came from; those that are gone stay gone. */
  located(
    notes: readonly { readonly userId: string; readonly lid: string; readonly countries: readonly string[] }[],
  ): Promise<void>;
  /** The logins that live, oldest first, in one step (on a Cluster: the index, then one look at all of them). Removes the dead behind it. */
  list(userId: string, nowMs: number): Promise<LoginEntry[]>;
  /** `kept`: has a session of this login ever been in our store? */
  find(lid: string, nowMs: number): Promise<(LoginEntry & { readonly live: boolean; readonly kept: boolean }) | null>;
  /** Does this login's id say, by itself, that it is this user's? Never of an id that the app chose. */
  isOf(lid: string, userId: string): boolean;
  /** Every login on record, whether it lives or not. */
  all(userId: string): Promise<LoginEntry[]>;
  /**
   * Writes the user's epoch and tells the logins on record, in one step: a login that enrols an id later is told that it
   * has ended, one that did before is in the answer.
   */
  bar(userId: string, atMs: number, ttlMs: number): Promise<LoginEntry[]>;
  /** "All of this user's sessions until then have ended": when; 0 where nobody said so. */
  barredUntil(userId: string): Promise<number>;
  /** Removes the dead of one user (by tag). */
  prune(userTag: string, nowMs: number): Promise<{ readonly kept: number; readonly removed: number }>;
  /** The logins at PHP sites on one user's list (by tag). */
  atPhp(userTag: string): Promise<LoginEntry[]>;
  /** Takes logins off one user's list (by tag), but for those that got a new id meanwhile. */
  remove(userTag: string, lids: readonly string[]): Promise<number>;
}

export interface Swept {
  readonly users: number;
  /** Logins taken out of the registry. */
  readonly removed: number;
  /** Were there more users than this sweep was to do? */
  readonly more: boolean;
}

/** Cleans the registry of users who never list their sessions. Two at once do not harm each other. */
export interface Sweeper {
  /** These users have logged in: they are to be swept one interval from now. */
  note(userIds: readonly string[], nowMs: number): Promise<void>;
  sweep(nowMs: number, maxUsers: number): Promise<Swept>;
}

/** What a person (or a part of us, by its name) did. A closed set: the console shows each with its own words. */
export type AuditAct =
  | 'end'
  | 'end_all'
  | 'end_others'
  /** A worker, of PHP's own sessions of a login that somebody else has ended. */
  | 'php_end'
  | 'answer'
  | 'undo'
  | 'trust'
  | 'forget_trust'
  | 'list_add'
  | 'list_remove'
  | 'brake_trip'
  | 'brake_reset'
  | 'forget_user'
  | 'hold'
  | 'export'
  | 'retry_notification'
  | 'sign_in'
  | 'sign_in_refused'
  | 'sign_out';

/** One act, e.g. one end of one login by a person, or of all of a user's logins. */
export interface AuditEntry {
  readonly atMs: number;
  readonly what: AuditAct;
  readonly by: string;
  readonly why: string;
  readonly userId: string | null;
  /** Null for the act as a whole. */
  readonly lid: string | null;
  readonly caseId?: string | undefined;
  readonly outcome: string;
}

/** Kept in order, bounded; never changed. May throw when Redis is away. */
export interface Audit {
  add(entries: readonly AuditEntry[]): Promise<void>;
  /** Newest first. */
  list(limit: number): Promise<AuditEntry[]>;
  /** The newest ones of one case, newest first, however much was written since. */
  ofCase(caseId: string): Promise<AuditEntry[]>;
  /** All that is kept, newest first, in pages: what is written meanwhile is left out. */
  pages(): AsyncIterable<readonly AuditEntry[]>;
}

/** A write of a session that was refused, or could not be made. Counted and reported, never an error into the app. */
export interface Refusal {
  readonly operation: 'save' | 'touch' | 'destroy';
  /** `unavailable`: Redis was away. `reserved_name`: the app used a member name that is ours. */
  readonly outcome: WriteOutcome | 'unavailable' | 'reserved_name';
}

/** An incident as it was recorded, and its newest end. */
export type RecordedIncident = Incident & { readonly endedAgain?: EndedAgain | undefined };

/**
 * The reviewable records. `record` is idempotent: once per case number; false means that it was there already. Where its login
 * was given back and has ended anew by the same case, that is noted, a `safe` or `dismissed` one is open again, and it says
 * `ended_again`, once for each end.
 */
export interface Incidents {
  record(incidents: readonly Incident[]): Promise<(boolean | 'ended_again' | Error)[]>;
  /** Which of these cases are on record? In the order asked. For a retried job: what was decided once stays decided. */
  existing(caseIds: readonly string[]): Promise<(RecordedIncident | null)[]>;
  get(caseId: string): Promise<IncidentRecord | null>;
  /** Newest first. Never walks the keyspace. */
  list(filter: IncidentFilter, limit: number, cursor?: string | null): Promise<IncidentPage>;
  /** Adds a visit, bounded in number; unknown cases are ignored. Returns whether it was kept or only counted. */
  visit(caseId: string, visit: Visit): Promise<'kept' | 'counted' | 'unknown'>;
  /** Answers an open incident; else says that it is unknown, or how it was answered before. Atomic. */
  resolve(caseId: string, answer: Resolution): Promise<'resolved' | 'unknown' | Disposition>;
  /** All that follows from the answer of this time is done: it is pending no more. Idempotent. Throws when Redis is away. */
  settled(caseId: string, answeredAtMs: number): Promise<void>;
}

export interface Resolution {
  readonly disposition: Disposition;
  readonly by: string;
  readonly note: string;
  readonly atMs: number;
  /** Written with it, where effects follow: pending until `settled`. */
  readonly pending?: PendingAnswer | undefined;
  /** Written with it. */
  readonly entry?: AuditEntry | undefined;
}

/** A login or job that could not be read. Holds no raw text: only what validated. */
export interface SetAsideEntry {
  readonly code: SetAsideCode;
  readonly atMs: number;
  readonly jobId: string;
  /** Position in the job, or null for the whole job. */
  readonly index: number | null;
  /** The field that was wrong, e.g. `userId`. */
  readonly field: string | null;
  readonly lid: string | null;
}
export type SetAsideCode = 'malformed_job' | 'unknown_version' | 'malformed_login' | 'login_failed';

export interface SetAside {
  /** Idempotent per batch; false: it was there already. */
  put(batchId: string, entries: readonly SetAsideEntry[]): Promise<boolean>;
  list(limit: number): Promise<SetAsideEntry[]>;
  count(): Promise<number>;
}

/** What a batch adds to the counts over time: see `Series` in desk-ports.ts. */
export interface Tally {
  /** The minute and hour that it counts in, milliseconds since the epoch. */
  readonly atMs: number;
  /** By name: `checked`, `flagged` ... */
  readonly counts: ReadonlyMap<string, number>;
  /** By country and name, e.g. `GB:checked`. */
  readonly countries: ReadonlyMap<string, number>;
}

/** Running totals that outlive the process, e.g. `reason:unlocatable`, `why:special_address`. */
export interface Counters {
  /** Idempotent per batch. The tally is counted with it, in the same step. */
  add(batchId: string, counts: ReadonlyMap<string, number>, tally?: Tally): Promise<void>;
  read(): Promise<Record<string, number>>;
}

/** One row of a geofeed as it is kept: `country` null with its `note` where the row names none. */
export interface GeofeedRow {
  readonly prefix: string;
  readonly country: string | null;
  readonly note?: string | undefined;
}

/** What a registry answered, for the part of its range that lies in one /24 or /48. */
export interface RegistryEntry {
  /** CIDR or `first - last`. Only an address in it may be answered from this entry. */
  readonly range: string;
  /** As it was for the address that was asked; `geofeed` is null here and made from `feed` for each address. */
  readonly word: RegistryWord;
  readonly feed: {
    readonly url: string;
    readonly rows: readonly GeofeedRow[];
    /** Why there are no rows, a fixed word. `not_asked`: its turn has not come yet, and nobody is answered before. */
    readonly problem?: string | undefined;
    /** With a problem: when it is asked again, milliseconds since the epoch. */
    readonly retryAtMs?: number | undefined;
  } | null;
  /**
   * Who was asked about in person (an address; of IPv6 its /64), and until when that counts, milliseconds since the epoch:
   * a registry answers with its smallest object, so for them there is none below this one. Missing in older entries.
   */
  readonly asked?: Readonly<Record<string, number>> | undefined;
  readonly expiresAtMs: number;
}

/** Answers of registries. Losing them costs questions, nothing else; each method may throw when Redis is away. */
export interface RegistryCache {
  /** All entries of a network (`Located.network`), expired ones included; unreadable ones left out. */
  read(network: string): Promise<readonly RegistryEntry[]>;
  /** Replaces the entry of the same range. Idempotent. */
  write(network: string, entry: RegistryEntry): Promise<void>;
  /** Atomic: true for one caller until `release` or `ms` later. Keeps two processes from asking the same. */
  claim(network: string, ms: number): Promise<boolean>;
  release(network: string): Promise<void>;
}

/** `later`: nothing is known yet; ask again after that time. `nobody`: there is no registry to ask about it. */
export type RegistryOutcome =
  | { readonly kind: 'word'; readonly word: RegistryWord; readonly cached: boolean }
  | { readonly kind: 'later'; readonly afterMs: number; readonly why: string }
  | { readonly kind: 'nobody' };

/** Asks the registries about addresses, within their limits. Throws only what the cache throws. */
export interface RegistryLookup {
  /**
   * `waitingSinceMs`: what was answered of the address's neighbours from then on counts for it too, as if it had asked then:
   * such a word is marked `isNeighbours`. Default: only what is answered while it waits.
   */
  lookup(address: string, waitingSinceMs?: number): Promise<RegistryOutcome>;
}

/** A login to ask the registries about. */
export type RegistryAsk =
  /** A flagged one: its incident is on record. */
  | {
      readonly kind: 'disputed';
      readonly caseId: string;
      readonly address: string;
      readonly queuedAtMs?: number | undefined;
    }
  /** One without a country: nothing is on record, so all that an incident would need comes along. */
  | UnlocatableAsk;

export interface UnlocatableAsk {
  readonly kind: 'unlocatable';
  readonly login: LoginEvent;
  readonly queuedAtMs: number;
  /** What the login worker's databases said: the registry worker has none. Missing in jobs of an older release. */
  readonly evidence?: readonly Evidence[] | undefined;
  readonly flags?: readonly AddressFlag[] | undefined;
}

/** The queue of those. Adding the same id twice queues it once. Throws when Redis is away. */
export interface RegistryAsks {
  add(id: string, asks: readonly RegistryAsk[]): Promise<void>;
}

/** `closed`: written, and the open incident closed with it. `written`: it stays as it was. `unknown`: no such incident. */
export type FindingOutcome = 'closed' | 'written' | 'unknown';

export interface RegistryFindings {
  /**
   * Writes a finding on an incident; with `closeNote`, also closes it if it is still open (an analyst's answer stays).
   * Atomic and idempotent.
   */
  write(caseId: string, finding: RegistryFinding, closeNote: string | null): Promise<FindingOutcome>;
}

/** Milliseconds since the epoch. */
export type Clock = () => number;

/** The time by one clock for all hosts: for what one of them notes and another compares within seconds. */
export interface SharedClock {
  now: Clock;
  /** Was it asked within the last minute? */
  isFresh(): boolean;
  /** Asks it now. True where this host's idea of it was wrong by a second or more. Throws when Redis is away. */
  measure(): Promise<boolean>;
}

/** The part of a pino logger that we use: an object of fields first, then a fixed sentence. Never raw outside text. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}
