/** Asks every source about one address, and says what their words together mean. */

import { networkOf, parseAddress } from '../domain/address.ts';
import type {
  AddressFamily,
  AddressFlag,
  AddressKind,
  AddressProblem,
  Country,
  Evidence,
  Located,
  Sighting,
  Unlocatable,
  UnlocatableWhy,
} from '../domain/types.ts';
import { errorName } from '../errors.ts';
import type { Clock, Locator, Log, SourceStatus } from '../ports.ts';
import { freshUntil } from './age.ts';
import type { Slot } from './slot.ts';
import { type Answer, ageInDays, dayOf, type Source, type SourceRole } from './source.ts';

export interface PollerOptions {
  /** Days after which a source no longer votes. Undefined: it votes for ever. Overrides never grow old. */
  readonly maxAgeDays: number | undefined;
  readonly clock: Clock;
  readonly log: Log;
}

/** A source, and what would otherwise be worked out again at every lookup. */
interface Pollee {
  readonly source: Source;
  readonly slot: Slot;
  readonly role: SourceRole;
  readonly builtOn: string | null;
  /** Milliseconds since the epoch; later than this the source is stale. */
  readonly freshUntilMs: number;
}

/** What polling gave. A vote is an answer with a country of a source that is not stale. */
interface Poll {
  evidence: Evidence[];
  /** Sorted, without duplicates. */
  countries: readonly Country[];
  votes: number;
  /** Of the first vote whose vendor is known. */
  vendor: string | null;
  /** Have two votes different vendors? One of unknown vendor may be a copy of any other, so it is not counted. */
  independent: boolean;
  flags: readonly AddressFlag[];
  /** An override has a row for the address: its country, or null for "do not locate". */
  override: Country | null | undefined;
  /** Of that row: the length of its prefix. */
  overridePrefix: number;
  staleAnswers: number;
  failures: number;
}

const TUNNELS: ReadonlySet<AddressKind> = new Set(['6to4', 'teredo', 'nat64']);
const NOTHING: readonly never[] = Object.freeze([]);
const UNASKED: Pick<Poll, 'evidence' | 'flags'> = { evidence: [], flags: NOTHING };
const FAILED: Answer = Object.freeze({ country: null, network: null, note: 'error' });

/** Overrides are asked first: where one speaks, the others are only put on record. (Before them there is no other evidence.) */
const ORDER: readonly SourceRole[] = ['override', 'country', 'flags', 'network'];

export class Poller implements Locator {
  #pollees: readonly Pollee[] = [];
  #hasCountries = false;
  #slots: readonly Slot[] = [];
  readonly #maxAgeDays: number | undefined;
  readonly #clock: Clock;
  readonly #log: Log;
  /** Sources that have thrown. The first time is logged, repetitions are not. */
  readonly #failing = new WeakSet<Source>();

  constructor(options: PollerOptions) {
    this.#maxAgeDays = options.maxAgeDays;
    this.#clock = options.clock;
    this.#log = options.log;
  }

  /** From now on these are asked; the ones without a source are only listed. One reference is swapped: a lookup sees all of them or none. */
  use(slots: readonly Slot[]): void {
    const pollees = slots.flatMap((slot) =>
      slot.source === null ? [] : [polleeOf(slot, slot.source, this.#maxAgeDays)],
    );
    const ordered = ORDER.flatMap((role) => pollees.filter((pollee) => pollee.role === role));
    this.#slots = [...ordered.map(({ slot }) => slot), ...slots.filter(({ source }) => source === null)];
    this.#hasCountries = ordered.some(({ role }) => role === 'country');
    this.#pollees = ordered;
  }

  sources(): readonly SourceStatus[] {
    const now = this.#clock();
    return this.#slots.map((slot) => {
      const pollee = this.#pollees.find((one) => one.slot === slot);
      return pollee === undefined ? unopened(slot) : this.#status(pollee, now);
    });
  }

  locate(address: string | null, problem?: AddressProblem): Sighting {
    if (problem !== undefined || address === null) return unlocatable(problem ?? 'no_address', null);
    const parsed = parseAddress(address);
    if (!parsed.ok) return unlocatable('invalid_address', null);
    const { ip, family, kind } = parsed;
    if (TUNNELS.has(kind)) return inTunnel(ip, kind, parsed.embedded);
    if (kind !== 'global') return unlocatable('special_address', ip, kind);
    const poll = this.#poll(ip, family);
    if (poll.override === null) return unlocatable('not_located', ip, kind, poll);
    if (poll.countries.length > 0) return located(ip, family, poll);
    return unlocatable(this.#whyNone(poll), ip, kind, poll);
  }

  #poll(ip: string, family: AddressFamily): Poll {
    const poll: Poll = {
      evidence: [],
      countries: NOTHING,
      votes: 0,
      vendor: null,
      independent: false,
      flags: NOTHING,
      override: undefined,
      overridePrefix: -1,
      staleAnswers: 0,
      failures: 0,
    };
    const now = this.#clock();
    for (const pollee of this.#pollees) this.#ask(pollee, ip, family, now, poll);
    return poll;
  }

  #ask(pollee: Pollee, ip: string, family: AddressFamily, now: number, poll: Poll): void {
    const { source, role } = pollee;
    const stale = now > pollee.freshUntilMs;
    let answer: Answer;
    try {
      answer = source.lookup(ip, family);
    } catch (error) {
      this.#complain(source, error);
      if (role === 'country') poll.failures++;
      answer = FAILED;
    }
    // What has no word of an address is evidence of a country source only: it might have had one.
    if (role !== 'country' && answer.network === null && answer !== FAILED) return;
    const evidence = evidenceOf(pollee, answer, stale, poll);
    if (role === 'override') return overrule(answer, evidence, poll);
    poll.evidence.push(evidence);
    if (poll.override === undefined) hear(answer, pollee, stale, poll);
  }

