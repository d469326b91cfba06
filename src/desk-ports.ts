/** What the review desk (console, CLI, notifications, retention) needs of the world. Types only, as ports.ts. */

import type { BrakeState, BrakeTrip } from './domain/brake.ts';
import type { Disposition, Incident, IncidentRecord, IncidentStatus, UserWord } from './domain/incident.ts';
import type { ListEntry, NewListEntry } from './domain/lists.ts';
import type { Notice } from './domain/notification.ts';
import type { Reason } from './domain/reasons.ts';
import type { Action, Baseline, Mode } from './domain/types.ts';
import type { AuditEntry, EndMark, IncidentPage, LoginEntry, SourceStatus } from './ports.ts';

/** Who acts. `role` decides what they may do; `by` is what the audit says. */
export type Role = 'viewer' | 'analyst' | 'admin';
export interface Actor {
  /** 1 to 128 characters. */
  readonly by: string;
  readonly role: Role;
}

/** Everything the queue of incidents can be narrowed to. Each field but `brake` is one index; together they are checked on the record. */
export interface IncidentQuery {
  readonly status?: IncidentStatus | undefined;
  readonly action?: 'flag' | 'revoke' | undefined;
  readonly reason?: Reason | undefined;
  /** Seen from this country (one of the candidates). */
  readonly country?: string | undefined;
  readonly userId?: string | undefined;
  readonly address?: string | undefined;
  /** The /24 or /48, as `Located.network`. */
  readonly network?: string | undefined;
  /** Only those that the safety brake held back. */
  readonly brake?: true | undefined;
  /** Decided at or after / before, milliseconds since the epoch. */
  readonly fromMs?: number | undefined;
  readonly toMs?: number | undefined;
}

export interface AnswerRequest {
  readonly disposition: Disposition;
  /** Up to 2000 characters. */
  readonly note: string;
  /** `safe` only. Give the session back (lift the tombstone) where it can be. Default true, but false of a reused session: two parties hold it. */
  readonly giveBack?: boolean | undefined;
  /** `confirmed` only: put the address on the block list for so long; null: for good. */
  readonly blockAddressForMs?: number | null | undefined;
}

/** What an answer did. */
export interface Answered {
  readonly incident: IncidentRecord;
  /** The baseline has learned where this login came from. */
  readonly taught: boolean;
  /** Other open incidents of the same user and country that were closed with it. */
  readonly closed: readonly string[];
  /** The user's other sessions (logins) from that network that were ended (`confirmed`). */
  readonly ended: number;
  /** What became of giving the session back; null where it was not asked for. */
  readonly givenBack: UndoOutcome | null;
  /** The entry on the block list, where one was made. */
  readonly blocked: string | null;
}

/**
 * `given_back`: at least one session of this login lives again. `expired`: it would have ended by now. `not_ended`: nothing was ended
 * (a flag, observe mode). `gone`: nothing is left to give back. `blocked`: another end of this login stands (a person logged it out).
 * `log_in_again`: at a PHP site, the end is lifted (nobody is bounced any more), but what PHP kept cannot be given back.
 */
export type UndoOutcome = 'given_back' | 'expired' | 'not_ended' | 'gone' | 'blocked' | 'log_in_again';

/** Lifts what a revocation put down. See redis/undo. Throws when Redis is away. */
export interface Undo {
  /** Idempotent: the second time says what stands now. The login's mark is lifted first: whoever enrols then may live. */
  lift(login: {
    readonly lid: string;
    readonly handle: string;
    /** Now, milliseconds since the epoch. */
    readonly atMs: number;
    /** When the login began: told, because the registry may have forgotten it. */
    readonly loginAtMs?: number | undefined;
    /** Only this end; where another one stands it is `blocked`. Left out: any. */
    readonly only?: MeantEnd | undefined;
  }): Promise<UndoOutcome>;
}

/** Which end of a login is to be taken back: it may have ended again since, for something else. */
export interface MeantEnd {
  readonly caseId: string;
  /** Also where an old session id came back: two parties held that login, and both get it back. */
  readonly reuse: boolean;
  /** As it was shown to whoever decides, milliseconds since the epoch. */
  readonly endedAtMs?: number | undefined;
}

