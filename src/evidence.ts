import { networkOf, parseAddress } from './domain/address.ts';
import { decide, emptyBaseline } from './domain/decide.ts';
import { decideWithLists } from './domain/decide-listed.ts';
import type { Incident } from './domain/incident.ts';
import type { ListMatcher } from './domain/list-match.ts';
import type { Policy } from './domain/policy.ts';
import type { Reason } from './domain/reasons.ts';
import type { RegistryWord } from './domain/registry.ts';
import { closingNote, findingOf, locatedByGeofeed, settle } from './domain/settle.ts';
import type { Located, Mode } from './domain/types.ts';
import type {
  Baselines,
  Clock,
  Counters,
  Incidents,
  RegistryAsk,
  RegistryFindings,
  RegistryLookup,
  UnlocatableAsk,
} from './ports.ts';

/**
 * Registry evidence: the order of effects when an answer comes. A login is decided without it, at once; it is asked for
 * afterwards (src/asker.ts), in a queue of its own, and no failure of it fails a login.
 *
 *   disputed      -> the incident gets the evidence; a geofeed row may close it
 *   unlocatable   -> a geofeed row may locate it after all; if it then does not match the user, it is flagged
 *
 * It never ends a session and never teaches a baseline: a geofeed is written by whoever holds the addresses.
 */
export interface EvidenceDeps {
  readonly lookup: RegistryLookup;
  readonly incidents: Pick<Incidents, 'existing' | 'record'>;
  readonly findings: RegistryFindings;
  readonly baselines: Pick<Baselines, 'load'>;
  readonly counters: Counters;
  readonly policy: Policy;
  readonly mode: Mode;
  /** Hosts whose geofeeds need nobody to bear them out. */
  readonly trustedGeofeeds?: ReadonlySet<string> | undefined;
  /** The allow and block lists as they are now. Throws only where they were never read. */
  readonly lists?: { fresh(): Promise<ListMatcher> } | undefined;
  readonly clock: Clock;
  caseOf(lid: string): string;
  onIncident(incident: Incident): void;
}

/** Asks that could not be answered now, and when to try them again. */
export interface Postponed {
  readonly asks: readonly RegistryAsk[];
  readonly afterMs: number;
}

/** The registry worker's side. `sinceMs`: when the asks were first put on the queue. Throws when Redis is away; doing it again does no harm. */
export async function gatherEvidence(
  jobId: string,
  asks: readonly RegistryAsk[],
  sinceMs: number,
  deps: EvidenceDeps,
): Promise<Postponed | null> {
  const results = await Promise.all(asks.map((ask) => answerOne(ask, sinceMs, deps)));
  const counts = new Map<string, number>();
  for (const { count } of results) counts.set(`registry:${count}`, (counts.get(`registry:${count}`) ?? 0) + 1);
  await deps.counters.add(`registry-${jobId}`, counts);
  const left = asks.filter((_, i) => results[i]?.afterMs !== undefined);
  if (left.length === 0) return null;
  // All of them wait for the one that may go first: those whose registry still refuses cost nothing to try.
  return { asks: left, afterMs: Math.min(...results.flatMap(({ afterMs }) => afterMs ?? [])) };
}

const BURST_MS = 60_000;

/** The geofeed's country is one of the user's; other logins are allowed for want of anything to compare. */
const MATCHES: ReadonlySet<Reason> = new Set(['same_network', 'same_country', 'related_territory']);

interface Answered {
  /** What is counted, e.g. `same_country`, `later`. */
  readonly count: string;
  readonly afterMs?: number;
}

async function answerOne(ask: RegistryAsk, sinceMs: number, deps: EvidenceDeps): Promise<Answered> {
  const address = ask.kind === 'disputed' ? ask.address : ask.login.address;
  const outcome = await deps.lookup.lookup(address ?? '', waitingSince(ask, sinceMs));
  if (outcome.kind === 'later') return { count: 'later', afterMs: outcome.afterMs };
  if (outcome.kind === 'nobody') return { count: 'nobody' };
  if (ask.kind === 'disputed') return { count: await addTo(ask.caseId, outcome.word, deps) };
  return { count: await judgeAgain(ask, outcome.word, deps) };
}

/**
 * Logins that came together are one question, also where deciding them took their worker a while: so a login waits from when it
 * was reported. A minute at most: one that is decided again after hours was reported long before a neighbour's answer.
 */
const waitingSince = ({ queuedAtMs }: RegistryAsk, sinceMs: number): number =>
  queuedAtMs === undefined ? sinceMs : Math.min(sinceMs, Math.max(queuedAtMs, sinceMs - BURST_MS));

async function addTo(caseId: string, word: RegistryWord, deps: EvidenceDeps): Promise<string> {
  const [incident] = await deps.incidents.existing([caseId]);
  if (!incident) return 'unknown_incident';
  const settlement = settle(incident, word, deps.policy, deps.trustedGeofeeds);
  const note = settlement === 'same_country' ? closingNote(word) : null;
  await deps.findings.write(caseId, findingOf(word, settlement), note);
  return settlement;
}

/** A login that no database could place: flagged when the geofeed's country is not one of the user's, else left alone. */
async function judgeAgain(ask: UnlocatableAsk, word: RegistryWord, deps: EvidenceDeps): Promise<string> {
  const { login, queuedAtMs } = ask;
  const sighting = sightingOf(ask, word);
  if (sighting === null) return 'recorded';
  const nowMs = deps.clock();
  const loginAtMs = Math.min(login.loginAtMs, nowMs);
  const [[stored], lists] = await Promise.all([deps.baselines.load([login.userId]), deps.lists?.fresh()]);
  const baseline = stored?.baseline ?? emptyBaseline;
  const facts = { login, baseline, sighting, atMs: loginAtMs, nowMs };
  // Of the lists only an allow counts here: a block would end the session, which a geofeed's word must not.
  if (decideWithLists(facts, deps.policy, lists).decision.reason === 'allowed_by_list') return 'recorded';
  const { action, reason } = decide(baseline, sighting, loginAtMs, deps.policy);
  if (action === 'allow') return MATCHES.has(reason) ? 'same_country' : 'recorded';
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
    ...(login.php === undefined ? {} : { atPhp: true as const }),
  };
  const [recorded] = await deps.incidents.record([incident]);
  if (recorded instanceof Error) throw recorded;
  // An anonymiser's address is flagged for what it is, wherever its geofeed places it.
  const settlement = reason === 'country_disputed' ? 'elsewhere' : 'recorded';
  await deps.findings.write(incident.id, findingOf(word, settlement), null);
  if (recorded === true) deps.onIncident(incident);
  return settlement;
}

function sightingOf({ login, evidence = [], flags }: UnlocatableAsk, word: RegistryWord): Located | null {
  const address = parseAddress(login.address);
  if (!address.ok) return null;
  const where = { address: address.ip, family: address.family, network: networkOf(address.ip, address.family) };
  const before = { kind: 'unlocatable', why: 'no_data', address: address.ip, flags, evidence } as const;
  return locatedByGeofeed(before, word, where);
}
