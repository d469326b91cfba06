/** A page of incidents as a table. */

import type { Incident, IncidentRecord } from '../domain/incident.ts';
import type { Place, Sighting, Unlocatable } from '../domain/types.ts';
import type { IncidentPage } from '../ports.ts';
import { type Column, table } from './table.ts';
import type { Style, Terminal } from './terminal.ts';
import { minute } from './time.ts';

/** From here on there is room for the year. */
const WIDE = 100;

/** At 80 columns a common incident is whole; below that the columns that are needed least go first. */
function columnsFor({ columns }: Terminal): Column<IncidentRecord>[] {
  const login = (atMs: number) => (columns < WIDE ? minute(atMs).slice(5) : minute(atMs));
  return [
    { title: 'CASE', value: ({ id }) => id },
    { title: 'LOGIN (UTC)', value: ({ loginAtMs }) => login(loginAtMs), optional: true },
    { title: 'USER', value: ({ userId }) => userId, min: 6 },
    { title: 'ADDRESS', value: ({ sighting }) => sighting.address ?? 'unknown', min: 15 },
    { title: 'PLACE', value: moved, min: 7 },
    { title: 'DONE', value: done, min: 7, style: (incident) => styleOf(done(incident)) },
    {
      title: 'STATUS',
      value: ({ status }) => status,
      min: 4,
      style: (one) => (one.status === 'open' ? 'bold' : 'dim'),
    },
    { title: 'VISITS', value: ({ visitCount }) => String(visitCount), optional: true },
    { title: 'REASON', value: ({ reason }) => reason, optional: true },
  ];
}

/** e.g. `GB > BR`, `GB DE > BR|UY`. */
function moved(incident: Incident): string {
  return `${knownPlaces(incident).map(countries).join(' ')} > ${placeOf(incident.sighting)}`;
}

/** Countries, or why there are none. */
export function placeOf(sighting: Sighting): string {
  return sighting.kind === 'located' ? sighting.candidates.join('|') : sighting.why;
}

/** Of a tunnel with the address that it carries: somebody may want to look at that one. */
export function whyNot({ why, embedded }: Unlocatable): string {
  return `unlocatable: ${why}${embedded === undefined ? '' : ` (carries ${embedded})`}`;
}

/** What a reviewer reads in one word. */
export function done({ action, outcome }: Incident): string {
  if (action === 'flag') return 'flagged';
  // A repeated job found what it had done before.
  return outcome === 'already_revoked' ? 'revoked' : outcome;
}

export function styleOf(what: string): Style | null {
  return what === 'revoked' ? 'red' : 'yellow';
}

/** Of the address family that was seen; of the other one where nothing is known of it. */
function knownPlaces({ baseline, sighting }: Incident): readonly Place[] {
  const [own, other] =
    sighting.kind === 'unlocatable' || sighting.family === 4 ? [baseline.v4, baseline.v6] : [baseline.v6, baseline.v4];
  return own.places.length > 0 ? own.places : other.places;
}

export function countries(place: Place): string {
  return place.countries.join('|');
}

export function incidentPage({ incidents, cursor }: IncidentPage, terminal: Terminal): string {
  if (incidents.length === 0 && cursor === null) return 'No incidents.';
  const rows = incidents.length === 0 ? 'None so far.' : table(incidents, columnsFor(terminal), terminal);
  return cursor === null ? rows : `${rows}\n\nThere are more: add --cursor ${cursor}`;
}