export type UndoChoice = Partial<Omit<MeantEnd, 'caseId'>>;

/** What opening an answered incident again came to. */
export interface Reopened {
  /** The answer that was taken off. */
  readonly was: Disposition;
  /** What the baseline had learned from it; null: nothing. */
  readonly learned: Learned | null;
  /** It was taken out of the baseline again. */
  readonly forgotten: boolean;
}

/** Of a baseline: e.g. what an answer `safe` taught of a login that was not known of its user before. */
export interface Learned {
  readonly countries: readonly string[];
  readonly networks: readonly string[];
}

/** One login as the worker saw it: the user page's timeline. Bounded per user, newest first. Text is untrusted. */
export interface HistoryEntry {
  readonly lid: string;
  readonly atMs: number;
  readonly address: string | null;
  readonly network: string | null;
  readonly countries: readonly string[];
  readonly action: Action;
  readonly reason: Reason;
  readonly caseId: string | null;
  readonly deviceId?: string | undefined;
  readonly userAgent?: string | undefined;
}

export interface History {
  /** Idempotent per lid; bounded. */
  add(userId: string, entries: readonly HistoryEntry[]): Promise<void>;
  list(userId: string, limit: number): Promise<HistoryEntry[]>;
}

/** Allow and block lists. Small (thousands): workers hold them in memory and look for a newer revision. */
export interface Lists {
  /** Ids are made here; expired entries are left out of `list` and removed behind it. */
  add(entry: NewListEntry, nowMs: number): Promise<ListEntry>;
  remove(id: string): Promise<ListEntry | null>;
  list(nowMs: number): Promise<ListEntry[]>;
  /** Changes whenever the lists do. */
  revision(): Promise<string>;
}

/**
 * Takes away what is older than it may be kept. In bounded steps; two at once, or one that dies, do no harm. Returns how many of
 * each were removed. Throws when Redis is away.
 */
export interface Retention {
  expire(nowMs: number): Promise<Readonly<Record<string, number>>>;
}

/** Counts over time, for the overview and the brake. Buckets of one minute for a day, of one hour for 30 days. */
export interface Series {
  /** Names: `checked`, `flagged`, `revoked`, `would_revoke`, `unchecked`. Idempotent per batch. */
  add(batchId: string, atMs: number, counts: Readonly<Record<string, number>>): Promise<void>;
  /** Oldest first, empty buckets left out. */
  read(fromMs: number, toMs: number, step: 'minute' | 'hour'): Promise<SeriesPoint[]>;
}
export interface SeriesPoint {
  readonly atMs: number;
  readonly counts: Readonly<Record<string, number>>;
}

export interface Brake {
  /** A trip stands whatever the workers are told; `off` is where there is none, and no worker that lives has a brake. */
  state(): Promise<BrakeState>;
  /** Back to enforcing. Returns what it was. */
  reset(by: string, atMs: number): Promise<BrakeState>;
}

/** A worker process that lives, as it says itself every few seconds. */
export interface WorkerStatus {
  readonly id: string;
  readonly host: string;
  readonly pid: number;
  readonly version: string;
  readonly mode: Mode;
  /** Has it a safety brake? False: it only observes, or was told to have none. */
  readonly brake?: boolean | undefined;
  readonly startedAtMs: number;
  readonly seenAtMs: number;
  readonly sources: readonly SourceStatus[];
}
export interface Workers {
  say(status: WorkerStatus): Promise<void>;
  leave(id: string): Promise<void>;
  /** Those heard of lately. */
  list(nowMs: number): Promise<WorkerStatus[]>;
}

/** Logins and incidents per country since a time, for the map. */
export interface CountryCount {
  readonly country: string;
  readonly checked: number;
  readonly flagged: number;
  readonly revoked: number;
  /** Left out while 0. */
  readonly wouldRevoke?: number | undefined;
}

export interface QueueDepth {
  readonly name: string;
  readonly waiting: number;
  readonly active: number;
  readonly delayed: number;
  readonly failed: number;
  /** Age of the oldest waiting job, milliseconds; null where nothing waits. */
  readonly lagMs: number | null;
}

