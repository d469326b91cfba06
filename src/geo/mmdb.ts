/** One `.mmdb` file as a source of countries. How the file is read and refused: mmdb-file.ts. */

import { basename } from 'node:path';
import type { CountryResponse, Reader } from 'maxmind';
import { normaliseCountry } from '../domain/country.ts';
import type { AddressFamily, Country } from '../domain/types.ts';
import { damaged, readMmdb, unusable } from './mmdb-file.ts';
import { type Answer, type CountrySource, GENERIC_TYPE, networkText, vendorOf } from './source.ts';

/** Long-lived public addresses of several regions: a damaged tree or data section tends to throw on one of them. */
const CANARIES: readonly (readonly [string, AddressFamily])[] = [
  ['1.1.1.1', 4],
  ['8.8.8.8', 4],
  ['81.2.69.142', 4],
  ['133.11.0.1', 4],
  ['196.25.1.1', 4],
  ['200.160.2.3', 4],
  ['223.255.255.1', 4],
  ['2001:4860:4860::8888', 6],
  ['2400:cb00::1', 6],
  ['2a00:1450:4001::1', 6],
];

/** What a record says, taken out of the reader's own object (shared and mutable, so it never leaves this file). */
interface Reading {
  readonly country: Country | null;
  readonly note: string | undefined;
}

/**
 * Opens, reads whole and checks one file. `origin` is what to call its place (default: the path).
 * Throws BouncerError `database_unusable`, whose message names the path and the remedy.
 */
export async function openMmdb(path: string, origin = path): Promise<CountrySource> {
  const source = new MmdbSource(await readMmdb(path), path, origin);
  checkCanaries(path, source);
  return source;
}

class MmdbSource implements CountrySource {
  readonly name: string;
  readonly origin: string;
  readonly vendor: string | null;
  readonly builtAtMs: number | null;
  readonly #reader: Reader<CountryResponse>;
  readonly #ipv4Only: boolean;

  constructor(reader: Reader<CountryResponse>, path: string, origin: string) {
    const { databaseType, ipVersion, buildEpoch } = reader.metadata;
    const file = basename(path);
    this.name = GENERIC_TYPE.test(databaseType) ? file.replace(/\.mmdb$/i, '') : databaseType;
    this.origin = origin;
    this.vendor = vendorOf(databaseType, file);
    this.builtAtMs = buildEpoch.getTime() > 0 ? buildEpoch.getTime() : null;
    this.#reader = reader;
    this.#ipv4Only = ipVersion === 4;
  }

  lookup(ip: string, family: AddressFamily): Answer {
    // The reader would walk the first 32 bits of an IPv6 address through an IPv4 tree, and answer.
    if (family === 6 && this.#ipv4Only) return { country: null, network: null, note: 'no_ipv6' };
    const [record, prefix] = this.#reader.getWithPrefixLength(ip);
    if (record === null) return { country: null, network: null };
    const { country, note } = readingOf(record);
    return { country, network: networkText(ip, prefix), note };
  }
}

/** The country of a record. Where only the registration's country is known, that is a note and no answer. */
function readingOf(record: unknown): Reading {
  const code = codeOf(record);
  const registered = registeredNote(record, code);
  if (code === undefined) return { country: null, note: registered };
  const { country = null, note = registered } = normaliseCountry(code);
  return { country, note };
}

/** MaxMind and DB-IP: `country.iso_code`. ip-location-db and IPinfo: `country_code`, or a bare string. */
function codeOf(record: unknown): unknown {
  if (!isMap(record)) return record;
  const country = record.country;
  return (
    (isMap(country) ? country.iso_code : undefined) ?? record.country_code ?? (isMap(country) ? undefined : country)
  );
}

function registeredNote(record: unknown, code: unknown): string | undefined {
  const registered = isMap(record) ? record.registered_country : undefined;
  if (!isMap(registered) || registered.iso_code === code) return undefined;
  const { country } = normaliseCountry(registered.iso_code);
  return country === undefined ? undefined : `registered:${country}`;
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

/** None may throw; and where there are records, at least one must hold a country that we can read. */
function checkCanaries(path: string, source: CountrySource): void {
  let answers: Answer[];
  try {
    answers = CANARIES.map(([ip, family]) => source.lookup(ip, family));
  } catch (cause) {
    throw damaged(path, cause);
  }
  const records = answers.filter((answer) => answer.network !== null);
  if (records.length > 0 && records.every(holdsNoCode))
    throw unusable(
      path,
      'has records without a country in a known field: name a database of MaxMind, DB-IP or their layout.',
    );
}

/** A code that is no country (`pseudo:EU`, a registration's) is one all the same: the field is where we look for it. */
function holdsNoCode({ country, note }: Answer): boolean {
  return country === null && (note === undefined || note === 'unknown_code');
}