  #complain(source: Source, error: unknown): void {
    if (this.#failing.has(source)) return;
    this.#failing.add(source);
    this.#log.error({ error: errorName(error), database: source.name, origin: source.origin }, 'geo lookup failed');
  }

  #whyNone(poll: Poll): UnlocatableWhy {
    if (!this.#hasCountries) return 'no_database';
    if (poll.staleAnswers > 0) return 'stale_data';
    return poll.failures > 0 ? 'lookup_failed' : 'no_data';
  }

  #status({ source, slot, role, builtOn, freshUntilMs }: Pollee, now: number): SourceStatus {
    const problem = this.#problemOf(source, now > freshUntilMs);
    const ageDays = ageInDays(source.builtAtMs, now);
    const { name: database, origin } = source;
    const vendor = source.vendor ?? undefined;
    return { database, origin, role, vendor, builtOn, ageDays, ok: problem === undefined, problem, ...reloadsOf(slot) };
  }

  #problemOf(source: Source, stale: boolean): string | undefined {
    if (this.#failing.has(source)) return 'A lookup failed, so the file is damaged: download it again.';
    return stale ? 'Older than the configured age, so it does not vote: download a newer one.' : undefined;
  }
}

/** With an age limit, a source that does not say when it was built is stale: nobody can show that it is fresh. */
function polleeOf(slot: Slot, source: Source, maxAgeDays: number | undefined): Pollee {
  const freshUntilMs = freshUntil(source, maxAgeDays);
  return { source, slot, role: source.role, builtOn: dayOf(source.builtAtMs), freshUntilMs };
}

function unopened(slot: Slot): SourceStatus {
  const { name, origin, problem } = slot;
  const unknown = { builtOn: null, ageDays: null, ok: false };
  return { database: name, origin, ...unknown, problem: problem ?? undefined, ...reloadsOf(slot) };
}

/** Left out while there is nothing to tell. */
function reloadsOf({ reloads, failedReloads, problem, source }: Slot): Partial<SourceStatus> {
  return {
    ...(reloads === 0 ? {} : { reloads }),
    ...(failedReloads === 0 ? {} : { failedReloads }),
    ...(problem === null || source === null ? {} : { refused: problem }),
  };
}

function evidenceOf({ source, builtOn }: Pollee, answer: Answer, stale: boolean, poll: Poll): Evidence {
  const { country, network, details } = answer;
  const overruled = poll.override !== undefined && source.role !== 'override';
  const note = overruled ? 'overruled' : stale && network !== null ? 'stale' : answer.note;
  const evidence = { source: source.kind, database: source.name, builtOn, country, network, note };
  return details === undefined ? evidence : { ...evidence, ...details };
}

/**
 * Certain: the operator's own word. Of several files the longest prefix counts, as within one; of equal ones the first file's.
 * One whose lookup failed has said nothing that could count, or be overruled.
 */
function overrule({ country, network }: Answer, evidence: Evidence, poll: Poll): void {
  const prefix = prefixOf(network);
  if (prefix <= poll.overridePrefix) {
    poll.evidence.push(asOverruled(evidence));
    return;
  }
  poll.override = country;
  poll.overridePrefix = prefix;
  poll.countries = country === null ? NOTHING : [country];
  poll.evidence = [...poll.evidence.map(asOverruled), evidence];
}

const prefixOf = (network: string | null): number => (network === null ? -1 : Number(network.split('/')[1]));

const asOverruled = (evidence: Evidence): Evidence =>
  evidence.network === null ? evidence : { ...evidence, note: 'overruled' };

function hear({ country, details }: Answer, { source, role }: Pollee, stale: boolean, poll: Poll): void {
  if (details?.flags !== undefined && !stale) poll.flags = union(poll.flags, details.flags);
  if (role !== 'country' || country === null) return;
  if (stale) {
    poll.staleAnswers++;
    return;
  }
  poll.votes++;
  poll.countries = union(poll.countries, [country]);
  if (source.vendor === null) return;
  poll.independent ||= poll.vendor !== null && poll.vendor !== source.vendor;
  poll.vendor ??= source.vendor;
}

/** Sorted, without duplicates; `a` itself where nothing is added. */
function union<T extends string>(a: readonly T[], b: readonly T[]): readonly T[] {
  if (a.length === 0) return b;
  const more = b.filter((one) => !a.includes(one));
  return more.length === 0 ? a : [...a, ...more].sort();
}

function unlocatable(
  why: UnlocatableWhy,
  address: string | null,
  addressKind?: AddressKind,
  { evidence, flags }: Pick<Poll, 'evidence' | 'flags'> = UNASKED,
): Unlocatable {
  if (flags.length === 0) return { kind: 'unlocatable', why, address, addressKind, evidence };
  return { kind: 'unlocatable', why, address, addressKind, flags, evidence };
}

/** Anybody can write an address of his choice into such a one: it is no evidence. */
function inTunnel(ip: string, kind: AddressKind, embedded: string | undefined): Unlocatable {
  const sighting = unlocatable('tunnel', ip, kind);
  return embedded === undefined ? sighting : { ...sighting, embedded };
}

/** `agreed`: an override said it, or at least two votes of different vendors, and no other country. */
function located(address: string, family: AddressFamily, poll: Poll): Located {
  const { countries: candidates, evidence, flags } = poll;
  const agreed = poll.override !== undefined || (candidates.length === 1 && poll.independent);
  const network = networkOf(address, family);
  if (flags.length === 0) return { kind: 'located', address, family, network, candidates, agreed, evidence };
  return { kind: 'located', address, family, network, candidates, agreed, flags, evidence };
}