export interface Overview {
  readonly countries: readonly CountryCount[];
  readonly series: readonly SeriesPoint[];
  readonly queues: readonly QueueDepth[];
  readonly workers: readonly WorkerStatus[];
  readonly brake: BrakeState;
  readonly openIncidents: number;
  /** Running totals, as `Counters.read`. */
  readonly totals: Readonly<Record<string, number>>;
  /** Observe mode: what enforcing would have done in the period. Null where nothing was observed. */
  readonly wouldHaveEnded: { readonly sessions: number; readonly users: number } | null;
  readonly deadLetters: number;
  /** Newest trip of the brake. */
  readonly lastTrip: BrakeTrip | null;
}

/** What is trusted of a user, by whom and since when, beside the baseline. */
export interface Trust {
  readonly baseline: Baseline;
  /** Entries of the lists that name this user. */
  readonly entries: readonly ListEntry[];
}

export interface Forgotten {
  /**
   * How many of each were erased or pseudonymised: `baseline`, `history`, `sessions`, `incidents`, `visits`, `audit`,
   * `lists`, and `jobs`, the logins that were still queued.
   */
  readonly counts: Readonly<Record<string, number>>;
  /** The name that stands in the incidents' place of the user's now, e.g. `forgotten-7Kx...`. */
  readonly pseudonym: string;
}

/** A user, and the cases that stand for them elsewhere. */
export interface Subject {
  readonly userId: string;
  readonly caseIds: readonly string[];
}

/** The audit, asked about one user. Each walks all of it, in pages: for the rare requests that the law knows. */
export interface AuditTrail {
  /** Newest first: entries that name them, or one of their logins or cases. */
  about(subject: Subject): Promise<AuditEntry[]>;
  /**
   * In those entries puts the pseudonym in the user's place and takes out what a person wrote; who did what, and when,
   * stays. Idempotent; of two at once the second throws `audit_busy`, and may try again. With a claim of one's own it is not
   * taken anew; in any case it is let go.
   */
  pseudonymise(subject: Subject, pseudonym: string, claim?: string): Promise<number>;
  /** Keeps others from rewriting the audit, for two minutes. Throws `audit_busy` where somebody else is at it. */
  claim(): Promise<string>;
  /** Idempotent. */
  release(claim: string): Promise<void>;
}

/** What becomes of one incident of a forgotten user. */
export interface IncidentRewrite {
  readonly incident: Incident;
  /** Where the status changes: who closed it. */
  readonly closed: { readonly status: Disposition; readonly by: string; readonly atMs: number } | null;
  /** Visits, and what a registry said, go as well. */
  readonly forgetPlace: boolean;
}

export interface KnownLogin {
  readonly lid: string;
  /** One of its ids, where one is known. */
  readonly handle: string | null;
  /** Something on record says that it is this user's; of any other its id must say so. */
  readonly isOwn: boolean;
}

/** What "forget this user" does to what is stored. Each is idempotent and throws when Redis is away. */
export interface Eraser {
  /**
   * What is only of them: `baseline`, `history`, `sessions` (the list of their logins), and what tombstones keep of ended
   * sessions of these logins, as far as they are the user's. How many of each. Their ids at PHP sites go once the last re-check has come.
   */
  erase(userId: string, logins: readonly KnownLogin[]): Promise<Readonly<Record<string, number>>>;
  /**
   * Compare and set: `plan` is asked again where somebody answered meanwhile. The note goes in any case. How many visits
   * went with it; null where there is no such incident (any more).
   */
  rewrite(
    caseId: string,
    plan: (incident: Incident, status: IncidentStatus) => IncidentRewrite,
  ): Promise<number | null>;
}

/** Jobs that wait, failed or were done a while ago, and still hold logins. */
export interface WaitingJobs {
  /** Takes this user's logins out of them. How many logins. One in a worker's hand is not touched. */
  forget(userId: string): Promise<number>;
}

/** Everything of one user, as JSON. Holds no session id and no handle. */
export interface Holdings {
  readonly userId: string;
  readonly atMs: number;
  readonly baseline: Baseline;
  readonly sessions: readonly Omit<LoginEntry, 'handle'>[];
  readonly history: readonly HistoryEntry[];
  readonly incidents: readonly Omit<IncidentRecord, 'handle'>[];
  readonly audit: readonly AuditEntry[];
  readonly lists: readonly ListEntry[];
}

