/** A page of incidents as a table. */

import type { Incident, IncidentRecord } from '../domain/incident.ts';
import type { Place } from '../domain/types.ts';
import type { IncidentPage } from '../ports.ts';
import { type Column, table } from './table.ts';
import type { Style, Terminal } from './terminal.ts';
import { minute } from './time.ts';

const COLUMNS: readonly Column<IncidentRecord>[] = [
  { title: 'CASE', value: ({ id }) => id },
  { title: 'LOGIN (UTC)', value: ({ loginAtMs }) => minute(loginAtMs) },
  { title: 'USER', value: ({ userId }) => userId, min: 6 },
  { title: 'ADDRESS', value: ({ sighting }) => sighting.address, min: 9 },
  { title: 'KNOWN', value: (incident) => knownPlaces(incident).map(countries).join(' '), min: 5 },
  { title: 'SEEN', value: ({ sighting }) => sighting.candidates.join('|'), min: 4 },
  { title: 'DONE', value: done, style: (incident) => styleOf(done(incident)) },
  { title: 'STATUS', value: ({ status }) => status, style: ({ status }) => (status === 'open' ? 'bold' : 'dim') },
  { title: 'VISITS', value: ({ visitCount }) => String(visitCount), optional: true },
  { title: 'REASON', value: ({ reason }) => reason, optional: true },
];

/** What a reviewer reads in one word. */
export function done({ action, outcome }: Incident): string {
  return action === 'flag' ? 'flagged' : outcome;
}

export function styleOf(what: string): Style | null {
  return what === 'revoked' || what === 'already_revoked' ? 'red' : 'yellow';
}

/** Of the address family that was seen; of the other one where nothing is known of it. */
export function knownPlaces({ baseline, sighting }: Incident): readonly Place[] {
  const [own, other] = sighting.family === 4 ? [baseline.v4, baseline.v6] : [baseline.v6, baseline.v4];
  return own.places.length > 0 ? own.places : other.places;
}

export function countries(place: Place): string {
  return place.countries.join('|');
}

export function incidentPage({ incidents, cursor }: IncidentPage, terminal: Terminal): string {
  if (incidents.length === 0) return 'No incidents.';
  const rows = table(incidents, COLUMNS, terminal);
  return cursor === null ? rows : `${rows}\n\nThere are more: add --cursor ${cursor}`;
}
