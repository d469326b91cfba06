import { isBraked } from './domain/brake.ts';
import { decisionFor, learn } from './domain/decide.ts';
import { decideWithLists } from './domain/decide-listed.ts';
import type { Incident, Outcome } from './domain/incident.ts';
import type { ListMatcher } from './domain/list-match.ts';
import type { Policy } from './domain/policy.ts';
import type { Decision } from './domain/reasons.ts';
import type { Baseline, LoginEvent, Mode, Sighting, UnlocatableWhy } from './domain/types.ts';
import type {
  BaselineChange,
  Baselines,
  Clock,
  Counters,
  Incidents,
  Locator,
  LoginBrake,
  Rechecks,
  RecordedIncident,
  Revocation,
  RevokeResult,
  Sessions,
  StoredBaseline,
} from './ports.ts';
import { BatchCounts, type DecidedLogin, settledBefore } from './tally.ts';

/**
 * The order of effects, for one batch of logins:
 *
 *   1 locate    memory   where is each address?
 *   2 decide    pure     against the user's baseline, and the lists; logins of one user one after the other
 *   3 brake     Redis    where logins are to be ended: may they? Counted before, so that the limit holds for all workers
 *   4 revoke    Redis    the tombstone; then the re-checks of it are scheduled, by lid, so that a repeat adds none
 *   5 record    Redis    the incident
 *   6 learn     Redis    the baseline, LAST, and only from logins that may teach
 *
 * Delivery is at least once and a worker may die between any two steps, so the job is then done again from the start.
 * If the baseline moved before the revoke, the second run would compare the new country with itself and the incident
 * would vanish: so it moves last. Revoke comes before record, so that a crash between them leaves the safe state. All
 * effects are keyed by lid and repeat without harm; a login whose incident is on record keeps that decision, and one that
 * the brake let pass is let pass again.
 *
 * Each step is one round trip for the whole batch; a failure of one login is its own.
 */
export interface DetectDeps {
  readonly locator: Locator;
  readonly baselines: Baselines;
  readonly sessions: Sessions;
  /** None: what is revoked is not looked at again. */
  readonly rechecks?: Rechecks | undefined;
  /** None: every login that is to be ended is. It is never asked in observe mode. */
  readonly brake?: LoginBrake | undefined;
  /** The allow and block lists as they are now. Throws only where they were never read. */
  readonly lists?: { fresh(): Promise<ListMatcher> } | undefined;
  readonly incidents: Incidents;
  readonly counters: Counters;
  readonly policy: Policy;
  readonly mode: Mode;
  readonly clock: Clock;
  /** The case number of a login, or of a signal of it: derived, so that a repeated job writes the same one. */
  caseOf(lid: string, signal?: LoginEvent['signal']): string;
  /** Told of each new incident, once. */
  onIncident(incident: Incident): void;
  /** Told of each new end of a login whose incident was on record, once: it may have been answered, and is open again. */
  onEndedAgain?(incident: Incident): void;
  /** Told of those that a worker had recorded before it died with this batch: perhaps it did no more. */
  onIncidentAgain?(incident: RecordedIncident): void;
  /** Told where logins came from, for the list of a user's sessions. Never throws: nothing else waits on it. */
  onLocated?(logins: readonly LocatedLogin[]): Promise<void>;
  /** Told of the logins that were settled, once or more often: for their users' history. Never throws. */
  onDecided?(logins: readonly DecidedLogin[], context: DetectContext): Promise<void>;
  /** Told whose sessions would have been ended. Never throws. */
  onObserved?(userIds: ReadonlySet<string>, atMs: number): Promise<void>;
  /** For tests: called after each effect, so that a worker can be killed exactly there. */
  readonly afterEffect?: ((effect: Effect) => void | Promise<void>) | undefined;
}

export interface LocatedLogin {
  readonly userId: string;
  readonly lid: string;
  /** Empty where the address has no known country. */
  readonly countries: readonly string[];
  /** Of a PHP site: no web tier of ours has put it on its user's list. */
  readonly unlisted?: LoginEvent | undefined;
}