/** A notification that could not be delivered after all its attempts. No body, no secret. */
export interface DeadLetter {
  readonly id: string;
  readonly event: string;
  /** Host of the endpoint, without path or query. */
  readonly host: string;
  readonly caseId: string | null;
  readonly atMs: number;
  readonly attempts: number;
  /** A code or an HTTP status, never raw text. */
  readonly why: string;
}

/** Tells the operator's other systems (webhooks). */
export interface Notifier {
  /** Queues what is to be told, each once by its id. Never throws: what cannot be queued is logged, and told to nobody. */
  tell(...notices: readonly Notice[]): Promise<void>;
}

/** Which links to users have been used, by a hash of their tokens. Each throws when Redis is away. */
export interface LinkUses {
  /** Atomic: true for one caller, until the time is over. */
  claim(tokenHash: string, ms: number): Promise<boolean>;
  /** The claim stands for so long. */
  keep(tokenHash: string, ms: number): Promise<void>;
  isUsed(tokenHash: string): Promise<boolean>;
}

/** What users say of their own cases. */
export interface UserWords {
  /** The first word stays; an unknown case is ignored. Throws when Redis is away. */
  write(caseId: string, word: UserWord): Promise<void>;
}

/** Incidents (or the audit) as a file, in pieces as they are read. Holds no session id, no handle and no login id. */
export interface IncidentFile {
  /** Its media type. */
  readonly type: string;
  readonly pieces: AsyncIterable<string>;
}
export type ExportFormat = 'csv' | 'ndjson';

/**
 * Everything that a person may do at the desk. Each act checks nothing about roles (the console does) and writes its own audit
 * entry. All may throw BouncerError (bad input) and when Redis is away.
 */
export interface Desk {
  incidents(query: IncidentQuery, limit: number, cursor: string | null): Promise<IncidentPage>;
  incident(caseId: string): Promise<IncidentRecord | null>;
  /** All that match, newest first. Whoever hands it out notes it. The pieces may fail when Redis is away. */
  exportIncidents(query: IncidentQuery, format: ExportFormat): IncidentFile;
  /** Other incidents of the same user, address and network, newest first, without this one. At most `limit` each. */
  related(
    incident: IncidentRecord,
    limit: number,
  ): Promise<Readonly<Record<'user' | 'address' | 'network', readonly IncidentRecord[]>>>;
  /** Throws `incident_unknown`, `incident_closed`, `option_invalid`. */
  answer(caseId: string, request: AnswerRequest, actor: Actor): Promise<Answered>;
  /**
   * Gives the session of an incident back, whatever it was answered; `blocked` where its login has ended again by another case.
   * Throws `incident_unknown`, and `option_invalid` where the session was reused and the choice does not say `reuse`.
   */
  undo(caseId: string, why: string, actor: Actor, choice?: UndoChoice): Promise<UndoOutcome>;
  /** The end of its login that stands now; null: it lives, or nobody knows. */
  standingEnd(incident: IncidentRecord): Promise<EndMark | null>;
  /** What `safe` taught of this login and the baseline still holds; null: nothing. */
  learned(incident: IncidentRecord): Promise<Learned | null>;
  /**
   * Takes a `safe` or `dismissed` off again; with `forget` also what `safe` taught. What else it did (cases alike, a session
   * given back) stays. Throws `incident_unknown`, `incident_closed` (answered anew meanwhile) and `option_invalid`.
   */
  reopen(
    caseId: string,
    why: string,
    actor: Actor,
    choice?: { readonly forget?: boolean | undefined },
  ): Promise<Reopened>;

