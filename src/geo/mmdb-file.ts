/**
 * Reads one `.mmdb` file. The reader inside `maxmind` validates nothing: a truncated file, another type of database or a
 * web page may all "open". So what a file can be asked is asked here, once, before the first answer. (It has no checksum:
 * damage within the tree or the data may go unseen. See the canary lookups in mmdb.ts.)
 *
 * Not used on purpose: `maxmind.open` with `watchForUpdates` (a bad file on disk ends the process) and its LRU cache.
 */

import { readFile } from 'node:fs/promises';
import { type CountryResponse, Reader } from 'maxmind';
import { BouncerError } from '../errors.ts';

/** Precedes the metadata map, which stands within the last 128 KiB (MaxMind DB format 2.0). */
const METADATA_MARKER = Buffer.from('\xab\xcd\xefMaxMind.com', 'latin1');
const METADATA_MAX_BYTES = 128 * 1024;
/** Zero bytes between the search tree and the data. */
const SEPARATOR_BYTES = 16;

/** About 1 MB of small objects at most. */
const MAX_CACHED_RECORDS = 4096;

/** Types whose records say where an address is. ASN, ISP, anonymiser and domain databases are none of them. */
const LOCATION_TYPE = /country|city|enterprise|insights|location/i;

/** Reads it whole. Throws BouncerError `database_unusable`, whose message names the path and the remedy. */
export async function readMmdb(path: string): Promise<Reader<CountryResponse>> {
  const bytes = await readWhole(path);
  refuseForeign(path, bytes);
  const reader = openReader(path, bytes);
  checkStructure(path, bytes, reader);
  checkType(path, reader);
  return reader;
}

export function unusable(path: string, what: string, cause?: unknown): BouncerError {
  return new BouncerError('database_unusable', `The database ${path} ${what}`, cause === undefined ? {} : { cause });
}

export function damaged(path: string, cause?: unknown): BouncerError {
  return unusable(path, 'is damaged: download it again.', cause);
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
