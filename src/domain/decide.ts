/**
 * Is this login suspicious, and what does it teach? Pure: all that is known comes as an argument, the time too.
 *
 * Delivery is at least once and in any order, so both functions go by when the login happened, never by when they run.
 */

import { overlaps, related } from './country.ts';
import type { Policy } from './policy.ts';
import { type Decision, REASONS, type Reason } from './reasons.ts';
import type { AddressFamily, Baseline, FamilyBaseline, KnownNetwork, Located, Place, Sighting } from './types.ts';

const EMPTY_FAMILY: FamilyBaseline = Object.freeze({ places: Object.freeze([]), networks: Object.freeze([]) });

/** Nothing is known of the user. */
export const emptyBaseline: Baseline = Object.freeze({ v4: EMPTY_FAMILY, v6: EMPTY_FAMILY });

/** One frozen decision per reason: a decision says nothing beyond its reason. */
const DECISIONS = Object.fromEntries(
  Object.entries(REASONS).map(([reason, { action, teaches }]) => [reason, Object.freeze({ action, reason, teaches })]),
) as Readonly<Record<Reason, Decision>>;

/** Where the operator's policy lets logins from anonymous networks pass. */
const ANONYMOUS_ALLOWED: Decision = Object.freeze({ ...DECISIONS.anonymous_network, action: 'allow' });

/**
 * Compares a sighting with what was known when the login happened (`loginAtMs`, milliseconds since the epoch).
 *
 * Entries first seen after that are left out: a late or repeated job must not be judged by what came after it. So are
 * entries not seen for `policy.baselineTtlMs`. An address without a country is always allowed: unknown is no evidence.
 */
export function decide(baseline: Baseline, sighting: Sighting, loginAtMs: number, policy: Policy): Decision {
  if (sighting.kind === 'unlocatable') {
    return sighting.why === 'special_address' ? DECISIONS.special_address : DECISIONS.unlocatable;
  }
  const reason = reasonFor(baseline, sighting, { atMs: loginAtMs, policy });
  return reason === 'anonymous_network' && policy.anonymousNetwork === 'allow' ? ANONYMOUS_ALLOWED : DECISIONS[reason];
}

/** What a signal or a list says whatever is known of the user and wherever the address is. */
export function decisionFor(said: 'session_reused' | 'blocked' | 'allowed_by_list'): Decision {
  return DECISIONS[said];
}

/** The places that were known and had not expired when a login happened, of both families. */
export function knownPlaces({ v4, v6 }: Baseline, atMs: number, policy: Policy): readonly Place[] {
  return [...v4.places, ...v6.places].filter((place) => wasKnown(place, { atMs, policy }));
}

/** The moment that counts, and the rules for it. */
interface Now {
  readonly atMs: number;
  readonly policy: Policy;
}

/** The network comes before any country: a database update that moves a block must not end a session. */
function reasonFor(baseline: Baseline, sighting: Located, now: Now): Reason {
  const [own, other] = familiesOf(baseline, sighting.family);
  for (const entry of own.networks) {
    if (entry.network === sighting.network && wasKnown(entry, now)) return 'same_network';
  }
  // Before any country, the first login's too: what such an address says must not become a baseline.
  if (isFlagged(sighting)) return 'anonymous_network';
  const same = comparePlaces(own.places, sighting, now);
  if (isMatch(same)) return same;
  const across = comparePlaces(other.places, sighting, now);
  // A device flips between the families: where its user may be in one of them is no news in the other.
  if (isMatch(across)) return across;
  if (same !== 'nothing_known') return same;
  // Databases differ more between the families than people move: across them a difference is never certain.
  return across === 'nothing_known' ? 'first_login' : 'country_disputed';
}

type Comparison = 'same_country' | 'related_territory' | 'country_changed' | 'country_disputed' | 'nothing_known';

const isMatch = (found: Comparison): found is 'same_country' | 'related_territory' =>
  found === 'same_country' || found === 'related_territory';

const isFlagged = ({ flags }: Located): boolean => flags !== undefined && flags.length > 0;

/** Certain only where the sighting and every known place rest on agreeing sources: one doubtful place may be this one. */
function comparePlaces(places: readonly Place[], sighting: Located, now: Now): Comparison {
  let known = 0;
  let certain = sighting.agreed;
  let isRelated = false;
  for (const place of places) {
    if (!wasKnown(place, now)) continue;
    if (overlaps(place.countries, sighting.candidates)) return 'same_country';
    known++;
    certain &&= place.agreed;
    isRelated ||= related(place.countries, sighting.candidates);
  }
  if (known === 0) return 'nothing_known';
  if (isRelated) return 'related_territory';
  return certain ? 'country_changed' : 'country_disputed';
}

