import type { Redis } from 'ioredis';
import type { LoginEvent } from '../domain/types.ts';
import type { LoginEntry } from '../ports.ts';
import { type Keys, tagOf } from './keys.ts';

/** Untrusted text is cut again here: there is one such value a login. */
const MAX_USER_AGENT = 256;

/** What stands in the registry of one login. */
export interface Row {
  readonly lid: string;
  readonly endsAtMs: number;
  /** The stored value of its newest id, whole: what a removal is compared with. */
  readonly newest: string;
  readonly reported: string | undefined;
  readonly countries: string | undefined;
  /** Of its newest id's session, where it was looked at in the same step. */
  readonly head?: string | undefined;
  /** Does another id of it live, where that was looked at in the same step? */
  readonly another?: boolean | undefined;
}

export function rowFrom(lid: string, score: string, fields: Record<string, string>): Row {
  const newest = fields[`${lid}/h`] ?? '';
  return { lid, endsAtMs: Number(score), newest, reported: fields[lid], countries: fields[`${lid}/c`] };
}

export async function rowOf(redis: Redis, keys: Keys, lid: string): Promise<Row | null> {
  const tag = tagOf(lid);
  const [score, [reported, newest, countries]] = await Promise.all([
    redis.zscore(keys.userLogins(tag), lid),
    redis.hmget(keys.userEntries(tag), lid, `${lid}/h`, `${lid}/c`),
  ]);
  if (!newest) return null;
  return { lid, endsAtMs: Number(score), newest, reported: reported ?? undefined, countries: countries ?? undefined };
}

/** One that a list took out between two reads had ended. */
export function isKnown({ newest }: Row): boolean {
  return newest !== '';
}

export async function rowsOf(redis: Redis, keys: Keys, tag: string): Promise<Row[]> {
  const [scores, fields] = await Promise.all([
    redis.zrangebyscore(keys.userLogins(tag), '-inf', '+inf', 'WITHSCORES'),
    redis.hgetall(keys.userEntries(tag)),
  ]);
  const rows: Row[] = [];
  for (let i = 0; i < scores.length; i += 2) rows.push(rowFrom(scores[i] ?? '', scores[i + 1] ?? '0', fields));
  return rows;
}

interface Reported {
  readonly u: string;
  readonly ip: string | null;
  readonly a?: string;
  readonly d?: string;
  /** At a PHP site. */
  readonly p?: 1;
}

export function reportedOf({ reported }: Row): Partial<Reported> {
  return reported === undefined ? {} : (JSON.parse(reported) as Reported);
}

export function describe({ userId, address, userAgent, deviceId, php }: LoginEvent): string {
  const reported: Reported = {
    u: userId,
    ip: address,
    ...(userAgent === undefined ? {} : { a: userAgent.slice(0, MAX_USER_AGENT) }),
    ...(deviceId === undefined ? {} : { d: deviceId }),
    ...(php === undefined ? {} : { p: 1 as const }),
  };
  return JSON.stringify(reported);
}

export function entryOf(one: Row): LoginEntry {
  const { lid, endsAtMs, newest, countries } = one;
  const [handle = '', , startedAt = '0'] = newest.split(' ');
  const { u, ip, a, d, p } = reportedOf(one);
  return {
    lid,
    handle,
    userId: u ?? null,
    loginAtMs: Number(startedAt),
    endsAtMs,
    address: ip ?? null,
    countries: countries === undefined || countries === '' ? [] : countries.split('|'),
    ...(a === undefined ? {} : { userAgent: a }),
    ...(d === undefined ? {} : { deviceId: d }),
    ...(p === undefined ? {} : { php: true as const }),
  };
}
