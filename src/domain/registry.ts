/**
 * What the address registries and the geofeeds that they link say of one address, as values. A registry's country is the
 * holder's, not the place: it is recorded and decides nothing. A geofeed row (RFC 8805) is the operator's own word about
 * where the addresses are used, and can settle a dispute.
 */

import type { Country, Evidence } from './types.ts';

/** The five regional registries. */
export type Registry = 'afrinic' | 'apnic' | 'arin' | 'lacnic' | 'ripe';

/** One row of a geofeed, or why there is none. */
export interface GeofeedWord {
  /** Host of the https address that the registry links; never the whole address, which is text from outside. */
  readonly host: string;
  /** The row's prefix, CIDR; null where no row counts. */
  readonly prefix: string | null;
  readonly country: Country | null;
  /** `no_row`, `withheld`, `conflict`, `pseudo:..`, `unreachable`, `too_large`, `not_public` ... */
  readonly note?: string | undefined;
}

/** What was learned of one address. */
export interface RegistryWord {
  readonly registry: Registry;
  /** `none`: the registry has no entry, or only a placeholder for space that others look after. */
  readonly status: 'ok' | 'none';
  readonly via: 'rdap' | 'whois';
  /** The host that gave the answer, from our own allow-list. */
  readonly server: string;
  /** The range that the answer is for: CIDR, or `first - last`. Null for `none`. */
  readonly range: string | null;
  /** The holder's country. */
  readonly country: Country | null;
  /** e.g. `pseudo:EU`, `several`, `not_authoritative`. */
  readonly note?: string | undefined;
  readonly geofeed: GeofeedWord | null;
  /** It was asked about another address of the /24 or /48: a smaller entry may hold this one, so the word closes nothing. */
  readonly isNeighbours?: boolean | undefined;
  /** When it was asked, milliseconds since the epoch. */
  readonly atMs: number;
}

/**
 * What a word means for a flagged login. `same_country`: the geofeed names a country that the user logs in from, and a
 * database or the registry names it too, or the operator trusts the geofeed's host. `contradicts_databases`: it does, but nobody else names that country, or the
 * databases agree on another one. `elsewhere`: it names a country that the user is not known in. `recorded`: it settles nothing.
 */
export type Settlement = 'same_country' | 'contradicts_databases' | 'elsewhere' | 'recorded';

/** A host name in lower case, as it stands in a geofeed's address: no scheme, no port, no path. */
export const GEOFEED_HOST = /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+$/;

/** A word as it stands on an incident. */
export interface RegistryFinding {
  readonly settlement: Settlement;
  /** Shown below the databases' words. */
  readonly evidence: readonly Evidence[];
  readonly atMs: number;
}

/**
 * An open incident that a geofeed row settles is closed under this name, with this status. No analyst is behind it, so any
 * analyst may still answer it; and none may go by this name.
 */
export const SETTLED_BY = 'registry';
export const SETTLED_AS = 'dismissed';
