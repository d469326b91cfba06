/** What a registry's word means for a login that was flagged, or that had no country. Pure. */

import { related } from './country.ts';
import { decide } from './decide.ts';
import type { Incident } from './incident.ts';
import type { Policy } from './policy.ts';
import type { RegistryFinding, RegistryWord, Settlement } from './registry.ts';
import type { Country, Evidence, Located, Unlocatable } from './types.ts';

const NONE: ReadonlySet<string> = new Set();

/**
 * Decides the flagged login again with the geofeed's country in place of what the databases say, against the baseline that it
 * was flagged against. A registry's own country says where the holder has an office, so it settles nothing.
 *
 * A geofeed is written by whoever holds the addresses, who may be the thief. So it closes an incident only where somebody
 * else has named its country too: a database, or the registry. Where the databases agree on another country it is one voice
 * against two. Then a person decides. So does one where the registry was asked about a neighbour: a smaller entry, with a feed of
 * its own, may hold this address.
 *
 * `trusted`: hosts whose geofeeds the operator believes as they are. Without it a cloud's feed closes next to nothing: a
 * database that named the user's country would have kept the login from being flagged, and the registry has the holder's seat.
 */
export function settle(
  incident: Incident,
  word: RegistryWord,
  policy: Policy,
  trusted: ReadonlySet<string> = NONE,
): Settlement {
  const country = word.geofeed?.country ?? null;
  if (country === null || word.isNeighbours || incident.sighting.kind !== 'located') return 'recorded';
  const { baseline, sighting, loginAtMs } = incident;
  const { reason } = decide(baseline, placedIn(sighting, country), loginAtMs, policy);
  if (reason === 'country_disputed' || reason === 'country_changed') return 'elsewhere';
  if (reason === 'same_country' || reason === 'related_territory') {
    const isBelieved = word.geofeed !== null && trusted.has(word.geofeed.host);
    return isBelieved || isBacked(country, sighting, word) ? 'same_country' : 'contradicts_databases';
  }
  // Nothing to compare: the baseline has expired meanwhile, or the address is flagged as anonymous.
  return 'recorded';
}

/** Has anybody beside the geofeed named this country, or one of the same sovereign? */
function isBacked(country: Country, { agreed, candidates }: Located, word: RegistryWord): boolean {
  if (agreed) return false;
  return related(candidates, [country]) || (word.country !== null && related([word.country], [country]));
}

/** One source, so never agreed: what rests on it alone may be flagged and never revoked. */
function placedIn(sighting: Located, country: Country): Located {
  return { ...sighting, candidates: [country], agreed: false };
}

/** The sighting of an address that only the geofeed places; null where it does not. `network` is the /24 or /48. */
export function locatedByGeofeed(
  sighting: Unlocatable,
  word: RegistryWord,
  where: { readonly address: string; readonly family: 4 | 6; readonly network: string },
): Located | null {
  const country = word.geofeed?.country ?? null;
  if (country === null) return null;
  const { evidence, flags = [] } = sighting;
  const located: Located = { kind: 'located', ...where, candidates: [country], agreed: false, evidence };
  return flags.length === 0 ? located : { ...located, flags };
}

export function findingOf(word: RegistryWord, settlement: Settlement): RegistryFinding {
  return { settlement, evidence: evidenceOf(word, settlement), atMs: word.atMs };
}

/** As rows below those of the databases: who said what, when, and for which addresses. */
export function evidenceOf(word: RegistryWord, settlement: Settlement): Evidence[] {
  const builtOn = new Date(word.atMs).toISOString().slice(0, 10);
  const { registry, via, country, range, geofeed } = word;
  const ofWhom = word.isNeighbours ? 'neighbour' : undefined;
  const note = ['holder', word.status === 'none' ? 'no_entry' : undefined, word.note, ofWhom].filter(Boolean).join(' ');
  const rows: Evidence[] = [{ database: `${registry} ${via}`, builtOn, country, network: range, note }];
  if (geofeed === null) return rows;
  const why = geofeed.note ?? settlement;
  rows.push({
    database: `geofeed ${geofeed.host}`,
    builtOn,
    country: geofeed.country,
    network: geofeed.prefix,
    note: why,
  });
  return rows;
}

/** Stands on an incident that was closed without a person. */
export function closingNote({ geofeed }: RegistryWord): string {
  return `the holder's geofeed (${geofeed?.host}) places ${geofeed?.prefix} in ${geofeed?.country}, where this user logs in from`;
}
