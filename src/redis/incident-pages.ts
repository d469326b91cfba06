import type { Redis } from 'ioredis';
import type { IncidentQuery } from '../desk-ports.ts';
import type { IncidentRecord } from '../domain/incident.ts';
import { BouncerError } from '../errors.ts';
import type { IncidentPage } from '../ports.ts';
import { networkOn } from './incident-lists.ts';
import type { Keys } from './keys.ts';

/**
 * So many rows are looked at for one page, whatever is asked for. Where several things are asked for at once, a page may be
 * short, even empty, and still have a cursor: whoever wants to know goes on looking, and nothing ever walks a million rows.
 */
export const ROWS_PER_PAGE = 2000;

/** The first look takes what a page needs; where little of it fits, the next ones take more. */
const MOST_AT_ONCE = 500;

/** Where a page ended: the score and case number of its last row. The same on every list. */
interface Position {
  readonly score: string;
  readonly id: string;
}

/** Reads these records, in order; null where there is none (any more) or where it does not fit. */
export type ReadMatching = (
  caseIds: readonly string[],
  fits: (one: Omit<IncidentRecord, 'visits' | 'visitCount'>) => boolean,
) => Promise<(IncidentRecord | null)[]>;

export async function incidentPage(
  redis: Redis,
  keys: Keys,
  read: ReadMatching,
  query: IncidentQuery,
  limit: number,
  cursor: string | null,
): Promise<IncidentPage> {
  const found: IncidentRecord[] = [];
  let position = cursor === null ? null : parseCursor(cursor);
  const key = await narrowest(redis, keys, query);
  let looked = 0;
  for (let count = limit + 1; looked < ROWS_PER_PAGE; count = Math.max(count, Math.min(4 * count, MOST_AT_ONCE))) {
    const { rows, isLast } = await rowsAfter(redis, key, position, query, Math.min(count, ROWS_PER_PAGE - looked));
    const records = await read(
      rows.map((row) => row.id),
      (one) => matches(one, query),
    );
    for (const [i, row] of rows.entries()) {
      if (found.length === limit) return { incidents: found, cursor: cursorAt(position) };
      position = row;
      const one = records[i];
      if (one) found.push(one);
    }
    if (isLast) return { incidents: found, cursor: null };
    looked += rows.length;
  }
  return { incidents: found, cursor: cursorAt(position) };
}

/** The shortest list that holds every match; what it cannot tell is checked on the record. */
async function narrowest(redis: Redis, keys: Keys, query: IncidentQuery): Promise<string> {
  const lists = listsFor(keys, query);
  const [first = keys.incidentsAll(), ...others] = lists;
  if (others.length === 0) return first;
  const [min, max] = rangeOf(query);
  const lengths = await Promise.all(lists.map((list) => redis.zcount(list, min, max)));
  return lists[lengths.indexOf(Math.min(...lengths))] ?? first;
}

function listsFor(keys: Keys, query: IncidentQuery): string[] {
  const { status, action, reason, country, userId, address, network, brake } = query;
  const list = <T extends string>(value: T | undefined, key: (value: T) => string) =>
    value === undefined ? [] : [key(value)];
  return [
    ...list(userId, keys.incidentsByUser),
    ...list(address, keys.incidentsByAddress),
    ...list(network, keys.incidentsByNetwork),
    ...list(country, keys.incidentsByCountry),
    ...list(reason, keys.incidentsByReason),
    // What the brake holds would have been ended.
    ...list(action ?? (brake && 'revoke'), keys.incidentsByAction),
    ...list(status, keys.incidentsByStatus),
  ];
}

function matches(one: Omit<IncidentRecord, 'visits' | 'visitCount'>, query: IncidentQuery): boolean {
  const { sighting } = one;
  const is = (wanted: string | undefined, value: string | null) => wanted === undefined || wanted === value;
  return (
    is(query.status, one.status) &&
    is(query.action, one.action) &&
    is(query.reason, one.reason) &&
    (query.brake === undefined || one.brake === true) &&
    is(query.userId, one.userId) &&
    is(query.address, sighting.address) &&
    (query.network === undefined || query.network === networkOn(sighting)) &&
    (query.country === undefined || (sighting.kind === 'located' && sighting.candidates.includes(query.country)))
  );
}

function rangeOf({ fromMs, toMs }: IncidentQuery): [min: string, max: string] {
  return [fromMs === undefined ? '-inf' : String(fromMs), toMs === undefined ? '+inf' : `(${toMs}`];
}

/** The next rows, newest first. Rows of one millisecond are in descending order of their case number. */
async function rowsAfter(
  redis: Redis,
  key: string,
  after: Position | null,
  query: IncidentQuery,
  count: number,
): Promise<{ rows: Position[]; isLast: boolean }> {
  const [min, max] = rangeOf(query);
  const from = after === null || (query.toMs !== undefined && Number(after.score) >= query.toMs) ? max : after.score;
  for (let offset = 0; ; offset += count) {
    const flat = await redis.zrevrangebyscore(key, from, min, 'WITHSCORES', 'LIMIT', offset, count);
    const rows: Position[] = [];
    for (let i = 0; i < flat.length; i += 2) rows.push({ id: flat[i] ?? '', score: flat[i + 1] ?? '' });
    const fresh = after === null ? rows : rows.filter((row) => row.score !== after.score || row.id < after.id);
    if (fresh.length > 0 || rows.length < count) return { rows: fresh, isLast: rows.length < count };
  }
}

function cursorAt(position: Position | null): string | null {
  return position && `${position.score}.${position.id}`;
}

function parseCursor(cursor: string): Position {
  const [, score, id] = /^(\d{1,16})\.([0-9A-Z-]{1,20})$/.exec(cursor) ?? [];
  if (score === undefined || id === undefined) {
    throw new BouncerError('cursor_invalid', 'cursor: pass on the cursor of the page before, unchanged');
  }
  return { score, id };
}
