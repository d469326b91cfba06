/**
 * The optional package `geoip-lite` (1.4.10 or 2.x) as the source of last resort, for a machine on which no database
 * file can be opened. Loading it reads about 105 to 150 MB into memory, so nothing imports it until it is needed. It
 * starts no watcher unless asked to (`startWatchingDataUpdate`), and we do not ask: it keeps no process alive.
 */

import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { parseCidr } from '../domain/address.ts';
import { normaliseCountry } from '../domain/country.ts';
import type { AddressFamily } from '../domain/types.ts';
import { BouncerError } from '../errors.ts';
import { type Answer, type Details, type Modules, networkText, type Source } from './source.ts';

interface GeoipLite {
  lookup(ip: string): unknown;
}

/** Throws BouncerError `database_unusable` when the package is missing or does not load. */
export async function openGeoipLite(modules: Modules): Promise<Source> {
  const library = await loadLibrary(modules);
  const builtAtMs = await dataDate(modules);
  return {
    kind: 'geoip-lite',
    role: 'country',
    name: 'geoip-lite',
    origin: 'npm:geoip-lite (last resort)',
    vendor: 'MaxMind',
    builtAtMs,
    lookup: (ip, family) => lookup(library, ip, family),
  };
}

async function loadLibrary(modules: Modules): Promise<GeoipLite> {
  try {
    const library = libraryIn(await modules.load('geoip-lite'));
    library.lookup('81.2.69.142');
    return library;
  } catch (cause) {
    const remedy = 'install it (npm install geoip-lite), or better: name an .mmdb file in the configuration.';
    throw new BouncerError('database_unusable', `The package geoip-lite cannot be loaded: ${remedy}`, { cause });
  }
}

/** A CommonJS package: its exports are the default export. */
function libraryIn(module: unknown): GeoipLite {
  const library = (module as { default?: unknown }).default ?? module;
  if (typeof (library as Partial<GeoipLite>).lookup !== 'function') throw new TypeError('geoip-lite has no lookup()');
  return library as GeoipLite;
}

/**
 * The day of the package's data, from the name of the archive it was made of, which 1.4.10 and its `updatedb` keep in
 * `data/*.checksum` (`... GeoLite2-City-CSV_20231115.zip`). 2.x keeps a bare hash there: null. File times would say when
 * npm installed it. Data that a `GEODATADIR` of the operator holds elsewhere is not looked at.
 */
async function dataDate(modules: Modules): Promise<number | null> {
  try {
    const data = join(dirname(modules.resolve('geoip-lite')), '..', 'data');
    const text = await readFile(join(data, 'city.checksum'), 'utf8');
    const day = /_(\d{4})(\d{2})(\d{2})\.zip/.exec(text);
    const time = day === null ? Number.NaN : Date.parse(`${day[1]}-${day[2]}-${day[3]}`);
    return Number.isNaN(time) ? null : time;
  } catch {
    return null;
  }
}

function lookup(library: GeoipLite, ip: string, family: AddressFamily): Answer {
  const found = library.lookup(family === 4 ? ip : fullIpv6(ip));
  if (typeof found !== 'object' || found === null) return { country: null, network: null };
  const { country: code, range, ll, area } = found as Record<string, unknown>;
  const network = rangeNetwork(range);
  if (code === '' || code === undefined) return { country: null, network };
  const { country = null, note } = normaliseCountry(code);
  return { country, network, note, details: placeOf(ll, area) };
}

/** `ll`: latitude and longitude, null where it has none; `area`: accuracy radius in kilometres. */
function placeOf(ll: unknown, area: unknown): Details | undefined {
  if (!Array.isArray(ll) || typeof ll[0] !== 'number' || typeof ll[1] !== 'number') return undefined;
  const [latitude, longitude] = ll;
  const place = { latitude, longitude };
  return Object.freeze(typeof area === 'number' && area > 0 ? { ...place, radiusKm: area } : place);
}

/** All eight groups: 1.4.10 misreads a `::` that stands within the first 64 bits. */
function fullIpv6(ip: string): string {
  return (parseCidr(ip)?.words ?? []).map((group) => group.toString(16)).join(':');
}

/** First and last IPv4 address as numbers; a network only where they span exactly one. For IPv6 it says none. */
function rangeNetwork(range: unknown): string | null {
  if (!Array.isArray(range) || typeof range[0] !== 'number' || typeof range[1] !== 'number') return null;
  const [first, last] = range;
  const bits = Math.log2(last - first + 1);
  if (!Number.isInteger(bits) || first % 2 ** bits !== 0) return null;
  const octets = [24, 16, 8, 0].map((shift) => (first >>> shift) & 255);
  return networkText(octets.join('.'), 32 - bits);
}