  sessions(userId: string): Promise<readonly LoginEntry[]>;
  endSession(userId: string, lid: string, why: string, actor: Actor): Promise<'ended' | 'already_ended' | 'unknown'>;
  endOthers(userId: string, keepLid: string, why: string, actor: Actor): Promise<{ ended: number; failed: number }>;
  endAll(userId: string, why: string, actor: Actor): Promise<{ ended: number; failed: number }>;
  history(userId: string, limit: number): Promise<readonly HistoryEntry[]>;
  trust(userId: string): Promise<Trust>;
  trustCountry(userId: string, country: string, why: string, actor: Actor): Promise<void>;
  /** Takes every place with this country from the baseline, and the networks that the user was seen in there. Null: there was nothing. */
  forgetCountry(userId: string, country: string, why: string, actor: Actor): Promise<Learned | null>;
  trustNetwork(userId: string, network: string, why: string, actor: Actor): Promise<void>;
  forgetNetwork(userId: string, network: string, why: string, actor: Actor): Promise<boolean>;

  lists(): Promise<readonly ListEntry[]>;
  addToList(entry: Omit<NewListEntry, 'by'>, actor: Actor): Promise<ListEntry>;
  removeFromList(id: string, why: string, actor: Actor): Promise<ListEntry | null>;

  overview(fromMs: number, toMs: number): Promise<Overview>;
  brake(): Promise<BrakeState>;
  resetBrake(why: string, actor: Actor): Promise<BrakeState>;
  audit(limit: number): Promise<readonly AuditEntry[]>;
  /** The whole audit, newest first, without login ids. Whoever hands it out notes it. The pieces may fail when Redis is away. */
  exportAudit(format: ExportFormat): IncidentFile;
  /** The acts on one case, newest first. */
  actsOn(caseId: string): Promise<readonly AuditEntry[]>;
  /** For an act of the console itself (signed in, exported): the rest writes its own. */
  note(entry: Omit<AuditEntry, 'atMs'>): Promise<void>;
  deadLetters(limit: number): Promise<readonly DeadLetter[]>;
  /** False: it is not there any more. */
  retryDeadLetter(id: string, actor: Actor): Promise<boolean>;
  /** "Show what you hold on this user." */
  holdings(userId: string): Promise<Holdings>;
  /** "Forget this user." Erases what is only of them, and puts a pseudonym in the incidents that must stay. */
  forget(userId: string, why: string, actor: Actor): Promise<Forgotten>;
}

/** Counts tries at signing in, by several names at once (account, address). Throws when Redis is away. */
export interface Attempts {
  /** Counts one try under each name; where one has none left, counts nothing and says how long to wait, milliseconds. Atomic. */
  take(limits: readonly { readonly name: string; readonly most: number }[], windowMs: number): Promise<number | null>;
  /** Whoever got it right starts anew. */
  forgive(names: readonly string[]): Promise<void>;
  /** Gives one try back under each name: it was none of those that are limited. Atomic. */
  refund(names: readonly string[]): Promise<void>;
  /** How often this happened in a window, this time included. Atomic. */
  count(name: string, windowMs: number): Promise<number>;
  /** Notes that this is known, for so long. */
  remember(name: string, ms: number): Promise<void>;
  knows(name: string): Promise<boolean>;
}

/** What an app says of a request to the mounted console. Whatever is none of these is nobody. */
export type Authorized =
  | Role
  | null
  | {
      readonly role: Role;
      /** Stands in the audit, 1 to 128 characters. Without it the role does. */
      readonly name?: string | undefined;
      /**
       * When this person last gave a password, key or the like, milliseconds since the epoch. With it, ending sessions, undo and
       * forgetting ask for one of the last ten minutes; without it the app's word is enough.
       */
      readonly provedAtMs?: number | undefined;
    };

export interface ConsoleOptions {
  /** Is given the app's own request: express's and Node's `req`, fastify's `request`, koa's `ctx`, hono's `c`. */
  authorize(request: object): Authorized | Promise<Authorized>;
  /** Where `provedAtMs` is renewed: a path of the app or a URL; `back=` is added, a path to come back to. */
  readonly reauthenticateUrl?: string | undefined;
  /** At the head of every page. Default `Review desk`. */
  readonly title?: string | undefined;
  /**
   * People reach it over https although this process sees http: a proxy ends TLS, and nothing says so to us (`console.node()`,
   * `fetch`). The desk's cookies are `Secure` then. Default: as each request says.
   */
  readonly secure?: boolean | undefined;
}
