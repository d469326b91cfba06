import { randomBytes } from 'node:crypto';
import type {
  AuditTrail,
  Eraser,
  Forgotten,
  History,
  Holdings,
  IncidentQuery,
  IncidentRewrite,
  KnownLogin,
  Lists,
  WaitingJobs,
} from '../desk-ports.ts';
import { type Incident, type IncidentRecord, type IncidentStatus, PSEUDONYM_PREFIX } from '../domain/incident.ts';
import { type ListEntry, namesUser } from '../domain/lists.ts';
import type { Baseline, Unlocatable } from '../domain/types.ts';
import { BouncerError } from '../errors.ts';
import type { Audit, Baselines, Clock, IncidentPage, LoginEntry, Registry } from '../ports.ts';
import type { EndOptions, SessionAdmin } from '../session-admin.ts';

/** "Show what you hold on this user" and "forget this user": see docs/privacy.md for what they cover. */
export interface PrivacyDeps {
  readonly sessions: Pick<SessionAdmin, 'end' | 'endAll'>;
  readonly registry: Pick<Registry, 'all' | 'find'>;
  readonly baselines: Pick<Baselines, 'load'>;
  readonly history: Pick<History, 'list'>;
  readonly lists: Pick<Lists, 'list' | 'remove'>;
  readonly incidents: { list(query: IncidentQuery, limit: number, cursor: string | null): Promise<IncidentPage> };
  readonly audit: Pick<Audit, 'add'>;
  readonly trail: AuditTrail;
  readonly eraser: Eraser;
  readonly jobs: WaitingJobs;
  readonly clock: Clock;
}

const INCIDENTS_AT_ONCE = 100;
const MAX_ROUNDS = 10;
/** More than is ever kept of one user. */
const WHOLE_HISTORY = 10_000;

/** All that is on record of one user, without session ids and handles. */
export async function holdingsOf(deps: PrivacyDeps, userId: string): Promise<Holdings> {
  checkUser(userId);
  const [[stored], sessions, history, incidents, entries] = await Promise.all([
    deps.baselines.load([userId]),
    deps.registry.all(userId),
    deps.history.list(userId, WHOLE_HISTORY),
    incidentsOf(deps, userId),
    entriesNaming(deps, userId),
  ]);
  const audit = await deps.trail.about({ userId, caseIds: incidents.map(({ id }) => id) });
  return {
    userId,
    atMs: deps.clock(),
    baseline: stored?.baseline ?? NOTHING_KNOWN,
    sessions: sessions.map(withoutHandle),
    history,
    incidents: incidents.map(withoutHandle),
    audit,
    lists: entries,
  };
}

function withoutHandle<T extends LoginEntry | IncidentRecord>({ handle: _, ...rest }: T): Omit<T, 'handle'> {
  return rest;
}

/**
 * Ends all of the user's sessions, erases what is only of them, and puts a pseudonym in the place of their name where a record
 * must stay. Whoever is interrupted calls it again: each step takes what it finds.
 *
 * The audit is claimed before anything is done: of two at once the second is told so, and has changed nothing. What is begun is
 * noted. The sessions end first (nobody is logged in of whom nothing is known any more), then the queue is cleared (a login that is
 * checked later would begin it all again), and the audit comes last, because the steps before write into it.
 */
export async function forgetUser(deps: PrivacyDeps, userId: string, by: EndOptions): Promise<Forgotten> {
  checkUser(userId);
  const claim = await deps.trail.claim();
  try {
    return await forgetClaimed(deps, userId, by, claim);
  } finally {
    // Where Redis is away it ends by itself.
    await deps.trail.release(claim).catch(() => {});
  }
}

async function forgetClaimed(deps: PrivacyDeps, userId: string, by: EndOptions, claim: string): Promise<Forgotten> {
  const pseudonym = `${PSEUDONYM_PREFIX}${randomBytes(12).toString('base64url')}`;
  // Why, the last entry says: whatever names the user in it is replaced there.
  // Who forgets themselves is not named either.
  const who = by.by === userId ? pseudonym : by.by;
  const begun = { what: 'forget_user', by: who, why: '', userId: pseudonym, lid: null, outcome: 'begun' } as const;
  await deps.audit.add([{ atMs: deps.clock(), ...begun }]);
  const { failed } = await deps.sessions.endAll(userId, by);
  if (failed > 0) {
    throw new BouncerError('redis_unavailable', `${failed} sessions could not be ended, nothing is erased: try again`);
  }
  await endUnlisted(deps, userId, by);
  const jobs = await deps.jobs.forget(userId);
  const lists = await removeEntries(deps, userId);
  const logins = await loginsOf(deps, userId);
  const { incidents, visits, caseIds } = await rewriteIncidents(deps, userId, pseudonym, who);
  const erased = await deps.eraser.erase(userId, logins);
  const audit = await deps.trail.pseudonymise({ userId, caseIds }, pseudonym, claim);
  const counts = { ...erased, incidents, visits, audit, lists, jobs };
  const outcome = Object.entries(counts).map(([what, count]) => `${what} ${count}`);
  await deps.audit.add([
    {
      atMs: deps.clock(),
      what: 'forget_user',
      by: who,
      why: by.why.replace(asWord(userId), pseudonym),
      userId: pseudonym,
      lid: null,
      outcome: outcome.join(', '),
    },
  ]);
  return { counts, pseudonym };
}

