/** Whether a login on a user's list lives: the list is a hint, the sessions' own keys and the login's mark are the truth. */

import type { Redis } from 'ioredis';
import { type Keys, tagOf } from './keys.ts';
import { parseMark } from './logins.ts';
import { type Row, reportedOf } from './registry-rows.ts';

/** A first save follows its enrolment within one command's time limit: so long nothing that is absent counts as dead. */
export const ABSENT_GRACE_MS = 300_000;

/** `pending`: not there yet, or no longer for a moment; neither shown nor removed. */
export type Life = 'live' | 'dead' | 'pending';

/** Asks only for what the row does not say. */
export async function lifeOf(redis: Redis, keys: Keys, one: Row, nowMs: number): Promise<Life> {
  if (one.endsAtMs <= nowMs) return 'dead';
  if (reportedOf(one).p === 1) return lifeAtPhp(redis, keys, one, nowMs);
  const { another } = one;
  const [life, ids] = await Promise.all([
    newestOf(redis, keys, one, nowMs),
    one.head === undefined ? redis.scard(keys.loginIds(one.lid)) : 2,
  ]);
  if (life !== 'dead' || ids < 2) return life;
  return (another ?? (await anotherLives(redis, keys, one.lid))) ? 'live' : 'dead';
}

/**
 * PHP's sessions are out of reach here. What ends the login is known; whether PHP has let it go, the sweep of a worker finds out.
 * An end stays on the list for a moment, so that the worker which finishes it knows whose it is.
 */
async function lifeAtPhp(redis: Redis, keys: Keys, one: Row, nowMs: number): Promise<Life> {
  const [mark, epoch] = await Promise.all([redis.get(keys.loginEnd(one.lid)), redis.get(keys.epoch(tagOf(one.lid)))]);
  const end = parseMark(mark);
  if (end !== null) return nowMs - end.atMs < ABSENT_GRACE_MS ? 'pending' : 'dead';
  return Number(one.newest.split(' ')[2] ?? 0) > Number(epoch ?? 0) ? 'live' : 'dead';
}

async function newestOf(redis: Redis, keys: Keys, { newest, head }: Row, nowMs: number): Promise<Life> {
  const [handle = '', enrolledAt = '0'] = newest.split(' ');
  if (handle === '') return 'dead';
  const { kind, atMs } = head === undefined ? await valueAt(redis, keys, handle) : valueIn(head);
  if (kind === 'live') return 'live';
  // It goes on under another id, whose enrolment rewrites the entry: at once, unless the app knows nothing of logins.
  if (kind === 'moved') return atMs === null || nowMs - atMs < ABSENT_GRACE_MS ? 'live' : 'dead';
  return kind === 'absent' && nowMs - Number(enrolledAt) < ABSENT_GRACE_MS ? 'pending' : 'dead';
}

async function anotherLives(redis: Redis, keys: Keys, lid: string): Promise<boolean> {
  const handles = await redis.smembers(keys.loginIds(lid));
  const values = await Promise.all(handles.map((handle) => valueAt(redis, keys, handle)));
  return values.some(({ kind }) => kind === 'live');
}

const VALUE = /^\{"__bouncer":\{"k":"([a-z]+)"(?:,"u":"\d+","at":(\d+),"l":"[\w-])?/;

/**
 * `live`, `moved`, `logout`, `revoked`; `absent` also for a value that is not ours. `atMs`: when a session of a login
 * moved. Goes by the first bytes only.
 */
function valueIn(head: string): { kind: string; atMs: number | null } {
  const [, kind, at] = VALUE.exec(head) ?? [];
  return { kind: kind ?? 'absent', atMs: at === undefined ? null : Number(at) };
}

async function valueAt(redis: Redis, keys: Keys, handle: string) {
  return valueIn(await redis.getrange(keys.session(handle), 0, 90));
}
