/**
 * The operator's own word on networks: a CSV as of RFC 8805 (`prefix,country,region,city,`), e.g. for VPN exits and offices.
 * The longest prefix wins. An empty country (`prefix,`) means that nothing is known of the network's users. A prefix without
 * any comma is not that: RFC 8805 wants the commas (section 2.1.1), and half a line must not unlocate a network.
 *
 * A line that cannot be read is skipped and reported by its number; of two lines for one prefix the first counts.
 */

import { readFile, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { blockOfWords, parseCidr, wordsOf } from '../domain/address.ts';
import { normaliseCountry } from '../domain/country.ts';
import type { AddressFamily, Country } from '../domain/types.ts';
import { checkSidecar } from './checksum.ts';
import { unquoted, withoutComment } from './geofeed-line.ts';
import { unusable, unusableForNow } from './mmdb-file.ts';
import { type Answer, type Pause, pause, type Source } from './source.ts';

/** `no_comma`: a prefix alone. `cut`: the last line, without a line break, and no whole one: it may still be being written. */
export type BadLine = 'prefix' | 'country' | 'no_comma' | 'too_long' | 'duplicate' | 'cut';

export interface Problem {
  /** From 1. */
  readonly line: number;
  readonly what: BadLine;
}

/** Of the lines that were skipped: the first ones, and how many in all. */
export interface Skipped {
  readonly count: number;
  readonly first: readonly Problem[];
}

/** A prefix's country, or null for "do not locate". */
type Rows = Map<number | string, Country | null>;

const REPORTED = 20;
const MAX_LINE = 1024;
/** About three milliseconds of work. */
const LINES_AT_A_TIME = 2000;
/** 10 million lines take longer than anybody waits, and a file of that size is no list of own networks. */
const MAX_BYTES = 256 * 1024 * 1024;

export interface OpenOverridesOptions {
  /** The source that this file is to replace: it must be whole, and have at least half as many rows. */
  readonly previous?: Source | null | undefined;
  readonly breathe?: Pause | undefined;
}

/** Throws BouncerError `database_unusable` where the file cannot be read or no line of it can, or is no fit successor. */
export async function openOverrides(path: string, options: OpenOverridesOptions = {}): Promise<OverrideSource> {
  const { previous, breathe = pause } = options;
  const bytes = await read(path);
  await checkSidecar(path, bytes, breathe);
  const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: null }));
  const source = new OverrideSource(path, mtimeMs);
  await source.add(bytes.toString('utf8'), breathe);
  if (source.rows === 0 && source.skipped.count > 0)
    throw unusable(path, 'has no line of the form PREFIX,COUNTRY (RFC 8805): put a geofeed CSV there.');
  if (previous instanceof OverrideSource) checkSuccessor(path, source, previous);
  return source;
}

/** A file that is emptied and then written looks like this for a while; without its overrides logins would be ended. */
function checkSuccessor(path: string, next: OverrideSource, previous: OverrideSource): void {
  if (next.isCut) throw unusable(path, 'ends within a line: write it whole, with a line break at the end.');
  if (previous.rows > 0 && next.rows < previous.rows / 2)
    throw unusable(path, 'has less than half the rows of the one in use: check it, and restart to take it.');
}

async function read(path: string): Promise<Buffer> {
  try {
    const bytes = await readFile(path);
    if (bytes.length <= MAX_BYTES) return bytes;
  } catch (cause) {
    throw unusableForNow(path, 'cannot be read: check that the file exists and that this process may read it.', cause);
  }
  throw unusable(path, 'is too large for a list of overrides (256 MiB).');
}

export class OverrideSource implements Source {
  readonly kind = 'override';
  readonly role = 'override';
  readonly vendor = null;
  readonly name: string;
  readonly origin: string;
  /** The file's time: the day that its word is of. */
  readonly builtAtMs: number | null;
  rows = 0;
  /** Ends within a line. */
  isCut = false;
  #problems: Problem[] = [];
  #bad = 0;
  readonly #tables: Readonly<Record<AddressFamily, Table>> = { 4: new Table(4), 6: new Table(6) };

  constructor(path: string, builtAtMs: number | null) {
    this.name = basename(path);
    this.origin = path;
    this.builtAtMs = builtAtMs;
  }