/** The name as a word of its own: `1` is no part of `request 4711`. Beside other scripts, which part no words, it is found too. */
function asWord(userId: string): RegExp {
  const text = userId.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
  const edge = { before: /^[A-Za-z0-9]/.test(userId), after: /[A-Za-z0-9]$/.test(userId) };
  return new RegExp(`${edge.before ? '(?<![A-Za-z0-9])' : ''}${text}${edge.after ? '(?![A-Za-z0-9])' : ''}`, 'g');
}

function checkUser(userId: string): void {
  if (userId.length >= 1 && userId.length <= 256) return;
  throw new BouncerError('option_invalid', 'userId: give 1 to 256 characters');
}

async function entriesNaming({ lists, clock }: PrivacyDeps, userId: string): Promise<ListEntry[]> {
  return (await lists.list(clock())).filter((entry) => namesUser(entry, userId));
}

async function removeEntries(deps: PrivacyDeps, userId: string): Promise<number> {
  const entries = await entriesNaming(deps, userId);
  const removed = await Promise.all(entries.map(({ id }) => deps.lists.remove(id)));
  return removed.filter((one) => one !== null).length;
}

async function incidentsOf({ incidents }: PrivacyDeps, userId: string): Promise<IncidentRecord[]> {
  const found: IncidentRecord[] = [];
  let cursor: string | null = null;
  do {
    const page: IncidentPage = await incidents.list({ userId }, INCIDENTS_AT_ONCE, cursor);
    found.push(...page.incidents);
    cursor = page.cursor;
  } while (cursor !== null);
  return found;
}

/**
 * Logins at PHP sites may have left the list, or never come on it. With their end the worker takes the user's name out of their
 * sessions. Not by the audit, which goes by what others wrote: nobody else's login may end.
 */
async function endUnlisted(deps: PrivacyDeps, userId: string, by: EndOptions): Promise<void> {
  const past = await deps.history.list(userId, WHOLE_HISTORY);
  const known = new Set([...past, ...(await incidentsOf(deps, userId))].map(({ lid }) => lid));
  for (const { lid } of await deps.registry.all(userId)) known.delete(lid);
  for (const lid of known) {
    // Of one that is on no record nothing must come into being now: no mark, no re-check, no entry of the audit.
    if ((await deps.registry.find(lid, deps.clock())) !== null) await deps.sessions.end(lid, by);
  }
}

/** All that anything on record still names, ended long ago or not. */
async function loginsOf(deps: PrivacyDeps, userId: string): Promise<KnownLogin[]> {
  const [listed, incidents, history] = await Promise.all([
    deps.registry.all(userId),
    incidentsOf(deps, userId),
    deps.history.list(userId, WHOLE_HISTORY),
  ]);
  const entries = await deps.trail.about({ userId, caseIds: incidents.map(({ id }) => id) });
  const audited = entries.flatMap(({ lid, userId: of }) =>
    lid === null ? [] : [{ lid, handle: null, isOwn: of === userId }],
  );
  const past = history.map(({ lid }) => ({ lid, handle: null, isOwn: true }));
  const known = [...listed, ...incidents].map(({ lid, handle }) => ({ lid, handle, isOwn: true }));
  return [...known, ...audited, ...past];
}

async function rewriteIncidents(deps: PrivacyDeps, userId: string, pseudonym: string, by: string) {
  const caseIds: string[] = [];
  let visits = 0;
  const plan = (incident: Incident, status: IncidentStatus) => forgotten(incident, status, pseudonym, by, deps.clock());
  // One that is recorded meanwhile is taken in the next round.
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const found = await incidentsOf(deps, userId);
    if (found.length === 0) break;
    for (const { id } of found) {
      const removed = await deps.eraser.rewrite(id, plan);
      if (removed === null) continue;
      caseIds.push(id);
      visits += removed;
    }
  }
  return { incidents: caseIds.length, visits, caseIds };
}

const EMPTY = { places: [], networks: [] };
const NOTHING_KNOWN: Baseline = { v4: EMPTY, v6: EMPTY };
const NOWHERE: Unlocatable = { kind: 'unlocatable', why: 'no_address', address: null, evidence: [] };

/**
 * What stays of an incident when its user is forgotten: that there was one, what was decided and when. Of a confirmed theft
 * also what was seen, because it is the thief's: address, evidence, browser and visits. Of any other it may be the user's
 * own, and goes; one that nobody has answered is closed, because nobody could judge it any more.
 */
export function forgotten(
  incident: Incident,
  status: IncidentStatus,
  pseudonym: string,
  by: string,
  atMs: number,
): IncidentRewrite {
  const handle = randomBytes(32).toString('base64url');
  const nameless: Incident = { ...incident, userId: pseudonym, lid: pseudonym, handle, baseline: NOTHING_KNOWN };
  if (status === 'confirmed') return { incident: nameless, closed: null, forgetPlace: false };
  const { userAgent: _, deviceId: __, ...kept } = nameless;
  const closed = status === 'open' ? ({ status: 'dismissed', by, atMs } as const) : null;
  return { incident: { ...kept, sighting: NOWHERE }, closed, forgetPlace: true };
}
