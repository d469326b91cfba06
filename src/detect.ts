import { decide, decisionFor, learn } from './domain/decide.ts';
import type { Incident, Outcome } from './domain/incident.ts';
import type { Policy } from './domain/policy.ts';
import type { Decision, Reason } from './domain/reasons.ts';
import type { Action, Baseline, LoginEvent, Mode, Sighting, UnlocatableWhy } from './domain/types.ts';
import type {
  BaselineChange,
  Baselines,
  Clock,
  Counters,
  Incidents,
  Locator,
  Rechecks,
  Revocation,
  RevokeResult,
  Sessions,
  StoredBaseline,
} from './ports.ts';

/**
 * The order of effects, for one batch of logins:
 *
 *   1 locate    memory   where is each address?
 *   2 decide    pure     against the user's baseline; logins of one user one after the other
 *   3 revoke    Redis    the tombstone; then the re-checks of it are scheduled, by lid, so that a repeat adds none
 *   4 record    Redis    the incident
 *   5 learn     Redis    the baseline, LAST, and only from logins that may teach
 *
 * Delivery is at least once and a worker may die between any two steps, so the job is then done again from the start.
 * If the baseline moved before the revoke, the second run would compare the new country with itself and the incident
 * would vanish: so it moves last. Revoke comes before record, so that a crash between them leaves the safe state. All
 * effects are keyed by lid and repeat without harm; a login whose incident is on record keeps that decision.
 *
 * Each step is one round trip for the whole batch; a failure of one login is its own.
 */
export interface DetectDeps {
  readonly locator: Locator;
  readonly baselines: Baselines;
  readonly sessions: Sessions;
  /** None: what is revoked is not looked at again. */
  readonly rechecks?: Rechecks | undefined;
  readonly incidents: Incidents;
  readonly counters: Counters;
  readonly policy: Policy;
  readonly mode: Mode;
  readonly clock: Clock;
  /** The case number of a login: derived, so that a repeated job writes the same one. */
  caseOf(lid: string): string;
  /** Told of each new incident, once. */
  onIncident(incident: Incident): void;
  /** Told where logins came from, for the list of a user's sessions. Never throws: nothing else waits on it. */
  onLocated?(logins: readonly LocatedLogin[]): Promise<void>;
  /** For tests: called after each effect, so that a worker can be killed exactly there. */
  readonly afterEffect?: ((effect: Effect) => void | Promise<void>) | undefined;
}

export interface LocatedLogin {
  readonly userId: string;
  readonly lid: string;
  /** Empty where the address has no known country. */
  readonly countries: readonly string[];
}

export type Effect = 'load' | 'decide' | 'revoke' | 'schedule' | 'record' | 'learn' | 'count';
export const EFFECTS: readonly Effect[] = ['load', 'decide', 'revoke', 'schedule', 'record', 'learn', 'count'];

/** What a batch came to, login by login. */
export interface Detected {
  /** Failed, each for itself. */
  readonly failed: readonly LoginEvent[];
  /** Could not be located because there was no data to locate with: to be given to `detect` once more when there is. */
  readonly unchecked: readonly LoginEvent[];
}

export interface DetectContext {
  /** Names this delivery of the batch, however often it is repeated. */
  readonly jobId: string;
  readonly queuedAtMs: number;
  /** This batch may have been worked on before: first look which of its logins are on record. */
  readonly startedBefore: boolean;
  /**
   * These logins were `unchecked` before, and are on no record but the counters. Those that can be located now are decided,
   * which happens once; the others come back, unless this is the last time that they are tried.
   */
  readonly recheck?: { readonly isLast: boolean } | undefined;
}

/** Not `no_data`: there the sources were asked, and know nothing. */
const WANT_OF_DATA: ReadonlySet<UnlocatableWhy> = new Set(['no_database', 'stale_data', 'lookup_failed']);

/** How often a batch is decided again because another worker taught the same user in between. */
const MAX_ROUNDS = 20;

interface Judged {
  readonly login: LoginEvent;
  readonly sighting: Sighting;
  readonly decision: Decision;
  /** As it was when this login was decided. */
  readonly baseline: Baseline;
  /** When that was: before anything was done about it. */
  readonly atMs: number;
}

interface Round {
  readonly judged: readonly Judged[];
  readonly changes: readonly BaselineChange[];
}

