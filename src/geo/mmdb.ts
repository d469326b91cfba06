/**
 * One `.mmdb` file as a source. The reader inside `maxmind` validates nothing: a truncated file, another type of
 * database or a web page may all "open". So everything is checked here, once, before the first answer.
 *
 * Not used on purpose: `maxmind.open` with `watchForUpdates` (a bad file on disk ends the process) and its LRU cache.
 */

import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { type CountryResponse, Reader } from 'maxmind';
import { normaliseCountry } from '../domain/country.ts';
import type { AddressFamily, Country } from '../domain/types.ts';
import { BouncerError } from '../errors.ts';
import { type Answer, type CountrySource, GENERIC_TYPE, networkText, vendorOf } from './source.ts';

/** Precedes the metadata map, which stands within the last 128 KiB (MaxMind DB format 2.0). */
const METADATA_MARKER = Buffer.from('\xab\xcd\xefMaxMind.com', 'latin1');
const METADATA_MAX_BYTES = 128 * 1024;
/** Zero bytes between the search tree and the data. */
const SEPARATOR_BYTES = 16;

/** About 1 MB of small objects at most. */
const MAX_CACHED_RECORDS = 4096;

/** Types whose records say where an address is. ASN, ISP, anonymiser and domain databases are none of them. */
const LOCATION_TYPE = /country|city|enterprise|insights|location/i;

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
  const bytes = await readWhole(path);
  refuseForeign(path, bytes);
  const reader = openReader(path, bytes);
  checkStructure(path, bytes, reader);
  checkType(path, reader);
  const source = new MmdbSource(reader, path, origin);
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

function unusable(path: string, what: string, cause?: unknown): BouncerError {
  return new BouncerError('database_unusable', `The database ${path} ${what}`, cause === undefined ? {} : { cause });
}

async function readWhole(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (cause) {
    throw unusable(path, 'cannot be read: check that the file exists and that this process may read it.', cause);
  }
}

/** What a failed download or a forgotten unpacking leaves behind. */
function refuseForeign(path: string, bytes: Buffer): void {
  if (bytes.length === 0) throw unusable(path, 'is empty: download it again.');
  if (bytes[0] === 0x1f && bytes[1] === 0x8b)
    throw unusable(path, 'is compressed (gzip): unpack it, and name the .mmdb file.');
  if (bytes.toString('latin1', 0, 4) === 'PK\x03\x04')
    throw unusable(path, 'is a zip archive: unpack it, and name the .mmdb file.');
  if (/^\s*[<{]/.test(bytes.toString('latin1', 0, 64)))
    throw unusable(
      path,
      'is a web page or message, not a database: the download was refused; check its address and key.',
    );
  if (bytes.subarray(-METADATA_MAX_BYTES).lastIndexOf(METADATA_MARKER) === -1)
    throw unusable(path, 'is truncated, or no .mmdb file at all: download it again.');
}

function openReader(path: string, bytes: Buffer): Reader<CountryResponse> {
  try {
    return new Reader<CountryResponse>(bytes, { cache: recordCache() });
  } catch (cause) {
    throw damaged(path, cause);
  }
}

/**
 * Decoding a record costs as much as finding it, and a country file holds a few hundred of them. Bounded, for a city
 * file holds millions: what does not fit is decoded each time. (An LRU costs more than it saves.)
 */
function recordCache() {
  const records = new Map<string | number, unknown>();
  return {
    get: (offset: string | number): unknown => records.get(offset),
    set: (offset: string | number, record: unknown): void => {
      if (records.size < MAX_CACHED_RECORDS) records.set(offset, record);
    },
  };
}

function damaged(path: string, cause?: unknown): BouncerError {
  return unusable(path, 'is damaged: download it again.', cause);
}

/** The metadata stands at the end, so a file with a hole in it still has one: the tree must end where it says. */
function checkStructure(path: string, bytes: Buffer, reader: Reader<CountryResponse>): void {
  const { binaryFormatMajorVersion, ipVersion, nodeCount, searchTreeSize } = reader.metadata;
  if (binaryFormatMajorVersion !== 2 || (ipVersion !== 4 && ipVersion !== 6)) throw damaged(path);
  if (!Number.isInteger(nodeCount) || nodeCount < 1) throw damaged(path);
  const separator = bytes.subarray(searchTreeSize, searchTreeSize + SEPARATOR_BYTES);
  const dataEnd = bytes.lastIndexOf(METADATA_MARKER);
  if (searchTreeSize + SEPARATOR_BYTES > dataEnd || separator.some((byte) => byte !== 0)) throw damaged(path);
}

function checkType(path: string, reader: Reader<CountryResponse>): void {
  const type: unknown = reader.metadata.databaseType;
  if (typeof type !== 'string' || type.length > 128) throw damaged(path);
  if (!LOCATION_TYPE.test(type))
    throw unusable(path, 'holds no countries (its type is another): name a country or city database.');
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
