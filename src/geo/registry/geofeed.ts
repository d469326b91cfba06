/**
 * A holder's own list of where its addresses are used (RFC 8805), fetched from where the registry's entry links it (RFC 9632,
 * RFC 9877). The host is anybody's, so: https, public addresses, a deadline, a size; and only rows inside the range of
 * the entry that linked it count: nobody speaks for another one's addresses.
 */

import type { ValidAddress } from '../../domain/address.ts';
import { normaliseCountry } from '../../domain/country.ts';
import type { GeofeedWord } from '../../domain/registry.ts';
import type { GeofeedRow } from '../../ports.ts';
import { unquoted, withoutComment } from '../geofeed-line.ts';
import { rdapRegistry } from './bootstrap.ts';
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
  const lead = leadOf(range);
  const rows: GeofeedRow[] = [];
  try {
    const answer = await get(url, {
      transport,
      admit: refuseRegistries,
      accept: 'text/csv, text/plain;q=0.9, */*;q=0.5',
      maxBytes: MAX_FEED_BYTES,
      signal,
    });
    try {
      if (answer.status !== 200) return { rows: [], problem: 'http_status' };
      for await (const lines of linesOf(answer.body)) {
        for (const line of lines) {
          const row = mayCount(line, lead) ? readRow(line) : null;
          if (row !== null && counts(row, range, wanted)) rows.push(row);
        }
        if (rows.length > MAX_ROWS) return { rows: [], problem: 'too_many_rows' };
      }
    } finally {
      answer.close();
    }
    return { rows };
  } catch (error) {
    return { rows: [], problem: error instanceof RegistryProblem ? error.reason : 'unreadable' };
  }
}

/** A registry's own hosts are asked within its budget alone: a holder's link must not spend our standing there. */
function refuseRegistries(host: string): void {
  if (rdapRegistry(host) !== null) throw new RegistryProblem('blocked-referral', 'host_of_a_registry');
}

/**
 * Lines without their ends, as many at once as have come (one by one, half a million of them would cost seconds). What is
 * longer than a row can be is passed over, and never held.
 */
async function* linesOf(body: AsyncIterable<Buffer>): AsyncGenerator<readonly string[]> {
  let rest = '';
  let isTooLong = false;
  for await (const chunk of body) {
    const [first = '', ...more] = chunk.toString('latin1').split('\n');
    const last = more.pop();
    const head: string = isTooLong ? '' : rest + first;
    if (last === undefined) {
      isTooLong ||= head.length > MAX_LINE;
      rest = isTooLong ? '' : head;
      continue;
    }
    yield [head, ...more].filter((line) => line.length <= MAX_LINE);
    isTooLong = last.length > MAX_LINE;
    rest = isTooLong ? '' : last;
  }
  if (rest !== '') yield [rest];
}

/** `prefix,country,region,city,postal`; only the first two are read. An empty country: "do not locate" (section 2.1.1.2). */
function readRow(line: string): GeofeedRow | null {
  const [first = '', second = ''] = withoutComment(line.replace(MARK, '')).text.split(',', 2);
  const prefix = unquoted(first);
  if (prefix === '') return null;
  const code = unquoted(second);
  const { country, note } = code === '' ? { note: 'withheld' } : normaliseCountry(code);
  return { prefix, country: country ?? null, ...(note === undefined ? {} : { note }) };
}

/** By its first group alone: of half a million lines nearly all are somewhere else, and need no closer look. */
function mayCount(line: string, { from, to, radix }: Lead): boolean {
  const first = line.charCodeAt(0);
  // A byte order mark, a quote or a blank may stand before it.
  const lead = Number.parseInt(
    first < 0x30 || first > 0x7f ? line.replace(MARK, '').replace(/^[\s"]+/, '') : line,
    radix,
  );
  return from <= lead && lead <= to;
}

/** The first groups of a range's ends: the octet of IPv4, the 16 bits of IPv6. */
interface Lead {
  readonly from: number;
  readonly to: number;
  readonly radix: 10 | 16;
}

function leadOf({ family, first, last }: IpRange): Lead {
  const shift = family === 4 ? 24n : 112n;
  return { from: Number(first >> shift), to: Number(last >> shift), radix: family === 4 ? 10 : 16 };
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