export type Effect = 'load' | 'decide' | 'brake' | 'revoke' | 'schedule' | 'record' | 'learn' | 'count';
export const EFFECTS: readonly Effect[] = ['load', 'decide', 'brake', 'revoke', 'schedule', 'record', 'learn', 'count'];

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
  /** The entry of the lists that decided it. */
  readonly listEntryId?: string | undefined;
  /** As it was when this login was decided. */
  readonly baseline: Baseline;
  /** When that was: before anything was done about it. */
  readonly atMs: number;
}

/** One run of a batch. */
interface Run {
  readonly context: DetectContext;
  readonly deps: DetectDeps;
  readonly counts: BatchCounts;
  /** Failed, each for itself. */
  readonly failed: Set<LoginEvent>;
  /** Were to be ended, and the brake said no. */
  readonly braked: Set<LoginEvent>;
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
  const counts = new BatchCounts(context.recheck !== undefined);
  const run: Run = { context, deps, counts, failed: new Set(), braked: new Set() };
  const unchecked: LoginEvent[] = [];
  const onRecord = new Set<string>();
  const seen: LocatedLogin[] = [];
  if (context.startedBefore) {
    for (const { login, incident } of await recordedBefore(logins, deps)) {
      deps.onIncidentAgain?.(incident);
      const { action, reason } = incident;
      onRecord.add(eventKey(login));
      seen.push(...located(login, incident.sighting));
      counts.decided(action, reason);
      counts.settled(settledBefore(incident));
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
    seen.push(...judged.flatMap(({ login, sighting }) => located(login, sighting)));
    for (const key of await endAndRecord(judged, run)) onRecord.add(key);
    const again = await teach(changes, judged, run);
    unchecked.push(...count(judged, again, run));
    todo = todo.filter((login) => again.has(login.userId));
  }
  await tell(seen, run);
  await deps.afterEffect?.('count');
  return { failed: [...run.failed], unchecked };
}

/** What is counted, and what is told: nothing of it decides anything, and all of it repeats without harm. */
async function tell(seen: readonly LocatedLogin[], { context, deps, counts }: Run): Promise<void> {
  const atMs = deps.clock();
  await Promise.all([
    deps.counters.add(context.jobId, counts.totals, counts.tally(atMs)),
    deps.onLocated?.(seen),
    deps.onDecided?.(counts.history, context),
    counts.observedUsers.size > 0 ? deps.onObserved?.(counts.observedUsers, atMs) : undefined,
  ]);
}

function oncePerLid(batch: readonly LoginEvent[]): readonly LoginEvent[] {
  const seen = new Set<string>();
  return batch.filter((login) => !seen.has(eventKey(login)) && seen.add(eventKey(login)));
}

/** A login and a later signal of it are two events. */
function eventKey({ lid, signal }: Pick<LoginEvent, 'lid' | 'signal'>): string {
  return signal === undefined ? lid : `${lid} ${signal}`;
}

async function recordedBefore(logins: readonly LoginEvent[], deps: DetectDeps) {
  const known = await deps.incidents.existing(logins.map(({ lid, signal }) => deps.caseOf(lid, signal)));
  return logins.flatMap((login, i) => {
    const incident = known[i] ?? null;
    return incident !== null && isOnRecord(login, incident) ? [{ login, incident }] : [];
  });
}

/** A case may be of a signal that came before this one, and was given back since. */
function isOnRecord({ signal, loginAtMs }: LoginEvent, { reason, endedAgain, ...incident }: RecordedIncident): boolean {
  if (signal === undefined) return reason !== 'session_reused';
  return reason === signal && Math.max(incident.loginAtMs, endedAgain?.eventAtMs ?? 0) >= loginAtMs;
}

/** What its user's list is to say of it. */
function located(login: LoginEvent, sighting: Sighting): LocatedLogin[] {
  const { userId, lid, signal, listed, php } = login;
  if ((!listed && php === undefined) || signal !== undefined) return [];
  const countries = sighting.kind === 'located' ? sighting.candidates : [];
  return [{ userId, lid, countries, ...(listed ? {} : { unlisted: login }) }];
}

/** Steps 1 and 2. Logins of one user are decided in their order, each with what those before it taught. */
async function judge(logins: readonly LoginEvent[], deps: DetectDeps): Promise<Round> {
  const users = [...new Set(logins.map((login) => login.userId))];
  const [stored, lists] = await Promise.all([deps.baselines.load(users), deps.lists?.fresh()]);
  await deps.afterEffect?.('load');
  const known = new Map<string, StoredBaseline>(users.map((user, i) => [user, stored[i] ?? nothingKnown()]));
  const taught = new Map<string, BaselineChange>();
  const nowMs = deps.clock();
  const judged = logins.map((login): Judged => {
    // A web host whose clock runs ahead must not make everything else look long ago.
    const loginAtMs = Math.min(login.loginAtMs, nowMs);
    const before = taught.get(login.userId) ?? known.get(login.userId) ?? nothingKnown();
    const sighting = deps.locator.locate(login.address, login.addressProblem);
    const facts = { login, baseline: before.baseline, sighting, atMs: loginAtMs, nowMs };
    // A signal says nothing of where somebody is: no list speaks of it.
    const { decision, entry } = login.signal
      ? { decision: decisionFor(login.signal), entry: null }
      : decideWithLists(facts, deps.policy, lists);
    if (decision.teaches && sighting.kind === 'located') {
      const baseline = learn(before.baseline, sighting, loginAtMs, deps.policy);
      if (baseline !== before.baseline) {
        taught.set(login.userId, { userId: login.userId, revision: before.revision, baseline });
      }
    }
    return { login, sighting, decision, listEntryId: entry?.id, baseline: before.baseline, atMs: nowMs };
  });
  return { judged, changes: [...taught.values()] };
}

function nothingKnown(): StoredBaseline {
  return { baseline: { v4: { places: [], networks: [] }, v6: { places: [], networks: [] } }, revision: 0 };
}

/** Steps 3 to 5. Returns the keys of the events that are now on record. */
async function endAndRecord(judged: readonly Judged[], run: Run): Promise<string[]> {
  const { deps, failed } = run;
  const suspicious = judged.filter(({ decision }) => decision.action !== 'allow');
  if (suspicious.length === 0) return [];
  const checked = judged.filter(({ login, sighting }) => sighting.kind === 'located' && login.signal === undefined);
  const ended = await revoke(await mayEnd(suspicious, checked.length, run), run);
  const incidents = suspicious.flatMap((one) => {
    if (failed.has(one.login)) return [];
    return [{ login: one.login, incident: describe(one, ended.get(one.login.lid), run) }];
  });
  const recorded = await deps.incidents.record(incidents.map(({ incident }) => incident));
  await deps.afterEffect?.('record');
  return incidents.flatMap(({ login, incident }, i) => {
    const result = recorded[i] ?? new Error('no reply');
    if (result instanceof Error) {
      failed.add(login);
      return [];
    }
    if (result === 'ended_again') deps.onEndedAgain?.(incident);
    else if (result) deps.onIncident(incident);
    return [eventKey(login)];
  });
}

/**
 * Step 3: those that are to be ended, without those that the brake holds. It is asked about what a comparison decided: bad
 * data does not put anybody on a block list, nor an old session id into two hands.
 */
async function mayEnd(
  suspicious: readonly Judged[],
  logins: number,
  { deps, braked }: Run,
): Promise<readonly Judged[]> {
  if (deps.mode !== 'enforce') return [];
  const toEnd = suspicious.filter(({ decision }) => decision.action === 'revoke');
  const asked = deps.brake === undefined ? [] : toEnd.filter(({ decision }) => isBraked(decision.reason));
  if (asked.length === 0) return toEnd;
  const toAsk = asked.map(({ login }) => login);
  const granted = await deps.brake?.ask(toAsk, logins);
  await deps.afterEffect?.('brake');
  for (const [i, { login }] of asked.entries()) if (granted?.[i] !== true) braked.add(login);
  return toEnd.filter(({ login }) => !braked.has(login));
}

/** Step 4. */
async function revoke(toEnd: readonly Judged[], { deps, failed }: Run): Promise<Map<string, RevokeResult>> {
  if (toEnd.length === 0) return new Map();
  const atMs = deps.clock();
  const revocations = toEnd.map(
    ({ login: { handle, lid, loginAtMs, signal, php }, decision: { reason } }): Revocation => ({
      handle,
      lid,
      reason,
      caseId: deps.caseOf(lid, signal),
      atMs,
      loginAtMs,
      ...(php === undefined ? {} : { php }),
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

function describe(one: Judged, ended: RevokeResult | undefined, { context, deps, braked }: Run): Incident {
  const { login, sighting, decision, listEntryId, baseline, atMs } = one;
  const isBraked = braked.has(login);
  const id = deps.caseOf(login.lid, login.signal);
  const endedByCase = ended?.caseId === id ? undefined : ended?.caseId;
  return {
    id,
    lid: login.lid,
    handle: login.handle,
    userId: login.userId,
    action: decision.action === 'revoke' ? 'revoke' : 'flag',
    reason: decision.reason,
    mode: isBraked ? 'observe' : deps.mode,
    outcome: outcomeOf(decision, ended),
    baseline,
    sighting,
    userAgent: login.userAgent,
    deviceId: login.deviceId,
    loginAtMs: login.loginAtMs,
    ...(context.recheck === undefined ? {} : { rechecked: true as const }),
    ...(isBraked ? { brake: true as const } : {}),
    ...(listEntryId === undefined ? {} : { listEntryId }),
    queuedAtMs: context.queuedAtMs,
    decidedAtMs: atMs,
    ...(ended && ended.atMs > 0 ? { revokedAtMs: ended.atMs } : {}),
    ...(login.php === undefined ? {} : { atPhp: true as const }),
    ...(ended?.php === undefined ? {} : { php: ended.php }),
    ...(endedByCase === undefined ? {} : { endedByCase }),
  };
}

function outcomeOf(decision: Decision, ended: RevokeResult | undefined): Outcome {
  if (decision.action !== 'revoke') return 'none';
  return ended?.outcome ?? 'observed';
}

/** Step 6. Returns the users whose stored baseline another worker changed meanwhile: they are decided again. */
async function teach(
  changes: readonly BaselineChange[],
  judged: readonly Judged[],
  { deps, failed }: Run,
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
function count(judged: readonly Judged[], again: ReadonlySet<string>, run: Run): LoginEvent[] {
  const settled = judged.filter(
    ({ login, decision }) => !run.failed.has(login) && !(again.has(login.userId) && decision.action === 'allow'),
  );
  return settled.flatMap((one) => {
    const { decision, sighting } = one;
    const why = sighting.kind === 'unlocatable' ? sighting.why : null;
    // What a list refused is decided, whatever data may come.
    if (why !== null && WANT_OF_DATA.has(why) && decision.action === 'allow') return countUnchecked(one, why, run);
    run.counts.decided(decision.action, decision.reason);
    run.counts.settled(settledNow(one, run));
    if (run.braked.has(one.login)) run.counts.total('brake:held');
    if (why !== null && run.context.recheck === undefined) run.counts.total(`why:${why}`);
    return [];
  });
}

function settledNow({ login, sighting, decision }: Judged, { deps, braked }: Run) {
  const { action, reason } = decision;
  const caseId = action === 'allow' ? null : deps.caseOf(login.lid, login.signal);
  const observed = deps.mode === 'observe' || braked.has(login);
  return { login, action, reason, sighting, caseId, observed };
}

/** `recheck:waiting` counts all that ever waited: less `recheck:done` and `recheck:gave_up`, they are those that wait now. */
function countUnchecked(one: Judged, why: UnlocatableWhy, run: Run): LoginEvent[] {
  const { counts, context } = run;
  if (context.recheck?.isLast) {
    counts.total('recheck:gave_up');
    return [];
  }
  if (context.recheck === undefined) {
    counts.decided(one.decision.action, one.decision.reason);
    counts.settled(settledNow(one, run));
    counts.total(`why:${why}`);
    counts.total('recheck:waiting');
  }
  return [one.login];
}
