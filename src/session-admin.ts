import { createHash } from 'node:crypto';
import { BouncerError } from './errors.ts';
import type {
  Audit,
  AuditEntry,
  Clock,
  GuardedSessions,
  Log,
  LoginEntry,
  Logins,
  Registry,
  Revocation,
  RevokeResult,
  Sessions,
} from './ports.ts';

/** Who ends a session, and why: for the audit. */
export interface EndOptions {
  /** 1 to 128 characters. */
  readonly by: string;
  /** 1 to 2000 characters. */
  readonly why: string;
}

export interface EndOneOptions extends EndOptions {
  /** Only if it is this user's; else `unknown`. For routes where users end their own sessions. */
  readonly ofUser?: string | number | undefined;
}

/**
 * `unknown`: nothing was done: no session on record has this handle, or the login is not this user's. `already_ended`: it did not
 * live any more. A login's id that is on no record is that of a session which the app keeps itself: it is `ended`.
 */
export type EndOutcome = 'ended' | 'already_ended' | 'unknown';

export interface EndAllResult {
  /** Logins on record that are ended now; some may have ended before, unnoticed until now. */
  readonly ended: number;
  /** Logins that could not be ended, because Redis failed in between: call again. */
  readonly failed: number;
}

/** A user's sessions, for the user and for those who administer them (OWASP ASVS 5.0, 7.4.5 and 7.5.2). */
export interface SessionAdmin {
  /** The logins that live. Throws when Redis is away. */
  list(userId: string | number): Promise<LoginEntry[]>;
  /** Ends one login, with every session id it has. By a session's handle or a login's id. */
  end(handleOrLid: string, options: EndOneOptions): Promise<EndOutcome>;
  /** Ends all of a user's logins, also those that are just beginning: whoever authenticated before now is out. */
  endAll(userId: string | number, options: EndOptions): Promise<EndAllResult>;
  /** "All but mine". A login that begins meanwhile lives. */
  endOthers(userId: string | number, keepLid: string, options: EndOptions): Promise<EndAllResult>;
  isLive(handleOrLid: string): Promise<boolean>;
}

export interface SessionAdminDeps {
  readonly registry: Registry;
  readonly sessions: Sessions;
  readonly guarded: Pick<GuardedSessions, 'load'>;
  readonly logins: Pick<Logins, 'endMark'>;
  readonly audit: Audit;
  readonly clock: Clock;
  readonly log: Log;
  /** No session lives longer, milliseconds. */
  readonly absoluteTtlMs: number;
  caseOf(lid: string): string;
}

/**
 * For whoever does not know how long the web tier lets sessions live: hardly one outlives a mark that stands so long, because no
 * browser keeps a cookie longer (RFC 6265bis).
 */
export const LONGEST_SESSION_MS = 400 * 86_400_000;

const ID = /^[\w-]{16,64}$/;
const HANDLE_LENGTH = 43;
/** Logins ended at the same time: a user with thousands must not stop everything else. */
const ABREAST = 100;

/**
 * So many logins that one act ends are noted one by one, of more their count: else a user who logs in a thousand times and then
 * signs out everywhere would push what others did out of the audit.
 */
const NOTED_EACH = 20;

export function sessionAdmin(deps: SessionAdminDeps): SessionAdmin {
  return {
    list: (userId) => deps.registry.list(nameOf(userId), deps.clock()),
    async end(handleOrLid, options) {
      check(options);
      const found = (await resolve(deps, handleOrLid)) ?? (await notOnRecord(deps, handleOrLid, options.ofUser));
      if (found === null || (options.ofUser !== undefined && found.userId !== nameOf(options.ofUser))) return 'unknown';
      const [result] = await deps.sessions.revoke([forced(found, deps)]);
      if (result instanceof Error || result === undefined) throw result ?? new Error('no reply');
      const outcome: EndOutcome = found.live || found.mayLive ? 'ended' : 'already_ended';
      await note(deps, [entry('end', found, outcome, options, deps)]);
      return outcome;
    },
    async endAll(userId, options) {
      check(options);
      const atMs = deps.clock();
      const entries = await deps.registry.bar(nameOf(userId), atMs, deps.absoluteTtlMs);
      const result = await endEach('end_all', nameOf(userId), entries, options, deps);
      // A login within the epoch's own millisecond counts as before it: whoever logs in after this answer is later.
      if (deps.clock() <= atMs) await new Promise((done) => setTimeout(done, 2));
      return result;
    },
    async endOthers(userId, keepLid, options) {
      check(options);
      if (!ID.test(keepLid)) throw new BouncerError('option_invalid', 'keepLid: give the id of the login that stays');
      const entries = await deps.registry.all(nameOf(userId));
      const others = entries.filter(({ lid }) => lid !== keepLid);
      return endEach('end_others', nameOf(userId), others, options, deps);
    },
    async isLive(handleOrLid) {
      return (await resolve(deps, handleOrLid))?.live ?? false;
    },
  };
}

interface Found {
  readonly lid: string;
  readonly handle: string;
  readonly userId: string | null;
  readonly live: boolean;
  /** Its session is the app's own affair: nobody here can say. */
  readonly mayLive?: boolean;
  /** By the word of a user, who may have made its id up. */
  readonly markOnly?: true | undefined;
}