/** Throws when the whole batch could not be done (Redis is away). */
export async function detect(
  batch: readonly LoginEvent[],
  context: DetectContext,
  deps: DetectDeps,
): Promise<Detected> {
  const logins = oncePerLid(batch);
  const failed = new Set<LoginEvent>();
  const unchecked: LoginEvent[] = [];
  const counts = new Map<string, number>();
  const onRecord = new Set<string>();
  const seen: LocatedLogin[] = [];
  if (context.startedBefore) {
    for (const { lid, action, reason } of await recordedBefore(logins, deps)) {
      onRecord.add(eventKey({ lid, signal: reason === 'session_reused' ? reason : undefined }));
      countDecided(counts, action, reason, context);
    }
  }
  let todo = logins;
  for (let round = 0; todo.length > 0; round++) {
    if (round === MAX_ROUNDS) throw new Error('baselines kept changing');
    const { judged, changes } = await judge(
      todo.filter((login) => !onRecord.has(eventKey(login))),
      deps,
    );
    await deps.afterEffect?.('decide');
    seen.push(...located(judged));
    for (const key of await endAndRecord(judged, context, deps, failed)) onRecord.add(key);
    const again = await teach(changes, judged, deps, failed);
    unchecked.push(...count(judged, again, failed, counts, context));
    todo = todo.filter((login) => again.has(login.userId));
  }
  await Promise.all([deps.counters.add(context.jobId, counts), deps.onLocated?.(seen)]);
  await deps.afterEffect?.('count');
  return { failed: [...failed], unchecked };
}

function oncePerLid(batch: readonly LoginEvent[]): readonly LoginEvent[] {
  const seen = new Set<string>();
  return batch.filter((login) => !seen.has(eventKey(login)) && seen.add(eventKey(login)));
}

/** A login and a later signal of it are two events, although they share the case: the first record of it stays. */
function eventKey({ lid, signal }: Pick<LoginEvent, 'lid' | 'signal'>): string {
  return signal === undefined ? lid : `${lid} ${signal}`;
}

async function recordedBefore(logins: readonly LoginEvent[], deps: DetectDeps): Promise<Incident[]> {
  const cases = new Set(logins.map((login) => deps.caseOf(login.lid)));
  const known = await deps.incidents.existing([...cases]);
  return known.filter((incident) => incident !== null);
}

function located(judged: readonly Judged[]): LocatedLogin[] {
  return judged.flatMap(({ login: { userId, lid, signal, listed }, sighting }) => {
    if (!listed || signal !== undefined) return [];
    return [{ userId, lid, countries: sighting.kind === 'located' ? sighting.candidates : [] }];
  });
}

/** Steps 1 and 2. Logins of one user are decided in their order, each with what those before it taught. */
async function judge(logins: readonly LoginEvent[], deps: DetectDeps): Promise<Round> {
  const users = [...new Set(logins.map((login) => login.userId))];
  const stored = await deps.baselines.load(users);
  await deps.afterEffect?.('load');
  const known = new Map<string, StoredBaseline>(users.map((user, i) => [user, stored[i] ?? nothingKnown()]));
  const taught = new Map<string, BaselineChange>();
  const nowMs = deps.clock();
  const judged = logins.map((login): Judged => {
    // A web host whose clock runs ahead must not make everything else look long ago.
    const loginAtMs = Math.min(login.loginAtMs, nowMs);
    const before = taught.get(login.userId) ?? known.get(login.userId) ?? nothingKnown();
    const sighting = deps.locator.locate(login.address, login.addressProblem);
    const decision = login.signal
      ? decisionFor(login.signal)
      : decide(before.baseline, sighting, loginAtMs, deps.policy);
    if (decision.teaches && sighting.kind === 'located') {
      const baseline = learn(before.baseline, sighting, loginAtMs, deps.policy);
      if (baseline !== before.baseline) {
        taught.set(login.userId, { userId: login.userId, revision: before.revision, baseline });
      }
    }
    return { login, sighting, decision, baseline: before.baseline, atMs: nowMs };
  });
  return { judged, changes: [...taught.values()] };
}

function nothingKnown(): StoredBaseline {
  return { baseline: { v4: { places: [], networks: [] }, v6: { places: [], networks: [] } }, revision: 0 };
}

/** Steps 3 and 4. Returns the keys of the events that are now on record. */
async function endAndRecord(
  judged: readonly Judged[],
  context: DetectContext,
  deps: DetectDeps,
  failed: Set<LoginEvent>,
): Promise<string[]> {
  const suspicious = judged.filter(({ decision }) => decision.action !== 'allow');
  if (suspicious.length === 0) return [];
  const ended = await revoke(suspicious, deps, failed);
  const incidents = suspicious.flatMap((one) => {
    if (failed.has(one.login)) return [];
    return [{ login: one.login, incident: describe(one, ended.get(one.login.lid), context, deps) }];
  });
  const recorded = await deps.incidents.record(incidents.map(({ incident }) => incident));
  await deps.afterEffect?.('record');
  return incidents.flatMap(({ login, incident }, i) => {
    const result = recorded[i] ?? new Error('no reply');
    if (result instanceof Error) {
      failed.add(login);
      return [];
    }
    if (result) deps.onIncident(incident);
    return [eventKey(login)];
  });
}

