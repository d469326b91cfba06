/**
 * One `.mmdb` file as a source: of countries (MaxMind's, DB-IP's, IPinfo's and ip-location-db's layouts, city files too), of
 * flags (anonymous-IP files) or of networks (ASN files). How a file is read and refused: mmdb-file.ts.
 */

import { basename } from 'node:path';
import { blockOfWords, wordsOf } from '../domain/address.ts';
import type { AddressFamily } from '../domain/types.ts';
import { type Canaries, firstWrong, verdictOn } from './canaries.ts';
import { damaged, type MmdbFile, readMmdb, unusable, unusableForNow } from './mmdb-file.ts';
import { type Reading, readingOf } from './mmdb-reading.ts';
import { type Answer, GENERIC_TYPE, type Source, type SourceRole, vendorOf } from './source.ts';

/** About 1 MB of small objects at most. A country file holds a few hundred records, a city file millions. */
const MAX_CACHED = 4096;

/** In this order: an anonymiser file may have a country in its name, and one of AS numbers is no place. */
const ROLES: readonly (readonly [RegExp, SourceRole])[] = [
  [/anonym|proxy|vpn|privacy/i, 'flags'],
  [/country|city|enterprise|insights|location/i, 'country'],
  [/asn|isp|autonomous/i, 'network'],
];

/** A file of so many nodes is of a continent or the whole world, and must know some of it. (Published ones have a million.) */
const WORLD_NODES = 100_000;

export interface OpenMmdbOptions {
  /** What to call its place. Default: the path. */
  readonly origin?: string | undefined;
  readonly canaries?: Canaries | undefined;
  /** The source that this file is to replace: it must be of the same type and about the same size, and not older. */
  readonly previous?: Source | null | undefined;
  /** A file that says it was built well after this, milliseconds since the epoch, is refused. Null: not asked. Default now. */
  readonly nowMs?: number | null | undefined;
}

/**
 * Opens, reads whole and checks one file. Throws BouncerError `database_unusable`, whose message names the path and the
 * remedy.
 */
export async function openMmdb(path: string, options: OpenMmdbOptions = {}): Promise<MmdbSource> {
  const file = await readMmdb(path);
  const role = ROLES.find(([pattern]) => pattern.test(file.metadata.databaseType))?.[1] ?? roleByRecords(file);
  if (role === undefined)
    throw unusable(path, 'holds no countries (its type is another): name a country or city database.');
  const source = new MmdbSource(file, role, path, options.origin ?? path);
  const previous = options.previous instanceof MmdbSource ? options.previous : null;
  checkBuilt(path, source, options.nowMs === undefined ? Date.now() : options.nowMs);
  if (previous !== null) checkSuccessor(path, source, previous);
  checkFields(path, file, role);
  if (role === 'country') checkCanaries(path, source, previous, options.canaries ?? {});
  return source;
}

export class MmdbSource implements Source {
  readonly kind = 'mmdb';
  readonly role: SourceRole;
  readonly name: string;
  readonly origin: string;
  readonly vendor: string | null;
  readonly builtAtMs: number | null;
  readonly type: string;
  readonly nodeCount: number;
  readonly #file: MmdbFile;
  readonly #readings = new Map<number, Reading>();

  constructor(file: MmdbFile, role: SourceRole, path: string, origin: string) {
    const { databaseType, buildEpoch, nodeCount } = file.metadata;
    const name = basename(path);
    this.name = GENERIC_TYPE.test(databaseType) ? name.replace(/\.mmdb$/i, '') : databaseType;
    this.role = role;
    this.origin = origin;
    this.vendor = vendorOf(databaseType, name);
    this.builtAtMs = buildEpoch.getTime() > 0 ? buildEpoch.getTime() : null;
    this.type = databaseType;
    this.nodeCount = nodeCount;
    this.#file = file;
  }

  /** Has it a word of no address at all? */
  get isEmpty(): boolean {
    return this.#file.offsets.size === 0;
  }

  /** Has it a word of any address of the family? */
  holds(family: AddressFamily): boolean {
    return this.#file.tree.holds(family);
  }

  lookup(ip: string, family: AddressFamily): Answer {
    const { tree } = this.#file;
    if (family === 6 && tree.ipVersion === 4) return { country: null, network: null, note: 'no_ipv6' };
    const words = wordsOf(ip, family);
    const offset = words === null ? -1 : tree.find(words, family);
    if (offset === -1) return { country: null, network: null };
    const reading = this.#readings.get(offset) ?? this.#read(offset);
    const network = blockOfWords(family, tree.depth);
    return { country: reading.country, network, note: reading.note, details: reading.details };
  }