/** What the app's own text stands for; null where nothing on record has this id. */
async function resolve(deps: SessionAdminDeps, id: unknown): Promise<Found | null> {
  if (typeof id !== 'string' || !ID.test(id)) return null;
  const known = (id.length === HANDLE_LENGTH ? await byHandle(deps, id) : null) ?? (await byLid(deps, id));
  // An app that gives the session id itself means that session; taken for a login's it would stand in a key and in the audit.
  return known ?? byHandle(deps, handleOf(id));
}

const handleOf = (id: string): string => createHash('sha256').update(id).digest('base64url');

async function byLid({ registry, logins, clock }: SessionAdminDeps, lid: string): Promise<Found | null> {
  const [known, mark] = await Promise.all([registry.find(lid, clock()), logins.endMark(lid)]);
  if (known === null) return null;
  const { handle, userId, kept, endsAtMs } = known;
  const mayLive = mark === null && !kept && endsAtMs > clock();
  return { lid, handle, userId, live: known.live && mark === null, mayLive };
}

/** A login that was reported, not listed, and has its session elsewhere: all there is of it here is its id, and its mark. */
async function notOnRecord(
  { registry, logins }: SessionAdminDeps,
  lid: unknown,
  ofUser: string | number | undefined,
): Promise<Found | null> {
  if (typeof lid !== 'string' || !ID.test(lid) || lid.length === HANDLE_LENGTH) return null;
  const userId = ofUser === undefined ? null : nameOf(ofUser);
  if (userId !== null && !registry.isOf(lid, userId)) return null;
  // Of a session that was never in our store; in the form that all handles have.
  const handle = handleOf(lid);
  const markOnly = userId === null ? undefined : true;
  return { lid, handle, userId, live: (await logins.endMark(lid)) === null, markOnly };
}

async function byHandle(deps: SessionAdminDeps, handle: string): Promise<Found | null> {
  const found = await deps.guarded.load(handle);
  if (found.kind === 'absent') return null;
  const lid = found.kind === 'live' ? found.head.lid : found.tombstone.lid;
  // A session without a login is ended by its handle, which then stands for the login that it never had.
  if (lid === '') return { lid: handle, handle, userId: null, live: found.kind === 'live' };
  const login = await byLid(deps, lid);
  const live = found.kind === 'live' || (found.tombstone.kind === 'moved' && login?.live === true);
  return { lid, handle, userId: login?.userId ?? null, live };
}

function forced(
  { lid, handle, markOnly }: Pick<Found, 'lid' | 'handle' | 'markOnly'>,
  { caseOf, clock }: SessionAdminDeps,
): Revocation {
  return { lid, handle, reason: 'forced_logout', caseId: caseOf(lid), atMs: clock(), markOnly };
}

async function endEach(
  what: 'end_all' | 'end_others',
  userId: string,
  entries: readonly LoginEntry[],
  options: EndOptions,
  deps: SessionAdminDeps,
): Promise<EndAllResult> {
  const results: (RevokeResult | Error)[] = [];
  for (let i = 0; i < entries.length; i += ABREAST) {
    const some = entries.slice(i, i + ABREAST);
    results.push(...(await deps.sessions.revoke(some.map((one) => forced(one, deps)))));
  }
  const failed = results.filter((result) => result instanceof Error).length;
  const ended = entries.length - failed;
  const count = entries.length > NOTED_EACH ? ` (${ended} of ${entries.length} logins)` : '';
  const act = entry(what, { lid: null, userId }, `${failed === 0 ? 'ended' : 'failed'}${count}`, options, deps);
  const each = entries.map((one, i) => {
    const outcome = results[i] instanceof Error ? 'failed' : 'ended';
    return entry(what, { lid: one.lid, userId }, outcome, options, deps);
  });
  await note(deps, [act, ...(count === '' ? each : [])]);
  return { ended, failed };
}

function entry(
  what: AuditEntry['what'],
  of: { readonly lid: string | null; readonly userId: string | null },
  outcome: string,
  { by, why }: EndOptions,
  { clock }: SessionAdminDeps,
): AuditEntry {
  return { atMs: clock(), what, by, why, userId: of.userId, lid: of.lid, outcome };
}

/** After the end: what has ended stays ended, whether it could be written down or not. */
async function note({ audit, log }: SessionAdminDeps, entries: readonly AuditEntry[]): Promise<void> {
  try {
    await audit.add(entries);
  } catch {
    const [first] = entries;
    log.error({ event: 'audit_failed', what: first?.what, entries: entries.length }, 'An end is not in the audit');
  }
}

function check(given: Partial<EndOptions> | undefined): void {
  const { by, why } = given ?? {};
  const fits = (text: unknown, max: number) => typeof text === 'string' && text.trim() !== '' && text.length <= max;
  if (!fits(by, 128)) throw new BouncerError('option_invalid', 'by: say who ends it, in 1 to 128 characters');
  if (!fits(why, 2000)) throw new BouncerError('option_invalid', 'why: say why it ends, in 1 to 2000 characters');
}

function nameOf(userId: string | number): string {
  const name = typeof userId === 'number' ? String(userId) : userId;
  if (typeof name === 'string' && name.length >= 1 && name.length <= 256) return name;
  throw new BouncerError('option_invalid', 'userId: give 1 to 256 characters');
}
