import { networkOf, parseAddress } from './domain/address.ts';
import { decide, emptyBaseline } from './domain/decide.ts';
import type { Incident } from './domain/incident.ts';
import type { Policy } from './domain/policy.ts';
import type { RegistryWord } from './domain/registry.ts';
import { closingNote, findingOf, locatedByGeofeed, settle } from './domain/settle.ts';
import type { Located, LoginEvent, Mode, UnlocatableWhy } from './domain/types.ts';
import { errorName } from './errors.ts';
import type {
  Baselines,
  Clock,
  Counters,
  Incidents,
  Locator,
  Log,
  RegistryAsk,
  RegistryAsks,
  RegistryFindings,
  RegistryLookup,
} from './ports.ts';

/**
 * Registry evidence: what is asked, and the order of effects when an answer comes. A login is decided without it, at once;
 * it is asked for afterwards, in a queue of its own, and no failure of it fails a login.
 *
 *   disputed      -> the incident gets the evidence; a geofeed row may close it
 *   unlocatable   -> a geofeed row may locate it after all; if it then does not match the user, it is flagged
 *
 * It never ends a session and never teaches a baseline: a geofeed is written by whoever holds the addresses.
 */
export interface AskerDeps {
  readonly locator: Locator;
  readonly incidents: Pick<Incidents, 'existing'>;
  readonly asks: RegistryAsks;
  readonly log: Log;
  caseOf(lid: string): string;
}

/**
 * What is about the address, and may be located after all. Where our own data is missing, stale or damaged every login would
 * be asked about: that is put right by the operator, not by the registries.
 */
const WORTH_ASKING: UnlocatableWhy = 'no_data';

/** Flagged logins whose batch is still under way; those of a batch that failed are found again by their case numbers. */
const MAX_NOTED = 10_000;

interface Batch {
  readonly jobId: string;
  readonly queuedAtMs: number;
  readonly startedBefore: boolean;
}

/** The login worker's side: puts the logins of a batch that need more evidence on the queue. */
export class Asker {
  readonly #deps: AskerDeps;
  readonly #flagged = new Map<string, RegistryAsk>();

  constructor(deps: AskerDeps) {
    this.#deps = deps;
  }