  #read(offset: number): Reading {
    const reading = readingOf(this.#file.record(offset), this.role);
    // What does not fit is decoded each time: an LRU costs more than it saves.
    if (this.#readings.size < MAX_CACHED) this.#readings.set(offset, reading);
    return reading;
  }
}

function checkSuccessor(path: string, next: MmdbSource, previous: MmdbSource): void {
  if (next.type !== previous.type) throw unusable(path, 'is now of another type: put the right file there.');
  if ((next.builtAtMs ?? 0) < (previous.builtAtMs ?? 0))
    throw unusable(path, 'is older than the one in use: put a newer one there, or restart to go back.');
  const ratio = next.nodeCount / previous.nodeCount;
  if (ratio < 0.5 || ratio > 2)
    throw unusable(path, 'is less than half, or more than twice, of the one in use: check it, and restart to take it.');
  if (next.isEmpty && !previous.isEmpty)
    throw unusable(path, 'holds no records, and the one in use does: download it again.');
}

/** Our clock or a vendor's may be wrong by a day. */
const MAX_AHEAD_MS = 2 * 86_400_000;

/** It would never grow stale, and every good file after it would be an older one. */
function checkBuilt(path: string, { builtAtMs }: MmdbSource, nowMs: number | null): void {
  if (nowMs !== null && builtAtMs !== null && builtAtMs > nowMs + MAX_AHEAD_MS)
    throw unusableForNow(
      path,
      'was built in the future, as it says: check the clock of this machine, or download it again.',
    );
}

const FIELDS: Readonly<Record<SourceRole, string>> = {
  country: 'a country',
  override: 'a country',
  flags: 'a flag',
  network: 'a network',
};

/** Where there are records, at least one must hold, in a field that we know, what the file is for. */
function checkFields(path: string, { offsets, record }: MmdbFile, role: SourceRole): void {
  if (offsets.size === 0) return;
  for (const offset of offsets) if (isOfUse(readingOf(record(offset), role), role)) return;
  throw unusable(
    path,
    `has records without ${FIELDS[role]} in a known field: name a database of MaxMind, DB-IP or their layout.`,
  );
}

/** Of the records of a file whose type says nothing, so many are looked at, and half of them must hold the same thing. */
const MAX_ASKED = 1000;

function roleByRecords({ offsets, record }: MmdbFile): SourceRole | undefined {
  const asked: number[] = [];
  for (const offset of offsets) if (asked.push(offset) >= MAX_ASKED) break;
  const holds = (role: SourceRole) => asked.filter((offset) => isOfUse(readingOf(record(offset), role), role)).length;
  return asked.length === 0 ? undefined : BY_RECORDS.find((role) => 2 * holds(role) >= asked.length);
}

/** A country first: a file that has both says with it whose network that is. */
const BY_RECORDS: readonly SourceRole[] = ['country', 'flags', 'network'];

function isOfUse({ country, note, details }: Reading, role: SourceRole): boolean {
  if (role === 'flags') return details?.flags !== undefined;
  if (role === 'network') return details?.asn !== undefined || details?.holder !== undefined;
  // A code that is no country (`pseudo:EU`, a registration's) is one all the same: the field is where we look for it.
  return country !== null || (note !== undefined && note !== 'unknown_code');
}

function checkCanaries(path: string, source: MmdbSource, previous: MmdbSource | null, own: Canaries): void {
  try {
    const verdict = verdictOn(source);
    // To know nothing is as bad as to be wrong: a hollow file has a sound tree, and records without a country. One of a single
    // continent knows too few to tell; but not where the file before it knew the world.
    const isBad = verdict === 'wrong' || verdict === 'knows_none';
    const isWorse = verdict !== 'right' && previous !== null && verdictOn(previous) === 'right';
    if (isWorse || (isBad && source.nodeCount >= WORLD_NODES)) throw new RangeError('wrong countries, or none');
  } catch (cause) {
    throw damaged(path, cause);
  }
  // A file of one family says nothing of the other. One that has lost a family is asked about it, as is one without any.
  const hasNone = !source.holds(4) && !source.holds(6);
  const isAsked = (family: AddressFamily) => hasNone || source.holds(family) || previous?.holds(family) === true;
  const wrong = firstWrong(source, own, isAsked);
  if (wrong !== null) throw unusable(path, `gives another country than the canary for ${wrong}: check the file.`);
}
