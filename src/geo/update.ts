/**
 * MaxMind's documented download (dev.maxmind.com, "Download and update databases"), with the operator's own account: one
 * request an edition, `If-Modified-Since` from the file that is there (where it is of any use), the archive compared with its
 * checksum, the one database taken out of it, checked as any other, and put into place in one step, where a running worker
 * reloads it.
 */

import { createHash, randomBytes } from 'node:crypto';
import { open, rename, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { BouncerError, errorName } from '../errors.ts';
import type { Canaries } from './canaries.ts';
import { sidecarsAfter } from './checksum.ts';
import { type MmdbSource, openMmdb } from './mmdb.ts';
import { pause } from './source.ts';
import { extractFile } from './tar.ts';

export interface UpdateOptions {
  readonly accountId: string;
  /** A secret: it is sent to `baseUrl` alone, and stands in no message. */
  readonly licenseKey: string;
  /** e.g. `GeoLite2-Country`. */
  readonly editions: readonly string[];
  readonly directory: string;
  /** The operator's own: a database that says otherwise is not taken. */
  readonly canaries?: Canaries | undefined;
  /** Default: MaxMind's server. */
  readonly baseUrl?: string | undefined;
  /** For one edition, milliseconds. Default five minutes. */
  readonly timeoutMs?: number | undefined;
}

export interface Updated {
  readonly edition: string;
  readonly path: string;
  /** `current`: the server has nothing newer. */
  readonly outcome: 'updated' | 'current';
  /** ISO 8601 day, or null where the file does not say. */
  readonly builtOn: string | null;
}

export const MAXMIND_URL = 'https://download.maxmind.com';

const MAX_ARCHIVE_BYTES = 256 * 1024 * 1024;
const MAX_UNPACKED_BYTES = 768 * 1024 * 1024;
/** The server sends downloads on to its storage. */
const MAX_REDIRECTS = 3;
const EDITION = /^[A-Za-z0-9][A-Za-z0-9-]{0,63}$/;

const unpack = promisify(gunzip);

/** One after the other; throws BouncerError `download_failed` or `database_unusable` at the first that fails. */
export async function updateDatabases(options: UpdateOptions): Promise<Updated[]> {
  const done: Updated[] = [];
  for (const edition of options.editions) {
    if (!EDITION.test(edition)) throw failed('an edition', 'is no name of one, e.g. GeoLite2-Country: correct it.');
    done.push(await updateOne(edition, options));
  }
  return done;
}

async function updateOne(edition: string, options: UpdateOptions): Promise<Updated> {
  const path = join(options.directory, `${edition}.mmdb`);
  const signal = AbortSignal.timeout(options.timeoutMs ?? 300_000);
  // Asked about a damaged file, the server would say that there is nothing newer, and it would stay.
  const since = (await presentAt(path)) === null ? null : await stat(path).catch(() => null);
  const get = (suffix: string, headers: Record<string, string>) =>
    download(edition, suffix, { ...headers, ...authorization(options) }, options.baseUrl ?? MAXMIND_URL, signal);
  const archive = await get('tar.gz', since === null ? {} : { 'if-modified-since': since.mtime.toUTCString() });
  if (archive === null) return { edition, path, outcome: 'current', builtOn: null };
  const sum = await get('tar.gz.sha256', {});
  checkSum(edition, archive.bytes, sum?.bytes.toString('latin1') ?? '');
  const builtOn = await settle(edition, path, await databaseIn(edition, archive.bytes), archive.modifiedAtMs, options);
  return { edition, path, outcome: 'updated', builtOn };
}

const authorization = ({ accountId, licenseKey }: UpdateOptions) => ({
  authorization: `Basic ${Buffer.from(`${accountId}:${licenseKey}`).toString('base64')}`,
});

interface Download {
  readonly bytes: Buffer;
  readonly modifiedAtMs: number | null;
}

/** Null: not modified. */
async function download(
  edition: string,
  suffix: string,
  headers: Record<string, string>,
  baseUrl: string,
  signal: AbortSignal,
): Promise<Download | null> {
  let url = new URL(`/geoip/databases/${edition}/download?suffix=${suffix}`, baseUrl);
  const first = url;
  for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
    // The account is for its own server only.
    const sent = url.origin === first.origin ? headers : {};
    const response = await request(edition, url, sent, signal);
    if (response.status === 304) return null;
    const next = response.status >= 300 && response.status < 400 ? response.headers.get('location') : null;
    if (next === null) return read(edition, response);
    await response.body?.cancel();
    url = redirected(edition, next, url);
  }
  throw failed(edition, 'was redirected too often: try again later.');
}