interface Seen {
  readonly firstSeenMs: number;
  readonly lastSeenMs: number;
}

const wasKnown = (entry: Seen, now: Now): boolean => entry.firstSeenMs <= now.atMs && isLive(entry, now);

const isLive = (entry: Seen, { atMs, policy }: Now): boolean => atMs - entry.lastSeenMs < policy.baselineTtlMs;

/** The sighting's own family first. */
function familiesOf(baseline: Baseline, family: AddressFamily): readonly [own: FamilyBaseline, other: FamilyBaseline] {
  return family === 4 ? [baseline.v4, baseline.v6] : [baseline.v6, baseline.v4];
}

/**
 * The baseline after a login that may teach (`Decision.teaches`; the caller checks). Idempotent, and the same reference
 * when nothing material changed: then there is nothing to save.
 *
 * An agreed sighting is learned as a place: merged into the one with the same countries, and in the stead of disputed ones
 * that hold its country, for now it is known which of theirs it was. A disputed sighting starts a baseline where there is
 * none, and never widens one: else an address that databases give {GB, US} would make US a country of a user in GB, and
 * that doubtful place would keep every later difference from being certain. Its network is learned, and the place that
 * vouched for it was seen. One that nothing vouches for comes from a reviewer's `safe` only, and is learned as it is.
 *
 * Of a flagged sighting (a reviewer called its login `safe`) the network is learned and never the place.
 *
 * A late login moves `firstSeenMs` back and never `lastSeenMs`. Expired entries go, in both families; then the least
 * recently seen.
 */
export function learn(baseline: Baseline, sighting: Located, loginAtMs: number, policy: Policy): Baseline {
  const now: Now = { atMs: loginAtMs, policy };
  const [own, other] = familiesOf(baseline, sighting.family);
  const nextOther = dropExpired(other, now);
  const nextOwn = learnFamily(own, nextOther, sighting, now);
  if (nextOwn === own && nextOther === other) return baseline;
  return sighting.family === 4 ? { v4: nextOwn, v6: nextOther } : { v4: nextOther, v6: nextOwn };
}

function learnFamily(before: FamilyBaseline, other: FamilyBaseline, sighting: Located, now: Now): FamilyBaseline {
  const live = dropExpired(before, now);
  const network = live.networks.find((entry) => entry.network === sighting.network);
  const nextNetwork = networkAfter(network, sighting, now);
  const { kept, place, nextPlace } = lessonOf(live, other, sighting, now);
  const isSame = kept === live.places && (nextPlace === undefined || !isNews(place, nextPlace, now));
  if (isSame && !isNews(network, nextNetwork, now)) return live;
  const places = nextPlace === undefined ? kept : put(kept, place, nextPlace, now.policy.maxPlaces);
  const networks = put(live.networks, network, nextNetwork, now.policy.maxNetworks);
  return places === live.places && networks === live.networks ? live : { places, networks };
}

/** What a sighting says of the places. */
interface Lesson {
  /** The places that stay: the same list when all do. */
  readonly kept: readonly Place[];
  /** The one of them to be replaced. */
  readonly place?: Place | undefined;
  /** None: there is nothing to add or refresh. */
  readonly nextPlace?: Place | undefined;
}

function lessonOf(live: FamilyBaseline, other: FamilyBaseline, sighting: Located, now: Now): Lesson {
  const { places } = live;
  if (isFlagged(sighting)) return { kept: places };
  return sighting.agreed ? agreedLesson(places, sighting, now) : disputedLesson(live, other, sighting, now);
}

function agreedLesson(places: readonly Place[], sighting: Located, now: Now): Lesson {
  const { candidates } = sighting;
  const isSettled = ({ agreed, countries }: Place) =>
    !agreed && overlaps(countries, candidates) && !sameCountries(countries, candidates);
  const settled = places.filter(isSettled);
  const kept = settled.length === 0 ? places : places.filter((one) => !settled.includes(one));
  const place = kept.find(({ countries }) => sameCountries(countries, candidates));
  // Those logins were in this country too, as far as anybody can tell: it was seen as late as they were.
  const lastSeenMs = Math.max(now.atMs, ...settled.map((one) => one.lastSeenMs));
  return { kept, place, nextPlace: placeAfter(place, sighting, now.atMs, lastSeenMs) };
}

