/**
 * Reads one `.mmdb` file. The reader inside `maxmind` validates nothing: a truncated file, another type of database or a
 * web page may all "open". So what a file can be asked is asked here, once, before the first answer. It has no checksum:
 * one beside it (`FILE.sha256`, `FILE.md5`) is heeded; else damage may go unseen that leaves a sound tree and readable data.
 *
 * Not used on purpose: `maxmind.open` with `watchForUpdates` (a bad file on disk ends the process) and its LRU cache.
 */

import { type FileHandle, open } from 'node:fs/promises';
import { type CountryResponse, Reader } from 'maxmind';
import { BouncerError } from '../errors.ts';
import { checkSidecar } from './checksum.ts';
import { decodeRecord } from './mmdb-record.ts';
import { checkTree, MmdbTree, SEPARATOR_BYTES } from './mmdb-tree.ts';
import { type Pause, pause } from './source.ts';

/** Precedes the metadata map, which stands within the last 128 KiB (MaxMind DB format 2.0). */
const METADATA_MARKER = Buffer.from('\xab\xcd\xefMaxMind.com', 'latin1');
const METADATA_MAX_BYTES = 128 * 1024;

export type Metadata = Reader<CountryResponse>['metadata'];

/** A file that has been read whole and found sound. */
export interface MmdbFile {
  readonly metadata: Metadata;
  readonly tree: MmdbTree;
  /** Where the records begin, from the start of the data: of a country file all, of a city file the first 20,000 met. */
  readonly offsets: ReadonlySet<number>;
  /** The record at such an offset, a fresh value. Throws when it is damaged. */
  record(offset: number): unknown;
}

/** Throws BouncerError `database_unusable`, whose message names the path and the remedy. */
export async function readMmdb(path: string, breathe: Pause = pause): Promise<MmdbFile> {
  const bytes = await readWhole(path);
  await checkSidecar(path, bytes, breathe);
  const dataEnd = findMetadata(path, bytes);
  const metadata = readMetadata(path, bytes, dataEnd);
  const dataStart = metadata.searchTreeSize + SEPARATOR_BYTES;
  checkStructure(path, bytes, metadata, dataEnd);
  const tree = new MmdbTree({ ...metadata, bytes, ipVersion: metadata.ipVersion === 4 ? 4 : 6 });
  const { problem, offsets } = await checkTree(tree, dataEnd - dataStart, breathe);
  if (problem !== null) throw damaged(path);
  const record = (offset: number): unknown => decodeRecord(bytes, dataStart + offset, dataStart, dataEnd);
  await checkRecords(path, offsets, record, breathe);
  return { metadata, tree, offsets, record };
}

export function unusable(path: string, what: string, cause?: unknown): BouncerError {
  return new BouncerError('database_unusable', `The database ${path} ${what}`, cause === undefined ? {} : { cause });
}

/** What the file itself is no reason for: our clock, our rights, a disk or a process at its limits. */
export function unusableForNow(path: string, what: string, cause?: unknown): BouncerError {
  return Object.assign(unusable(path, what, cause), { mayPass: true });
}

export const mayPass = (error: unknown): boolean => (error as { mayPass?: unknown } | null)?.mayPass === true;

export function damaged(path: string, cause?: unknown): BouncerError {
  return unusable(path, 'is damaged: download it again.', cause);
}

async function readWhole(path: string): Promise<Buffer> {
  try {
    const file = await open(path, 'r');
    try {
      return await readAll(file, (await file.stat()).size);
    } finally {
      await file.close();
    }
  } catch (cause) {
    throw unusableForNow(path, 'cannot be read: check that the file exists and that this process may read it.', cause);
  }
}

const READ_BYTES = 1024 * 1024;

/** Straight into one buffer: `readFile` gathers pieces and then copies them, and holds the file twice. */
async function readAll(file: FileHandle, size: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafeSlow(size);
  let at = 0;
  while (at < size) {
    const { bytesRead } = await file.read(bytes, at, Math.min(READ_BYTES, size - at), at);
    if (bytesRead === 0) break;
    at += bytesRead;
  }
  return bytes.subarray(0, at);
}

/** Where the data ends. Refuses what a failed download or a forgotten unpacking leaves behind. */
function findMetadata(path: string, bytes: Buffer): number {
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
  const tail = Math.max(0, bytes.length - METADATA_MAX_BYTES);
  const at = bytes.subarray(tail).lastIndexOf(METADATA_MARKER);
  if (at === -1) throw unusable(path, 'is truncated, or no .mmdb file at all: download it again.');
  return tail + at;
}

function readMetadata(path: string, bytes: Buffer, dataEnd: number): Metadata {
  try {
    const start = dataEnd + METADATA_MARKER.length;
    // Once with a budget: only what passes it is given to the library.
    decodeRecord(bytes, start, start, bytes.length);
    return new Reader(bytes).metadata;
  } catch (cause) {
    throw damaged(path, cause);
  }
}

/** The metadata stands at the end, so a file with a hole in it still has one: the tree must end where it says. */
function checkStructure(path: string, bytes: Buffer, metadata: Metadata, dataEnd: number): void {
  const { binaryFormatMajorVersion, ipVersion, nodeCount, searchTreeSize, databaseType } = metadata;
  if (binaryFormatMajorVersion !== 2 || (ipVersion !== 4 && ipVersion !== 6)) throw damaged(path);
  if (!Number.isInteger(nodeCount) || nodeCount < 1) throw damaged(path);
  if (!Number.isInteger(searchTreeSize) || searchTreeSize + SEPARATOR_BYTES > dataEnd) throw damaged(path);
  const separator = bytes.subarray(searchTreeSize, searchTreeSize + SEPARATOR_BYTES);
  if (separator.some((byte) => byte !== 0)) throw damaged(path);
  const type: unknown = databaseType;
  if (typeof type !== 'string' || type.length > 128) throw damaged(path);
}

const RECORDS_AT_A_TIME = 200;

/** Each must be readable, and of the kind that the others are: a wrong bit in a pointer leads into the middle of one. */
async function checkRecords(
  path: string,
  offsets: ReadonlySet<number>,
  record: (offset: number) => unknown,
  breathe: Pause,
): Promise<void> {
  const kinds = new Set<string>();
  let done = 0;
  try {
    for (const offset of offsets) {
      if (++done % RECORDS_AT_A_TIME === 0) await breathe();
      kinds.add(typeof record(offset));
    }
  } catch (cause) {
    throw damaged(path, cause);
  }
  if (kinds.size > 1) throw damaged(path);
}