  get skipped(): Skipped {
    return { count: this.#bad, first: this.#problems };
  }

  async add(text: string, breathe: Pause): Promise<void> {
    let from = text.startsWith('\uFEFF') ? 1 : 0;
    for (let line = 1; from < text.length; line++) {
      if (line % LINES_AT_A_TIME === 0) await breathe();
      const next = text.indexOf('\n', from);
      const end = next === -1 ? text.length : next;
      const what = end - from > MAX_LINE ? 'too_long' : this.#addLine(text.slice(from, end), next === -1);
      if (what !== null) this.#report({ line, what });
      this.isCut ||= what === 'cut';
      from = end + 1;
    }
  }

  /** A comma list: none of the first two fields may hold a comma. */
  #addLine(whole: string, isOpen: boolean): BadLine | null {
    const { text: line, hadComment } = withoutComment(whole);
    if (line === '') return null;
    const comma = line.indexOf(',');
    const second = line.indexOf(',', comma + 1);
    const isCountryWhole = comma !== -1 && (second !== -1 || line.length > comma + 2);
    // Where a comment has begun, what stands before it is written.
    if (isOpen && !hadComment && !isCountryWhole) return 'cut';
    const cidr = parseCidr(unquoted(comma === -1 ? line : line.slice(0, comma)));
    if (cidr === null) return 'prefix';
    if (comma === -1) return 'no_comma';
    const code = unquoted(line.slice(comma + 1, second === -1 ? undefined : second));
    const country = code === '' ? null : normaliseCountry(code).country;
    if (country === undefined) return 'country';
    if (!this.#tables[cidr.family].add(cidr.words, cidr.prefix, country)) return 'duplicate';
    this.rows++;
    return null;
  }

  #report(problem: Problem): void {
    this.#bad++;
    if (this.#problems.length < REPORTED) this.#problems.push(problem);
  }

  lookup(ip: string, family: AddressFamily): Answer {
    const table = this.#tables[family];
    const words = table.isEmpty ? null : wordsOf(ip, family);
    const prefix = words === null ? -1 : table.find(words);
    if (prefix === -1) return { country: null, network: null };
    const country = table.found;
    return {
      country,
      network: blockOfWords(family, prefix),
      note: country === null ? 'override:not_located' : 'override',
    };
  }
}

/** One map for each length of prefix that occurs; asked from the longest: a few steps, whatever the number of rows. */
class Table {
  found: Country | null = null;
  readonly #family: AddressFamily;
  readonly #byPrefix = new Map<number, Rows>();
  #lengths: number[] = [];

  constructor(family: AddressFamily) {
    this.#family = family;
  }

  get isEmpty(): boolean {
    return this.#lengths.length === 0;
  }

  /** False where the prefix is there already. */
  add(words: ArrayLike<number>, prefix: number, country: Country | null): boolean {
    let rows = this.#byPrefix.get(prefix);
    if (rows === undefined) {
      rows = new Map();
      this.#byPrefix.set(prefix, rows);
      this.#lengths = [...this.#byPrefix.keys()].sort((a, b) => b - a);
    }
    const key = keyOf(words, prefix, this.#family);
    if (rows.has(key)) return false;
    rows.set(key, country);
    return true;
  }

  /** The length of the longest prefix that holds the address, or -1; its country is `found`. */
  find(words: ArrayLike<number>): number {
    for (const prefix of this.#lengths) {
      const country = this.#byPrefix.get(prefix)?.get(keyOf(words, prefix, this.#family));
      if (country === undefined) continue;
      this.found = country;
      return prefix;
    }
    return -1;
  }
}

/** The first `prefix` bits. Up to 48 fit into a number; more are one character a group, half the work of a text in digits. */
function keyOf(words: ArrayLike<number>, prefix: number, family: AddressFamily): number | string {
  const bits = (at: number): number => (words[at] ?? 0) & (0xffff << (16 - clamp(prefix - at * 16))) & 0xffff;
  if (family === 4) return bits(0) * 65_536 + bits(1);
  const high = (bits(0) * 65_536 + bits(1)) * 65_536 + bits(2);
  if (prefix <= 48) return high;
  return String.fromCharCode(bits(0), bits(1), bits(2), bits(3), bits(4), bits(5), bits(6), bits(7));
}

const clamp = (bits: number): number => Math.max(0, Math.min(bits, 16));