function disputedLesson(live: FamilyBaseline, other: FamilyBaseline, sighting: Located, now: Now): Lesson {
  const { places: kept, networks } = live;
  const { candidates, network } = sighting;
  const voucher = voucherFor(candidates, kept);
  if (voucher !== undefined) return { kept, place: voucher, nextPlace: seenAgain(voucher, candidates, now.atMs) };
  // A voucher of the other family stays as it is: nothing was seen of that family.
  if (voucherFor(candidates, other.places) !== undefined) return { kept };
  const known = kept.length > 0 ? kept : other.places;
  const mayAdd =
    known.length === 0 ||
    // A reviewer's: of what is allowed only a known network gets here, or a late login that was before all the places.
    (!networks.some((entry) => entry.network === network) && known.some((one) => wasKnown(one, now)));
  return mayAdd ? { kept, nextPlace: placeAfter(undefined, sighting, now.atMs, now.atMs) } : { kept };
}

function voucherFor(candidates: readonly string[], places: readonly Place[]): Place | undefined {
  return (
    places.find(({ countries }) => overlaps(countries, candidates)) ??
    places.find(({ countries }) => related(countries, candidates))
  );
}

/** One with other countries was not seen itself, so it is no older for it. */
function seenAgain(place: Place, candidates: readonly string[], atMs: number): Place {
  const isSame = sameCountries(place.countries, candidates);
  const firstSeenMs = isSame ? Math.min(place.firstSeenMs, atMs) : place.firstSeenMs;
  return { ...place, firstSeenMs, lastSeenMs: Math.max(place.lastSeenMs, atMs) };
}

function placeAfter(place: Place | undefined, sighting: Located, atMs: number, lastSeenMs: number): Place {
  const { candidates, agreed } = sighting;
  if (place === undefined) return { countries: candidates, agreed, firstSeenMs: atMs, lastSeenMs };
  return {
    countries: place.countries,
    agreed: agreed || place.agreed,
    firstSeenMs: Math.min(place.firstSeenMs, atMs),
    lastSeenMs: Math.max(place.lastSeenMs, lastSeenMs),
  };
}

function networkAfter(known: KnownNetwork | undefined, { network }: Located, { atMs }: Now): KnownNetwork {
  if (known === undefined) return { network, firstSeenMs: atMs, lastSeenMs: atMs };
  return {
    network: known.network,
    firstSeenMs: Math.min(known.firstSeenMs, atMs),
    lastSeenMs: Math.max(known.lastSeenMs, atMs),
  };
}

type Entry = Seen & { readonly agreed?: boolean };

/** Is there more to write than a last-seen time that is only a little newer? */
function isNews(before: Entry | undefined, after: Entry, now: Now): boolean {
  if (before === undefined || before.firstSeenMs !== after.firstSeenMs || before.agreed !== after.agreed) return true;
  const newer = after.lastSeenMs - before.lastSeenMs;
  return newer > 0 && newer >= now.policy.refreshMs;
}

/** `list` with `after` for `before`, most recently seen first, bounded; the same list when nothing differs. */
function put<T extends Entry>(list: readonly T[], before: T | undefined, after: T, max: number): readonly T[] {
  if (before !== undefined && sameEntry(before, after)) return list;
  const next: T[] = [];
  let isPut = false;
  for (const entry of list) {
    if (!isPut && entry.lastSeenMs <= after.lastSeenMs) {
      next.push(after);
      isPut = true;
    }
    if (entry !== before) next.push(entry);
  }
  if (!isPut) next.push(after);
  if (next.length <= max) return next;
  // A late login of long ago may be the one that the bound cuts off again: then nothing differs.
  return next[max] === after && list.length === max ? list : next.slice(0, max);
}

const sameEntry = (a: Entry, b: Entry): boolean =>
  a.firstSeenMs === b.firstSeenMs && a.lastSeenMs === b.lastSeenMs && a.agreed === b.agreed;

function dropExpired(family: FamilyBaseline, now: Now): FamilyBaseline {
  const places = liveOnly(family.places, now);
  const networks = liveOnly(family.networks, now);
  return places === family.places && networks === family.networks ? family : { places, networks };
}

function liveOnly<T extends Seen>(list: readonly T[], now: Now): readonly T[] {
  // Most recently seen first: the last one expires first.
  const last = list.at(-1);
  return last === undefined || isLive(last, now) ? list : list.filter((entry) => isLive(entry, now));
}

/** Both are sorted and without duplicates. */
function sameCountries(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((country, index) => country === b[index]);
}
