/** Why, in plain words: what was done with a login and what it rests on. Holds no text from outside but country codes. */

import type { Incident, Outcome } from '../domain/incident.ts';
import { REASONS, type Reason } from '../domain/reasons.ts';
import type { Settlement } from '../domain/registry.ts';
import type { FamilyBaseline, Place, Sighting, UnlocatableWhy } from '../domain/types.ts';
import { countryList } from './places.ts';

const DONE: Readonly<Record<Outcome, string>> = {
  revoked: 'Ended',
  already_revoked: 'Ended',
  not_found: 'Ended (there was no session left to end, and none can begin with this login any more)',
  other_login: 'Not ended (its session id belonged to another login by then)',
  observed: 'Would have been ended (observe mode: the session was not touched)',
  none: 'Flagged for review (the session was not touched)',
};

/** What a reviewer reads in one word: the same as in the CLI. */
export function doneWord({ action, outcome }: Incident): string {
  if (action === 'flag') return 'flagged';
  // A repeated job found what it had done before.
  return outcome === 'already_revoked' ? 'revoked' : outcome.replaceAll('_', ' ');
}

/** e.g. `Ended because this user logs in from Germany (DE) and this login came from Brazil (BR). Certain on both sides: ...` */
export function headline(incident: Incident): string {
  const isAtLarge = incident.php !== undefined && incident.outcome === 'not_found';
  const isPart = incident.php?.left !== undefined;
  const ended = isPart ? PHP_IN_PART : isAtLarge ? PHP_AT_LARGE : DONE[incident.outcome];
  const done = incident.brake ? BRAKED : ended;
  return `${done} because ${because(incident)}`;
}

/** What PHP keeps lives until it is found; only `guard()` refuses it before. */
const PHP_AT_LARGE = 'Marked as ended (but its PHP session was not found: it lives on where the site does not ask)';

const PHP_IN_PART = 'Ended in part (some PHP sessions of it were not ended: they live on where the site does not ask)';

const BRAKED = 'Would have been ended (the safety brake was on: the session was not touched)';

function because(incident: Incident): string {
  const { reason, sighting } = incident;
  const where = sighting.kind === 'located' ? countryList(sighting.candidates) : '';
  switch (reason) {
    case 'country_changed':
      return `${knownWords(incident)} and this login came from ${where}. Certain on both sides: for each, at least two independent sources (or your own override) agree on one country.`;
    case 'country_disputed':
      return `${knownWords(incident)} and this login seems to come from ${where}, which is not certain: ${doubts(incident).join('; ')}.`;
    case 'anonymous_network':
      return `its address belongs to ${flagWords(sighting)}: its country says nothing about where the user is.`;
    case 'session_reused':
      return 'a session id came back long after its session had gone on under a new one: two parties hold this login.';
    case 'blocked':
      return 'the block list refuses such logins: a person ordered it.';
    default:
      return `of the reason ${reason}: ${meaningOf(reason)}`;
  }
}

export function meaningOf(reason: Reason): string {
  return (REASONS as Readonly<Partial<Record<string, { readonly meaning: string }>>>)[reason]?.meaning ?? '';
}

/** Of the address family that was seen; of the other one where nothing is known of it. That is what was compared. */
export function comparedPlaces({ baseline, sighting }: Incident): readonly Place[] {
  const [own, other] = familiesOf({ baseline, sighting });
  return own.places.length > 0 ? own.places : other.places;
}

function familiesOf({ baseline, sighting }: Pick<Incident, 'baseline' | 'sighting'>): [FamilyBaseline, FamilyBaseline] {
  const isV6 = sighting.kind === 'located' && sighting.family === 6;
  return isV6 ? [baseline.v6, baseline.v4] : [baseline.v4, baseline.v6];
}

function knownWords(incident: Incident): string {
  const places = comparedPlaces(incident);
  if (places.length === 0) return 'nothing certain was known of this user';
  const countries = [...new Set(places.flatMap((place) => place.countries))];
  return `this user logs in from ${countryList(countries)}`;
}

/** Why a difference was not held certain. */
function doubts(incident: Incident): string[] {
  const { sighting } = incident;
  const [own] = familiesOf(incident);
  const found: string[] = [];
  if (own.places.length === 0) found.push('only logins of the other address family (IPv4, IPv6) were known');
  if (comparedPlaces(incident).some(({ agreed }) => !agreed)) found.push('what was known is itself disputed');
  if (sighting.kind === 'located' && !sighting.agreed) found.push(sideDoubt(sighting.candidates.length));
  return found.length === 0 ? ['one side is disputed or rests on one source'] : found;
}

function sideDoubt(candidates: number): string {
  return candidates > 1
    ? 'the sources differ on where the address is'
    : 'only one independent source knows where the address is';
}

const FLAGS = {
  anonymiser: 'an anonymiser (VPN, proxy, Tor)',
  hosting: 'a hosting network',
  anycast: 'an anycast network',
};

export function flagWords(sighting: Sighting): string {
  const flags = sighting.flags ?? [];
  return flags.length === 0 ? 'an anonymous network' : flags.map((flag) => FLAGS[flag] ?? flag).join(' and ');
}

const UNLOCATABLE: Readonly<Record<UnlocatableWhy, string>> = {
  no_address: 'the web tier knew no address',
  invalid_address: 'what the web tier had was no address',
  malformed_forwarding: 'the forwarding header could not be read',
  special_address: 'a private or other special address has no country',
  tunnel: 'the address names a relay (6to4, Teredo, NAT64), not the client',
  not_located: "the operator's own overrides say that this network is not to be located",
  no_data: 'no source has an answer for this address',
  no_database: 'no database could be opened',
  stale_data: 'every source that answered was too old',
  lookup_failed: 'every source that could have answered failed',
};

export function unlocatableWords(why: UnlocatableWhy): string {
  return UNLOCATABLE[why] ?? why;
}

const SETTLEMENTS: Readonly<Record<Settlement, string>> = {
  same_country: "the network operator's own geofeed names a country this user logs in from",
  contradicts_databases:
    'the geofeed names a country of this user, but nobody else does, or two databases agree on another',
  elsewhere: 'the geofeed names a country that this user is not known in',
  recorded: 'what the registry says settles nothing',
};

export function settlementWords(settlement: Settlement): string {
  return SETTLEMENTS[settlement] ?? settlement;
}

/** e.g. `12,345`. */
export const number = (count: number): string => count.toLocaleString('en');

export const plural = (count: number, word: string): string => `${number(count)} ${word}${count === 1 ? '' : 's'}`;

/** How old a database was when the login was decided, e.g. `12 days old`. Null where it does not say when it was built. */
export function ageThen(builtOn: string | null, atMs: number): string | null {
  const builtAtMs = builtOn === null ? Number.NaN : Date.parse(builtOn);
  if (Number.isNaN(builtAtMs)) return null;
  const days = Math.max(0, Math.floor((atMs - builtAtMs) / 86_400_000));
  return days === 1 ? '1 day old' : `${days} days old`;
}