async function revoke(
  suspicious: readonly Judged[],
  deps: DetectDeps,
  failed: Set<LoginEvent>,
): Promise<Map<string, RevokeResult>> {
  const toEnd = deps.mode === 'enforce' ? suspicious.filter(({ decision }) => decision.action === 'revoke') : [];
  if (toEnd.length === 0) return new Map();
  const atMs = deps.clock();
  const revocations = toEnd.map(
    ({ login: { handle, lid }, decision: { reason } }): Revocation => ({
      handle,
      lid,
      reason,
      caseId: deps.caseOf(lid),
      atMs,
    }),
  );
  const results = await deps.sessions.revoke(revocations);
  await deps.afterEffect?.('revoke');
  const ended = new Map<string, RevokeResult>();
  for (const [i, { login }] of toEnd.entries()) {
    const result = results[i] ?? new Error('no reply');
    if (result instanceof Error) failed.add(login);
    else ended.set(login.lid, result);
  }
  const done = revocations.filter(({ lid }) => ended.has(lid));
  if (done.length > 0) await deps.rechecks?.schedule(done);
  await deps.afterEffect?.('schedule');
  return ended;
}

function describe(
  { login, sighting, decision, baseline, atMs }: Judged,
  ended: RevokeResult | undefined,
  context: DetectContext,
  deps: DetectDeps,
): Incident {
  return {
    id: deps.caseOf(login.lid),
    lid: login.lid,
    handle: login.handle,
    userId: login.userId,
    action: decision.action === 'revoke' ? 'revoke' : 'flag',
    reason: decision.reason,
    mode: deps.mode,
    outcome: outcomeOf(decision, ended),
    baseline,
    sighting,
    userAgent: login.userAgent,
    deviceId: login.deviceId,
    loginAtMs: login.loginAtMs,
    ...(context.recheck === undefined ? {} : { rechecked: true as const }),
    queuedAtMs: context.queuedAtMs,
    decidedAtMs: atMs,
    ...(ended && ended.atMs > 0 ? { revokedAtMs: ended.atMs } : {}),
  };
}

function outcomeOf(decision: Decision, ended: RevokeResult | undefined): Outcome {
  if (decision.action !== 'revoke') return 'none';
  return ended?.outcome ?? 'observed';
}

/** Step 5. Returns the users whose stored baseline another worker changed meanwhile: they are decided again. */
async function teach(
  changes: readonly BaselineChange[],
  judged: readonly Judged[],
  deps: DetectDeps,
  failed: Set<LoginEvent>,
): Promise<Set<string>> {
  if (changes.length === 0) return new Set();
  const saved = await deps.baselines.save(changes);
  await deps.afterEffect?.('learn');
  const again = new Set<string>();
  for (const [i, { userId }] of changes.entries()) {
    const result = saved[i] ?? new Error('no reply');
    if (result === false) again.add(userId);
    if (!(result instanceof Error)) continue;
    for (const { login, decision } of judged) if (login.userId === userId && decision.teaches) failed.add(login);
  }
  return again;
}

/** What is decided again or failed is not counted yet; what is on record is. Returns what is to be tried once more. */
function count(
  judged: readonly Judged[],
  again: ReadonlySet<string>,
  failed: ReadonlySet<LoginEvent>,
  counts: Map<string, number>,
  context: DetectContext,
): LoginEvent[] {
  const settled = judged.filter(
    ({ login, decision }) => !failed.has(login) && !(again.has(login.userId) && decision.action === 'allow'),
  );
  return settled.flatMap(({ login, decision, sighting }) => {
    const why = sighting.kind === 'unlocatable' ? sighting.why : null;
    if (why !== null && WANT_OF_DATA.has(why)) return countUnchecked(counts, why, login, decision, context);
    countDecided(counts, decision.action, decision.reason, context);
    if (why !== null && context.recheck === undefined) bump(counts, `why:${why}`);
    return [];
  });
}

/** A login counts in `logins`, `action:`, `reason:` and `why:` once, the first time; a recheck has counters of its own. */
function countUnchecked(
  counts: Map<string, number>,
  why: UnlocatableWhy,
  login: LoginEvent,
  { action, reason }: Decision,
  context: DetectContext,
): LoginEvent[] {
  if (context.recheck?.isLast) {
    bump(counts, 'recheck:gave_up');
    return [];
  }
  if (context.recheck === undefined) {
    countDecided(counts, action, reason, context);
    bump(counts, `why:${why}`);
    bump(counts, 'recheck:waiting');
  }
  return [login];
}

/** `recheck:waiting` counts all that ever waited: less `recheck:done` and `recheck:gave_up`, they are those that wait now. */
function countDecided(counts: Map<string, number>, action: Action, reason: Reason, { recheck }: DetectContext): void {
  const prefix = recheck === undefined ? '' : 'recheck:';
  bump(counts, recheck === undefined ? (reason === 'session_reused' ? 'signals' : 'logins') : 'recheck:done');
  bump(counts, `${prefix}action:${action}`);
  bump(counts, `${prefix}reason:${reason}`);
}

function bump(counts: Map<string, number>, name: string): void {
  counts.set(name, (counts.get(name) ?? 0) + 1);
}
