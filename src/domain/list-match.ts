import { blockOfWords, wordsOf } from './address.ts';
import { overlaps } from './country.ts';
import { isLiveEntry, type ListEntry, type ListKind } from './lists.ts';
import type { AddressFamily, Country, Place, Sighting } from './types.ts';

/** A login as the lists look at it. */
export interface ListSubject {
  readonly userId: string;
  readonly deviceId?: string | undefined;
  readonly sighting: Sighting;
  /** Where this user is known to log in from, of both families: for country pairs. */
  readonly places: readonly Place[];
}

/** The lists, ready to be asked. */
export interface ListMatcher {
  readonly size: number;
  /**
   * The entry that decides this login, or null. The most specific kind does: address, network (the longest prefix first),
   * device, user, AS number, country pair, country. Of the same kind (and length) block beats allow. Expired ones never match.
   */
  match(subject: ListSubject, nowMs: number): ListEntry | null;
}

/** Entries of one kind by their value. */
type Index = ReadonlyMap<string, readonly ListEntry[]>;

interface Compiled {
  readonly kinds: Readonly<Record<ListKind, Index>>;
  /** The lengths of the blocks on the lists, longest first: one lookup for each. */
  readonly prefixes: Readonly<Record<AddressFamily, readonly number[]>>;
}

const NOTHING: Index = new Map();

/** Thousands of entries cost a login no more than a few lookups. */
export function compileLists(entries: readonly ListEntry[]): ListMatcher {
  const of = (kind: ListKind) => indexOf(entries.filter((entry) => entry.kind === kind));
  const network = of('network');
  const compiled: Compiled = {
    kinds: {
      address: of('address'),
      network,
      device: of('device'),
      user: of('user'),
      asn: of('asn'),
      country_pair: of('country_pair'),
      country: of('country'),
    },
    prefixes: { 4: lengthsOf(network, 4), 6: lengthsOf(network, 6) },
  };
  return {
    size: entries.length,
    match: (subject, nowMs) => (entries.length === 0 ? null : decide(compiled, subject, nowMs)),
  };
}

function indexOf(entries: readonly ListEntry[]): Index {
  if (entries.length === 0) return NOTHING;
  const index = new Map<string, ListEntry[]>();
  for (const entry of entries) {
    const same = index.get(entry.value);
    if (same === undefined) index.set(entry.value, [entry]);
    else same.push(entry);
  }
  return index;
}

function lengthsOf(networks: Index, family: AddressFamily): number[] {
  const ofFamily = [...networks.keys()].filter((text) => text.includes(':') === (family === 6));
  const lengths = new Set(ofFamily.map((text) => Number(text.slice(text.indexOf('/') + 1))));
  return [...lengths].sort((a, b) => b - a);
}

function decide({ kinds, prefixes }: Compiled, subject: ListSubject, nowMs: number): ListEntry | null {
  const { userId, deviceId, sighting } = subject;
  const { address } = sighting;
  return (
    (address === null ? null : strongest(kinds.address, [address], nowMs)) ??
    (address === null ? null : longest(kinds.network, prefixes, address, nowMs)) ??
    // A device id with a blank in it could be read as another user's: see checkListValue.
    (deviceId?.includes(' ') === false ? strongest(kinds.device, [`${userId} ${deviceId}`], nowMs) : null) ??
    strongest(kinds.user, [userId], nowMs) ??
    (kinds.asn.size === 0 ? null : strongest(kinds.asn, asnsOf(sighting), nowMs)) ??
    (kinds.country_pair.size === 0 ? null : byPair(kinds.country_pair, subject, nowMs)) ??
    (kinds.country.size === 0 ? null : byCountry(kinds.country, sighting, nowMs))
  );
}

/** Of the live entries under these values: a block, else an allow. */
function strongest(index: Index, values: readonly string[], nowMs: number): ListEntry | null {
  if (index.size === 0) return null;
  let found: ListEntry | null = null;
  for (const value of values) {
    for (const entry of index.get(value) ?? []) {
      if (!isLiveEntry(entry, nowMs)) continue;
      if (entry.list === 'block') return entry;
      found ??= entry;
    }
  }
  return found;
}

function longest(index: Index, prefixes: Compiled['prefixes'], address: string, nowMs: number): ListEntry | null {
  if (index.size === 0) return null;
  const family: AddressFamily = address.includes(':') ? 6 : 4;
  for (const prefix of prefixes[family]) {
    if (wordsOf(address, family) === null) return null;
    const found = strongest(index, [blockOfWords(family, prefix)], nowMs);
    if (found !== null) return found;
  }
  return null;
}

/** The AS numbers that the databases give for this address. */
function asnsOf({ evidence }: Sighting): string[] {
  return evidence.flatMap(({ asn }) => (asn === undefined ? [] : [String(asn)]));
}

/** One live entry of that list under this value. */
function entryOf(index: Index, list: ListEntry['list'], value: string, nowMs: number): ListEntry | null {
  return index.get(value)?.find((entry) => entry.list === list && isLiveEntry(entry, nowMs)) ?? null;
}

/**
 * Doubt is for the person: a disputed address is blocked only where every country it may be in is, and allowed where one
 * is. Where a source flags the address, its country says nothing of the user: it excuses nobody then. It still blocks, for
 * who refuses a country refuses the connections from there.
 */
function byCountry(index: Index, sighting: Sighting, nowMs: number): ListEntry | null {
  if (sighting.kind !== 'located') return null;
  const { candidates } = sighting;
  const blocks = candidates.map((country) => entryOf(index, 'block', country, nowMs));
  if (blocks.every((entry) => entry !== null)) return blocks[0] ?? null;
  if (isFlagged(sighting)) return null;
  return firstOf(candidates, (country) => entryOf(index, 'allow', country, nowMs));
}

/**
 * From a country of the user's to one that is none of theirs. A block takes all of them: every place of the user's has a
 * blocked way to every country that the address may be in; for an allow one such way is enough.
 */
function byPair(index: Index, { sighting, places }: ListSubject, nowMs: number): ListEntry | null {
  if (sighting.kind !== 'located' || places.length === 0) return null;
  const { candidates } = sighting;
  if (places.some(({ countries }) => overlaps(countries, candidates))) return null;
  const way = (list: ListEntry['list'], from: readonly Country[], to: Country) =>
    firstOf(from, (country) => entryOf(index, list, `${country}>${to}`, nowMs));
  const blocks = candidates.flatMap((to) => places.map(({ countries }) => way('block', countries, to)));
  if (blocks.every((entry) => entry !== null)) return blocks[0] ?? null;
  if (isFlagged(sighting)) return null;
  return firstOf(candidates, (to) => firstOf(places, ({ countries }) => way('allow', countries, to)));
}

const isFlagged = (sighting: Sighting): boolean => sighting.kind === 'located' && (sighting.flags?.length ?? 0) > 0;

function firstOf<T>(all: readonly T[], find: (one: T) => ListEntry | null): ListEntry | null {
  for (const one of all) {
    const found = find(one);
    if (found !== null) return found;
  }
  return null;
}
