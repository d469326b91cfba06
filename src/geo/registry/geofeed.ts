/**
 * A holder's own list of where its addresses are used (RFC 8805), fetched from where the registry's entry links it (RFC 9632,
 * RFC 9877). The host is anybody's, so: https, public addresses, a deadline, a size; and only rows inside the range of
 * the entry that linked it count: nobody speaks for another one's addresses.
 */

import type { ValidAddress } from '../../domain/address.ts';
import { normaliseCountry } from '../../domain/country.ts';
import type { GeofeedWord } from '../../domain/registry.ts';
import type { GeofeedRow } from '../../ports.ts';
import { get } from './http.ts';
import { cidrRange, clippedTo, holds, type IpRange, isWithin, sizeOf, touches } from './range.ts';
import { RegistryProblem, type Transport } from './transport.ts';

/** The largest published feeds have some 3 MiB. */
export const MAX_FEED_BYTES = 8_388_608;

/** Longer lines are none. */
const MAX_LINE = 512;

/** Rows kept for one /24 or /48; a feed that has more of them there is not read to its end. */
const MAX_ROWS = 512;

/** A byte order mark, seen as ISO-8859-1. */
const MARK = /^\u00ef\u00bb\u00bf/;

export interface Feed {
  readonly rows: readonly GeofeedRow[];
  /** Why it could not be read, a fixed word. */
  readonly problem?: string | undefined;
}

/**
 * Reads the rows that touch the asked /24 or /48 and lie within the registry's range; the rest streams by. Never throws.
 */
export async function fetchFeed(
  url: string,
  address: ValidAddress,
  range: IpRange,
  { transport, signal }: { transport: Transport; signal: AbortSignal },
): Promise<Feed> {
  const wanted = clippedTo(range, address.ip, address.family);
  const rows: GeofeedRow[] = [];
  try {
    const answer = await get(url, {
      transport,
      admit: () => {},
      accept: 'text/csv, text/plain;q=0.9, */*;q=0.5',
      maxBytes: MAX_FEED_BYTES,
      signal,
    });
    try {
      if (answer.status !== 200) return { rows: [], problem: 'http_status' };
      for await (const line of linesOf(answer.body)) {
        if (!mayCount(line, range)) continue;
        const row = readRow(line);
        if (row === null || !counts(row, range, wanted)) continue;
        if (rows.push(row) > MAX_ROWS) return { rows: [], problem: 'too_many_rows' };
      }
    } finally {
      answer.close();
    }
    return { rows };
  } catch (error) {
    return { rows: [], problem: error instanceof RegistryProblem ? error.reason : 'unreadable' };
  }
}

/** Lines without their ends; what is longer than a row can be is passed over, and never held. */
async function* linesOf(body: AsyncIterable<Buffer>): AsyncGenerator<string> {
  let rest = '';
  let isTooLong = false;
  for await (const chunk of body) {
    const parts = chunk.toString('latin1').split('\n');
    const last = parts.pop() ?? '';
    for (const part of parts) {
      const line = rest + part;
      if (!isTooLong && line.length <= MAX_LINE) yield line;
      rest = '';
      isTooLong = false;
    }
    rest += last;
    isTooLong ||= rest.length > MAX_LINE;
    if (isTooLong) rest = '';
  }
  if (!isTooLong && rest !== '') yield rest;
}

/** `prefix,country,region,city,postal`; only the first two are read. An empty country: "do not locate" (section 2.1.1.2). */
function readRow(line: string): GeofeedRow | null {
  const [first = '', second = ''] = line.split(',', 2);
  const prefix = first.replace(MARK, '').trim();
  if (prefix === '' || prefix.startsWith('#')) return null;
  const code = second.replace(/#.*$/, '').trim();
  const { country, note } = code === '' ? { note: 'withheld' } : normaliseCountry(code);
  return { prefix, country: country ?? null, ...(note === undefined ? {} : { note }) };
}

/** By its first group alone: of half a million lines nearly all are somewhere else, and need no closer look. */
function mayCount(line: string, { family, first, last }: IpRange): boolean {
  const [radix, shift] = family === 4 ? [10, 24n] : [16, 112n];
  const lead = Number.parseInt(line.replace(MARK, ''), radix);
  return Number(first >> shift) <= lead && lead <= Number(last >> shift);
}

function counts(row: GeofeedRow, range: IpRange, wanted: IpRange): boolean {
  const rowRange = cidrRange(row.prefix);
  return rowRange !== null && isWithin(rowRange, range) && touches(rowRange, wanted);
}

/** What the feed says of one address: its longest prefix. Two rows of one prefix that differ say nothing. */
export function matchFeed(url: string, feed: Feed, address: ValidAddress): GeofeedWord {
  const host = new URL(url).hostname;
  const holding = feed.rows.flatMap((row) => {
    const range = cidrRange(row.prefix);
    return range !== null && holds(range, address.ip, address.family) ? [{ row, size: sizeOf(range) }] : [];
  });
  const smallest = holding.reduce<bigint | null>((min, { size }) => (min === null || size < min ? size : min), null);
  const best = holding.filter(({ size }) => size === smallest).map(({ row }) => row);
  const [row] = best;
  if (row === undefined) return { host, prefix: null, country: null, note: feed.problem ?? 'no_row' };
  if (best.some((other) => other.country !== row.country)) {
    return { host, prefix: row.prefix, country: null, note: 'conflict' };
  }
  return { host, prefix: row.prefix, country: row.country, ...(row.note === undefined ? {} : { note: row.note }) };
}
