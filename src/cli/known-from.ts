/** Why a user is known in a country: the login that was last seen there, out of the user's history. */

import type { HistoryEntry } from '../desk-ports.ts';
import { overlaps } from '../domain/country.ts';
import type { Incident } from '../domain/incident.ts';
import type { Place } from '../domain/types.ts';
import { type Column, table } from './table.ts';
import type { Terminal } from './terminal.ts';
import { minute } from './time.ts';

export interface KnownFrom {
  readonly countries: readonly string[];
  /** None: that login is older than what is kept of the history. */
  readonly login: Pick<HistoryEntry, 'atMs' | 'address' | 'network' | 'countries' | 'reason'> | null;
}

/** One row for each place that the incident was decided against. */
export function knownFrom({ baseline, lid, loginAtMs }: Incident, history: readonly HistoryEntry[]): KnownFrom[] {
  const before = history.filter((one) => one.lid !== lid && one.atMs <= loginAtMs).sort((a, b) => b.atMs - a.atMs);
  const rows = (places: readonly Place[], isV6: boolean): KnownFrom[] =>
    places.map(({ countries }) => {
      const there = before.filter((one) => one.network?.includes(':') === isV6 && overlaps(one.countries, countries));
      // A place that a person called safe has a login that was not allowed.
      const found = there.find(({ action }) => action === 'allow') ?? there[0] ?? null;
      return { countries, login: found === null ? null : loginOf(found) };
    });
  return [...rows(baseline.v4.places, false), ...rows(baseline.v6.places, true)];
}

const loginOf = ({ atMs, address, network, countries, reason }: HistoryEntry) => ({
  atMs,
  address,
  network,
  countries,
  reason,
});

const COLUMNS: readonly Column<KnownFrom>[] = [
  { title: 'PLACE', value: ({ countries }) => countries.join('|') },
  { title: 'LAST LOGIN (UTC)', value: ({ login }) => (login === null ? 'not kept any more' : minute(login.atMs)) },
  { title: 'SEEN AS', value: ({ login }) => login?.countries.join('|') ?? '' },
  { title: 'ADDRESS', value: ({ login }) => login?.address ?? '', min: 9 },
  { title: 'NETWORK', value: ({ login }) => login?.network ?? '', min: 9, optional: true },
  { title: 'REASON', value: ({ login }) => login?.reason ?? '', optional: true },
];

/** What the databases say of these addresses today is `session-bouncer locate ADDRESS`. */
export function knownFromTable(rows: readonly KnownFrom[], terminal: Terminal): string {
  return rows.length === 0 ? '' : table(rows, COLUMNS, terminal);
}