  /** To be called for each new incident. */
  noteIncident(incident: Incident): void {
    const ask = askFor(incident);
    if (ask === null) return;
    if (this.#flagged.size >= MAX_NOTED) this.#flagged.clear();
    this.#flagged.set(incident.lid, ask);
  }

  /** To be called after a batch has been decided. Never throws: without the evidence an incident is as good as before. */
  async askAbout(logins: readonly LoginEvent[], batch: Batch): Promise<void> {
    try {
      const again = batch.startedBefore ? await this.#recorded(logins) : [];
      const asks = [...again, ...logins.flatMap((login) => this.#askOf(login, batch.queuedAtMs) ?? [])];
      if (asks.length > 0) await this.#deps.asks.add(`${batch.jobId}-registry`, asks);
    } catch (error) {
      this.#deps.log.warn(
        { event: 'registry_ask_failed', error: errorName(error) },
        'Logins could not be queued for the registries; they stay as decided',
      );
    }
  }

  #askOf(login: LoginEvent, queuedAtMs: number): RegistryAsk | null {
    const flagged = this.#flagged.get(login.lid);
    if (flagged !== undefined) {
      this.#flagged.delete(login.lid);
      return flagged;
    }
    const sighting = this.#deps.locator.locate(login.address, login.addressProblem);
    const isWorth = sighting.kind === 'unlocatable' && sighting.why === WORTH_ASKING;
    return isWorth && login.address !== null ? { kind: 'unlocatable', login, queuedAtMs } : null;
  }

  /** A worker may have died between the record and the question: asking twice does no harm. */
  async #recorded(logins: readonly LoginEvent[]): Promise<RegistryAsk[]> {
    const unnoted = logins.filter(({ lid }) => !this.#flagged.has(lid));
    const known = await this.#deps.incidents.existing(unnoted.map(({ lid }) => this.#deps.caseOf(lid)));
    return known.flatMap((incident) => (incident === null ? [] : (askFor(incident) ?? [])));
  }
}

function askFor({ id, reason, sighting }: Incident): RegistryAsk | null {
  return reason === 'country_disputed' ? { kind: 'disputed', caseId: id, address: sighting.address } : null;
}

export interface EvidenceDeps {
  readonly lookup: RegistryLookup;
  readonly incidents: Pick<Incidents, 'existing' | 'record'>;
  readonly findings: RegistryFindings;
  readonly baselines: Pick<Baselines, 'load'>;
  readonly counters: Counters;
  readonly policy: Policy;
  readonly mode: Mode;
  readonly clock: Clock;
  caseOf(lid: string): string;
  onIncident(incident: Incident): void;
}

/** Asks that could not be answered now, and when to try them again. */
export interface Postponed {
  readonly asks: readonly RegistryAsk[];
  readonly afterMs: number;
}

/** The registry worker's side. Throws when Redis is away; doing it again does no harm. */
export async function gatherEvidence(
  jobId: string,
  asks: readonly RegistryAsk[],
  deps: EvidenceDeps,
): Promise<Postponed | null> {
  const results = await Promise.all(asks.map((ask) => answerOne(ask, deps)));
  const counts = new Map<string, number>();
  for (const { count } of results) counts.set(`registry:${count}`, (counts.get(`registry:${count}`) ?? 0) + 1);
  await deps.counters.add(`registry-${jobId}`, counts);
  const left = asks.filter((_, i) => results[i]?.afterMs !== undefined);
  if (left.length === 0) return null;
  // All of them wait for the one that may go first: those whose registry still refuses cost nothing to try.
  return { asks: left, afterMs: Math.min(...results.flatMap(({ afterMs }) => afterMs ?? [])) };
}

interface Answered {
  /** What is counted, e.g. `same_country`, `later`. */
  readonly count: string;
  readonly afterMs?: number;
}

async function answerOne(ask: RegistryAsk, deps: EvidenceDeps): Promise<Answered> {
  const address = ask.kind === 'disputed' ? ask.address : ask.login.address;
  const outcome = await deps.lookup.lookup(address ?? '');
  if (outcome.kind === 'later') return { count: 'later', afterMs: outcome.afterMs };
  if (outcome.kind === 'nobody') return { count: 'nobody' };
  if (ask.kind === 'disputed') return { count: await addTo(ask.caseId, outcome.word, deps) };
  return { count: await judgeAgain(ask.login, ask.queuedAtMs, outcome.word, deps) };
}

async function addTo(caseId: string, word: RegistryWord, deps: EvidenceDeps): Promise<string> {
  const [incident] = await deps.incidents.existing([caseId]);
  if (!incident) return 'unknown_incident';
  const settlement = settle(incident, word, deps.policy);
  const note = settlement === 'same_country' ? closingNote(word) : null;
  await deps.findings.write(caseId, findingOf(word, settlement), note);
  return settlement;
}

/** A login that no database could place: flagged when the geofeed's country is not one of the user's, else left alone. */
async function judgeAgain(
  login: LoginEvent,
  queuedAtMs: number,
  word: RegistryWord,
  deps: EvidenceDeps,
): Promise<string> {
  const sighting = sightingOf(login, word);
  if (sighting === null) return 'recorded';
  const nowMs = deps.clock();
  const loginAtMs = Math.min(login.loginAtMs, nowMs);
  const [stored] = await deps.baselines.load([login.userId]);
  const baseline = stored?.baseline ?? emptyBaseline;
  const { action, reason } = decide(baseline, sighting, loginAtMs, deps.policy);
  if (action === 'allow') return 'same_country';
  const incident: Incident = {
    id: deps.caseOf(login.lid),
    lid: login.lid,
    handle: login.handle,
    userId: login.userId,
    action: 'flag',
    reason,
    mode: deps.mode,
    outcome: 'none',
    baseline,
    sighting,
    userAgent: login.userAgent,
    deviceId: login.deviceId,
    loginAtMs: login.loginAtMs,
    queuedAtMs,
    decidedAtMs: nowMs,
  };
  const [recorded] = await deps.incidents.record([incident]);
  if (recorded instanceof Error) throw recorded;
  await deps.findings.write(incident.id, findingOf(word, 'elsewhere'), null);
  if (recorded === true) deps.onIncident(incident);
  return 'elsewhere';
}

function sightingOf(login: LoginEvent, word: RegistryWord): Located | null {
  const address = parseAddress(login.address);
  if (!address.ok) return null;
  const where = { address: address.ip, family: address.family, network: networkOf(address.ip, address.family) };
  const before = { kind: 'unlocatable', why: 'no_data', address: address.ip, evidence: [] } as const;
  return locatedByGeofeed(before, word, where);
}
