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

/** What a signal says whatever is known of the user and wherever the address is. */
export function decisionFor(signal: 'session_reused'): Decision {
  return DECISIONS[signal];
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
  if (same !== 'nothing_known') return same;
  const across = comparePlaces(other.places, sighting, now);
  if (across === 'nothing_known') return 'first_login';
  // Databases differ more between the families than people move: across them a difference is never certain.
  return across === 'country_changed' ? 'country_disputed' : across;
}

const isFlagged = ({ flags }: Located): boolean => flags !== undefined && flags.length > 0;

/** Certain only where the sighting and every known place rest on agreeing sources: one doubtful place may be this one. */
function comparePlaces(places: readonly Place[], sighting: Located, now: Now): Reason | 'nothing_known' {
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
 * Merges into the place with the same countries (`agreed` once is agreed) and the same network; a late login moves
 * `firstSeenMs` back and never `lastSeenMs`. Expired entries go, in both families; then the least recently seen.
 *
 * Of a flagged sighting (a reviewer called its login `safe`) the network is learned and never the place.
 */
export function learn(baseline: Baseline, sighting: Located, loginAtMs: number, policy: Policy): Baseline {
  const now: Now = { atMs: loginAtMs, policy };
  const [own, other] = familiesOf(baseline, sighting.family);
  const nextOwn = learnFamily(own, sighting, now);
  const nextOther = dropExpired(other, now);
  if (nextOwn === own && nextOther === other) return baseline;
  return sighting.family === 4 ? { v4: nextOwn, v6: nextOther } : { v4: nextOther, v6: nextOwn };
}

function learnFamily(before: FamilyBaseline, sighting: Located, now: Now): FamilyBaseline {
  const live = dropExpired(before, now);
  const network = live.networks.find((entry) => entry.network === sighting.network);
  const nextNetwork = networkAfter(network, sighting, now);
  if (isFlagged(sighting)) {
    if (!isNews(network, nextNetwork, now)) return live;
    return { places: live.places, networks: put(live.networks, network, nextNetwork, now.policy.maxNetworks) };
  }
  const place = live.places.find((entry) => sameCountries(entry.countries, sighting.candidates));
  const nextPlace = placeAfter(place, sighting, now);
  if (!isNews(place, nextPlace, now) && !isNews(network, nextNetwork, now)) return live;
  const places = put(live.places, place, nextPlace, now.policy.maxPlaces);
  const networks = put(live.networks, network, nextNetwork, now.policy.maxNetworks);
  return places === live.places && networks === live.networks ? live : { places, networks };
}

function placeAfter(place: Place | undefined, { candidates, agreed }: Located, { atMs }: Now): Place {
  if (place === undefined) return { countries: candidates, agreed, firstSeenMs: atMs, lastSeenMs: atMs };
  return {
    countries: place.countries,
    agreed: agreed || place.agreed,
    firstSeenMs: Math.min(place.firstSeenMs, atMs),
    lastSeenMs: Math.max(place.lastSeenMs, atMs),
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
