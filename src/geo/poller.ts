/** Asks every source about one address, and says what their words together mean. */

import { networkOf, parseAddress } from '../domain/address.ts';
import type {
  AddressFamily,
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
import { type Answer, ageInDays, type CountrySource, dayOf } from './source.ts';

export interface PollerOptions {
  /** Days after which a source no longer votes. Undefined: it votes for ever. */
  readonly maxAgeDays: number | undefined;
  readonly clock: Clock;
  readonly log: Log;
}

/** A source, and what would otherwise be worked out again at every lookup. */
interface Pollee {
  readonly source: CountrySource;
  readonly builtOn: string | null;
  /** Milliseconds since the epoch; later than this the source is stale. */
  readonly freshUntilMs: number;
}

/** What polling gave. A vote is an answer with a country of a source that is not stale. */
interface Poll {
  readonly evidence: Evidence[];
  readonly countries: Country[];
  /** One for each vote. */
  readonly vendors: (string | null)[];
  staleAnswers: number;
  failures: number;
}

const TUNNELS: ReadonlySet<AddressKind> = new Set(['6to4', 'teredo', 'nat64']);

export class Poller implements Locator {
  readonly #pollees: readonly Pollee[];
  /** What could not be opened, for `sources()`. */
  readonly #unopened: readonly SourceStatus[];
  readonly #clock: Clock;
  readonly #log: Log;
  /** Sources that have thrown. The first time is logged, repetitions are not. */
  readonly #failing = new Set<CountrySource>();

  constructor(sources: readonly CountrySource[], unopened: readonly SourceStatus[], options: PollerOptions) {
    this.#pollees = sources.map((source) => polleeOf(source, options.maxAgeDays));
    this.#unopened = unopened;
    this.#clock = options.clock;
    this.#log = options.log;
  }

  sources(): readonly SourceStatus[] {
    const now = this.#clock();
    return [...this.#pollees.map((pollee) => this.#status(pollee, now)), ...this.#unopened];
  }

  locate(address: string | null, problem?: AddressProblem): Sighting {
    if (problem !== undefined || address === null) return unlocatable(problem ?? 'no_address', null);
    const parsed = parseAddress(address);
    if (!parsed.ok) return unlocatable('invalid_address', null);
    const { ip, family, kind } = parsed;
    if (kind !== 'global') return unlocatable(TUNNELS.has(kind) ? 'tunnel' : 'special_address', ip, kind);
    const poll = this.#poll(ip, family);
    if (poll.countries.length > 0) return located(ip, family, poll);
    return unlocatable(this.#whyNone(poll), ip, kind, poll.evidence);
  }

  #poll(ip: string, family: AddressFamily): Poll {
    const poll: Poll = { evidence: [], countries: [], vendors: [], staleAnswers: 0, failures: 0 };
    const now = this.#clock();
    for (const pollee of this.#pollees) this.#ask(pollee, ip, family, now, poll);
    return poll;
  }

  #ask({ source, builtOn, freshUntilMs }: Pollee, ip: string, family: AddressFamily, now: number, poll: Poll): void {
    const stale = now > freshUntilMs;
    let answer: Answer;
    try {
      answer = source.lookup(ip, family);
    } catch (error) {
      this.#complain(source, error);
      poll.failures++;
      answer = { country: null, network: null, note: 'error' };
    }
    const { country, network } = answer;
    const note = stale && country !== null ? 'stale' : answer.note;
    poll.evidence.push({ database: source.name, builtOn, country, network, note });
    if (country === null) return;
    if (stale) poll.staleAnswers++;
    else {
      poll.countries.push(country);
      poll.vendors.push(source.vendor);
    }
  }

  #complain(source: CountrySource, error: unknown): void {
    if (this.#failing.has(source)) return;
    this.#failing.add(source);
    this.#log.error({ error: errorName(error), database: source.name, origin: source.origin }, 'geo lookup failed');
  }

  #whyNone(poll: Poll): UnlocatableWhy {
    if (this.#pollees.length === 0) return 'no_database';
    if (poll.staleAnswers > 0) return 'stale_data';
    return poll.failures > 0 ? 'lookup_failed' : 'no_data';
  }

  #status({ source, builtOn, freshUntilMs }: Pollee, now: number): SourceStatus {
    const problem = this.#problemOf(source, now > freshUntilMs);
    const ageDays = ageInDays(source.builtAtMs, now);
    return { database: source.name, origin: source.origin, builtOn, ageDays, ok: problem === undefined, problem };
  }

  #problemOf(source: CountrySource, stale: boolean): string | undefined {
    if (this.#failing.has(source)) return 'A lookup failed, so the file is damaged: download it again.';
    return stale ? 'Older than the configured age, so it does not vote: download a newer one.' : undefined;
  }
}

/** With an age limit, a source that does not say when it was built is stale: nobody can show that it is fresh. */
function polleeOf(source: CountrySource, maxAgeDays: number | undefined): Pollee {
  const limitMs = maxAgeDays === undefined ? Number.POSITIVE_INFINITY : maxAgeDays * 86_400_000;
  const builtAtMs = source.builtAtMs ?? Number.NEGATIVE_INFINITY;
  const freshUntilMs = limitMs === Number.POSITIVE_INFINITY ? limitMs : builtAtMs + limitMs;
  return { source, builtOn: dayOf(source.builtAtMs), freshUntilMs };
}

function unlocatable(
  why: UnlocatableWhy,
  address: string | null,
  addressKind?: AddressKind,
  evidence: readonly Evidence[] = [],
): Unlocatable {
  return { kind: 'unlocatable', why, address, addressKind, evidence };
}

function located(address: string, family: AddressFamily, { countries, vendors, evidence }: Poll): Located {
  const candidates = [...new Set(countries)].sort();
  const agreed = candidates.length === 1 && independent(vendors);
  return { kind: 'located', address, family, network: networkOf(address, family), candidates, agreed, evidence };
}

/** At least two votes of different vendors. A source of unknown vendor may be a copy of any other, so it is not one. */
function independent(vendors: readonly (string | null)[]): boolean {
  const known = vendors.filter((vendor) => vendor !== null);
  return known.some((vendor) => vendor !== known[0]);
}
