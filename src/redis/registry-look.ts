import type { Redis } from 'ioredis';
import { isCluster } from './connection.ts';
import { type Keys, LID_LENGTH, tagOf } from './keys.ts';
import { loadScript, runScript } from './script.ts';

const lookScript = loadScript('look-4');

/** A first save follows its enrolment within one command's time limit: so long nothing that is absent counts as dead. */
export const ABSENT_GRACE_MS = 300_000;

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

/** `pending`: not there yet, or no longer for a moment; neither shown nor removed. */
type Life = 'live' | 'dead' | 'pending';

/**
 * Which of a user's logins live: the index, and one look at each login's newest id. Where the newest id has ended but the
 * login has had others (two tabs that moved at the same time), those are looked at too. On one server all of it is one
 * script; on a Cluster, and of a user with very many ids, what is not known yet is asked next, all in one go.
 */
export async function look(redis: Redis, keys: Keys, tag: string, nowMs: number, maxLooks: number) {
  const rows = isCluster(redis) ? await rowsOf(redis, keys, tag) : await lookedAt(redis, keys, tag, nowMs, maxLooks);
  const lives = await Promise.all(rows.map((one) => lifeOf(redis, keys, one, nowMs)));
  const which = (life: Life) => rows.filter((_, i) => lives[i] === life);
  return { live: which('live'), dead: which('dead'), pending: which('pending') };
}

/** Sessions that the script looks at while nobody else is served: some milliseconds. */
export const MAX_LOOKS = 2000;

async function lookedAt(redis: Redis, keys: Keys, tag: string, nowMs: number, maxLooks: number): Promise<Row[]> {
  const where = [keys.userLogins(tag), keys.userEntries(tag), keys.session(''), keys.loginIdsOf(tag)];
  const limits = [nowMs, tag, LID_LENGTH, maxLooks].map(String);
  const reply = (await runScript(redis, lookScript, where, limits)) as string[][];
  return reply.map(([lid = '', ends = '0', newest = '', reported, countries, head, another]) => ({
    lid,
    endsAtMs: Number(ends),
    newest,
    reported: reported || undefined,
    countries: countries || undefined,
    head: head === '-' ? undefined : head,
    another: another === '' ? undefined : another === '1',
  }));
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

export async function rowOf(redis: Redis, keys: Keys, lid: string): Promise<Row | null> {
  const tag = tagOf(lid);
  const [score, [reported, newest, countries]] = await Promise.all([
    redis.zscore(keys.userLogins(tag), lid),
    redis.hmget(keys.userEntries(tag), lid, `${lid}/h`, `${lid}/c`),
  ]);
  if (!newest) return null;
  return { lid, endsAtMs: Number(score), newest, reported: reported ?? undefined, countries: countries ?? undefined };
}

export function rowFrom(lid: string, score: string, fields: Record<string, string>): Row {
  const newest = fields[`${lid}/h`] ?? '';
  return { lid, endsAtMs: Number(score), newest, reported: fields[lid], countries: fields[`${lid}/c`] };
}

/** One that a list took out between two reads had ended. */
export function isKnown({ newest }: Row): boolean {
  return newest !== '';
}

/** Asks only for what the row does not say. */
export async function lifeOf(redis: Redis, keys: Keys, one: Row, nowMs: number): Promise<Life> {
  if (one.endsAtMs <= nowMs) return 'dead';
  const { another } = one;
  const [life, ids] = await Promise.all([
    newestOf(redis, keys, one, nowMs),
    one.head === undefined ? redis.scard(keys.loginIds(one.lid)) : 2,
  ]);
  if (life !== 'dead' || ids < 2) return life;
  return (another ?? (await anotherLives(redis, keys, one.lid))) ? 'live' : 'dead';
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