async function request(
  edition: string,
  url: URL,
  headers: Record<string, string>,
  signal: AbortSignal,
): Promise<Response> {
  try {
    return await fetch(url.href, { headers, signal, redirect: 'manual' });
  } catch (error) {
    throw failed(edition, `could not be fetched (${errorName(error)}): check the network path to ${url.hostname}.`);
  }
}

/** Never to less than what we came by: a download over https stays there. */
function redirected(edition: string, location: string, from: URL): URL {
  const to = URL.canParse(location, from.href) ? new URL(location, from) : null;
  if (to === null || (to.protocol !== 'https:' && to.protocol !== from.protocol) || !to.protocol.startsWith('http'))
    throw failed(edition, 'was redirected to what is no safe address: try again later.');
  return to;
}

const REFUSALS: Readonly<Record<number, string>> = {
  401: 'was refused: check the account id and the license key.',
  403: 'was refused: check that the account may download it, and has accepted its licence.',
  404: 'does not exist: check its name.',
  429: 'was refused: the daily limit of downloads is reached; try again tomorrow.',
};

async function read(edition: string, response: Response): Promise<Download> {
  if (response.status !== 200) {
    await response.body?.cancel();
    throw failed(edition, REFUSALS[response.status] ?? `was answered with ${response.status}: try again later.`);
  }
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const chunk of response.body ?? []) {
      size += chunk.length;
      if (size > MAX_ARCHIVE_BYTES) throw failed(edition, 'is larger than any database: it was not taken.');
      chunks.push(chunk);
    }
  } catch (error) {
    if (error instanceof BouncerError) throw error;
    throw failed(edition, `broke off (${errorName(error)}): try again.`);
  }
  const modifiedAtMs = Date.parse(response.headers.get('last-modified') ?? '');
  return { bytes: Buffer.concat(chunks), modifiedAtMs: Number.isNaN(modifiedAtMs) ? null : modifiedAtMs };
}

function checkSum(edition: string, bytes: Buffer, text: string): void {
  const expected = /^([0-9a-f]{64})(\s|$)/i.exec(text)?.[1]?.toLowerCase();
  if (expected !== createHash('sha256').update(bytes).digest('hex'))
    throw failed(edition, 'does not have the checksum that its server tells: try again.');
}

async function databaseIn(edition: string, archive: Buffer): Promise<Buffer> {
  let tar: Buffer;
  try {
    tar = await unpack(archive, { maxOutputLength: MAX_UNPACKED_BYTES });
  } catch {
    throw failed(edition, 'is no gzip archive, or too large: try again.');
  }
  const found = extractFile(tar, `${edition}.mmdb`);
  if (found === null) throw failed(edition, 'came without a database in its archive: try again.');
  return found;
}

/**
 * Beside its place first, so that the last step is one rename; what fails a check never gets there. The checks are those of a
 * worker that has the present file in use: what it would refuse must not take that file's place, or a restart would take it.
 */
async function settle(
  edition: string,
  path: string,
  bytes: Buffer,
  modifiedAtMs: number | null,
  { canaries }: UpdateOptions,
): Promise<string | null> {
  const previous = await presentAt(path);
  const mark = `.${randomBytes(6).toString('hex')}.new`;
  const temporary = path + mark;
  // A checksum of the file before it would make every worker that starts refuse this one.
  const sidecars = await sidecarsAfter(path, bytes, pause);
  try {
    await write(temporary, bytes);
    for (const sidecar of sidecars) await write(sidecar.path + mark, sidecar.text);
    const { builtAtMs } = await openMmdb(temporary, { origin: path, previous, canaries });
    if (modifiedAtMs !== null) await utimes(temporary, modifiedAtMs / 1000, modifiedAtMs / 1000);
    await rename(temporary, path);
    for (const sidecar of sidecars) await rename(sidecar.path + mark, sidecar.path);
    return builtAtMs === null ? null : new Date(builtAtMs).toISOString().slice(0, 10);
  } catch (error) {
    for (const one of [path, ...sidecars.map((sidecar) => sidecar.path)]) await rm(one + mark, { force: true });
    if (error instanceof BouncerError) throw previous === null ? error : withRemedy(error, path);
    throw failed(edition, `could not be written (${errorName(error)}): check that ${path} may be written.`);
  }
}

async function write(path: string, content: Uint8Array | string): Promise<void> {
  const file = await open(path, 'wx', 0o644);
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Null where there is none, or none that is of any use. */
const presentAt = (path: string): Promise<MmdbSource | null> => openMmdb(path, { nowMs: null }).catch(() => null);

const withRemedy = ({ code, message }: BouncerError, path: string): BouncerError =>
  new BouncerError(
    code,
    `${message} ${path} stays as it was; to take the download all the same, remove that file first.`,
  );

function failed(edition: string, what: string): BouncerError {
  return new BouncerError('download_failed', `The download of ${edition} ${what}`);
}
