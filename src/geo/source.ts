/** What the chain (chain.ts) asks of each source: one port, one contract (test/contract/source.contract.ts). */

import { parseCidr } from '../domain/address.ts';
import type { AddressFamily, AddressFlag, Country, SourceKind } from '../domain/types.ts';

/**
 * What a source's word is good for. `country`: it votes. `override`: the operator's own, certain. `flags`: what makes a
 * country no evidence. `network`: who runs the network; recorded only.
 */
export type SourceRole = 'country' | 'override' | 'flags' | 'network';

/** What a source says beside the country. Shared between answers: never changed. */
export interface Details {
  readonly latitude?: number | undefined;
  readonly longitude?: number | undefined;
  readonly radiusKm?: number | undefined;
  readonly flags?: readonly AddressFlag[] | undefined;
  readonly asn?: number | undefined;
  readonly holder?: string | undefined;
}

/** One source's word about one address. A fresh object: the caller may keep it. */
export interface Answer {
  /** Normalised code, or null when the source has none (or none that counts, see `note`). */
  readonly country: Country | null;
  /** The network that the answer is for, CIDR, where the source says. Null when it has no record. */
  readonly network: string | null;
  /** e.g. `pseudo:EU`, `registered:US`, `no_ipv6`. */
  readonly note?: string | undefined;
  readonly details?: Details | undefined;
}

/** A source that has been opened and checked. Pure memory. */
export interface Source {
  readonly kind: SourceKind;
  readonly role: SourceRole;
  /** Readable name of the database, e.g. `GeoLite2-Country`. */
  readonly name: string;
  /** Where it came from: a path, or a package name. */
  readonly origin: string;
  /** Whose data it is (see `vendorOf`), or null where nobody can tell. Sources of one vendor are not independent. */
  readonly vendor: string | null;
  /** When the database was built, milliseconds since the epoch, or null where it does not say. */
  readonly builtAtMs: number | null;
  /** `ip` is canonical text from `parseAddress`, of a global address. May throw on a damaged file; takes microseconds. */
  lookup(ip: string, family: AddressFamily): Answer;
}

/** Lets waiting logins go first. To be awaited every few milliseconds of work on a large file. */
export type Pause = () => Promise<void>;

export const pause: Pause = () => new Promise((resolve) => setImmediate(resolve));

/** How installed packages are found and loaded; tests put their own in. Both throw when the package is not there. */
export interface Modules {
  /** Path of a file in an installed package, e.g. `geoip-lite` or `some-package/data.mmdb`. */
  resolve(specifier: string): string;
  load(name: string): Promise<unknown>;
}

/**
 * In this order; each is looked for in the database type first, then in the file's name. MaxMind's last of those with names: others
 * say in their type that their layout is its (`DBIP-Country-Lite (compat=GeoLite2-Country)`).
 */
const VENDORS: readonly (readonly [RegExp, string])[] = [
  [/db-?ip/i, 'DB-IP'],
  [/ipinfo/i, 'IPinfo'],
  [/ip2location/i, 'IP2Location'],
  [/geolite|geoip/i, 'MaxMind'],
  [/whois|asn/i, 'registries'],
];

/** The type that all files of the ip-location-db project carry, whoever the data is from. It names no vendor. */
export const GENERIC_TYPE = /^(country|city) ipv(4|6|all)$/i;

/**
 * Whose data a database holds. GeoLite2 and GeoIP2 are one vendor: when they agree, one survey has spoken twice.
 * An unknown type is its own vendor; a generic type under a file name that tells nothing is null, and counts as
 * independent of no other, because it may be a copy of any of them.
 */
export function vendorOf(databaseType: string, fileName: string): string | null {
  for (const text of [databaseType, fileName]) {
    const known = VENDORS.find(([pattern]) => pattern.test(text));
    if (known) return known[1];
  }
  return GENERIC_TYPE.test(databaseType) ? null : databaseType.toLowerCase();
}

/** The network of `prefix` bits around a canonical address, e.g. (`81.2.69.142`, 22) -> `81.2.68.0/22`. */
export function networkText(ip: string, prefix: number): string | null {
  return parseCidr(`${ip}/${prefix}`)?.text ?? null;
}

/** ISO 8601 day of a time in milliseconds. */
export function dayOf(timeMs: number | null): string | null {
  return timeMs === null ? null : new Date(timeMs).toISOString().slice(0, 10);
}

const DAY_MS = 86_400_000;

/** Whole days from then to now; null where then is not known. A build date ahead of our clock is 0 days old. */
export function ageInDays(builtAtMs: number | null, nowMs: number): number | null {
  return builtAtMs === null ? null : Math.max(0, Math.floor((nowMs - builtAtMs) / DAY_MS));
}
