/** What each source said of an address, a line each: the same in `locate` and on an incident. */

import type { Evidence } from '../domain/types.ts';
import { type Column, table } from './table.ts';
import type { Terminal } from './terminal.ts';

const COLUMNS: readonly Column<Evidence>[] = [
  { title: 'DATABASE', value: ({ database }) => database, min: 12 },
  { title: 'BUILT ON', value: ({ builtOn }) => builtOn ?? 'unknown' },
  { title: 'COUNTRY', value: ({ country }) => country ?? '-' },
  { title: 'NETWORK', value: ({ network }) => network ?? '-', min: 9 },
  { title: 'NOTE', value: noteOf, min: 4, optional: true },
];

export function evidenceTable(evidence: readonly Evidence[], terminal: Terminal): string {
  return table(evidence, COLUMNS, terminal);
}

/** e.g. `overruled`, `anonymiser`, `AS29518 Bredband2 AB`, `58.42, 15.62 within 76 km`. */
function noteOf({ note, flags = [], asn, holder, latitude, longitude, radiusKm }: Evidence): string {
  const network = [asn === undefined ? '' : `AS${asn}`, holder ?? ''].filter((part) => part !== '').join(' ');
  const place =
    latitude === undefined || longitude === undefined ? '' : `${latitude.toFixed(2)}, ${longitude.toFixed(2)}`;
  const within = place === '' || radiusKm === undefined ? place : `${place} within ${radiusKm} km`;
  return [note ?? '', ...flags, network, within].filter((part) => part !== '').join('; ');
}
