/** A checksum beside a file: `FILE.sha256` or `FILE.md5`, as `sha256sum` and `md5sum` write them (or the bare digest). */

import { createHash } from 'node:crypto';
import { open, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { BouncerError } from '../errors.ts';
import type { Pause } from './source.ts';

const ALGORITHMS = [
  ['sha256', 64],
  ['md5', 32],
] as const;

/** About two milliseconds of work. */
const CHUNK_BYTES = 1024 * 1024;
/** A digest, a file name and a line break. */
const MAX_SIDECAR_BYTES = 4096;

export const sidecarsOf = (path: string): string[] => ALGORITHMS.map(([name]) => `${path}.${name}`);

/** Where there is a checksum, it must be right. Throws BouncerError `database_unusable`. */
export async function checkSidecar(path: string, bytes: Buffer, pause: Pause): Promise<void> {
  for (const [algorithm, digits] of ALGORITHMS) {
    const text = await readStart(`${path}.${algorithm}`);
    if (text === null) continue;
    const expected = new RegExp(`^([0-9a-f]{${digits}})(\\s|$)`, 'i').exec(text)?.[1]?.toLowerCase();
    if (expected === undefined) throw wrong(path, algorithm, 'holds no checksum');
    if (expected !== (await digest(algorithm, bytes, pause))) throw wrong(path, algorithm, 'tells another content');
  }
}

export interface Sidecar {
  readonly path: string;
  readonly text: string;
}

/** What the checksums that lie beside a file must say once these bytes have taken its place. None is made that was not there. */
export async function sidecarsAfter(path: string, bytes: Buffer, pause: Pause): Promise<Sidecar[]> {
  const after: Sidecar[] = [];
  for (const [algorithm] of ALGORITHMS) {
    const beside = `${path}.${algorithm}`;
    if (await isAbsent(beside)) continue;
    after.push({ path: beside, text: `${await digest(algorithm, bytes, pause)}  ${basename(path)}\n` });
  }
  return after;
}

/** One that cannot be looked at is there: whoever opens the database will not trust it unchecked. */
const isAbsent = (path: string): Promise<boolean> =>
  stat(path).then(
    () => false,
    (error: NodeJS.ErrnoException) => error.code === 'ENOENT',
  );

function wrong(path: string, algorithm: string, what: string): BouncerError {
  const remedy = 'download both again, or remove the checksum.';
  return new BouncerError('database_unusable', `The database ${path} is not what its .${algorithm} ${what}: ${remedy}`);
}

async function readStart(path: string): Promise<string | null> {
  let file: Awaited<ReturnType<typeof open>>;
  try {
    file = await open(path, 'r');
  } catch (error) {
    // One that is there and cannot be read is no reason to trust the file unchecked.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    return '';
  }
  try {
    const { bytesRead, buffer } = await file.read({ buffer: Buffer.alloc(MAX_SIDECAR_BYTES) });
    return buffer.toString('latin1', 0, bytesRead).trim();
  } catch {
    return '';
  } finally {
    await file.close();
  }
}

/** In pieces: the digest of a city file takes a tenth of a second. */
export async function digest(algorithm: 'sha256' | 'md5', bytes: Buffer, pause: Pause): Promise<string> {
  const hash = createHash(algorithm);
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES) {
    hash.update(bytes.subarray(at, at + CHUNK_BYTES));
    await pause();
  }
  return hash.digest('hex');
}
