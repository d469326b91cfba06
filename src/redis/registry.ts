import type { Redis } from 'ioredis';
import type { LoginEvent } from '../domain/types.ts';
import type { LoginEntry, Registry } from '../ports.ts';
import { type Keys, tagOf, userTag } from './keys.ts';
import { loadScript, runScript } from './script.ts';

const scripts = {
  register: loadScript('register-2'),
  located: loadScript('located-1'),
  prune: loadScript('prune-2'),
  epoch: loadScript('epoch-2'),
};

/** A first save follows its enrolment within one command's time limit: so long nothing that is absent counts as dead. */
export const ABSENT_GRACE_MS = 300_000;

/** Untrusted text is cut again here: there is one such value a login. */
const MAX_USER_AGENT = 256;

/**
 * Per user: a sorted set of login ids by their absolute end, and a hash with three fields a login: what was reported
 * (`<lid>`), its newest id (`<lid>/h`, rewritten by each enrolment) and where the worker located it (`<lid>/c`). Both are
 * hints; the session's own key and the login's mark are the truth.
 */
export function redisRegistry(redis: Redis, keys: Keys): Registry {
  const where = (tag: string) => [keys.userLogins(tag), keys.userEntries(tag)];
  const take = (tag: string, dead: readonly Row[]) =>
    dead.length === 0
      ? Promise.resolve(0)
      : (runScript(
          redis,
          scripts.prune,
          where(tag),
          dead.flatMap(({ lid, newest }) => [lid, newest]),
        ) as Promise<number>);

  return {
    async add(login, nowMs, endsAtMs) {
      const { lid, handle, userId, loginAtMs } = login;
      const times = [whole(nowMs), whole(endsAtMs), whole(loginAtMs)];
      await runScript(redis, scripts.register, where(userTag(userId)), [lid, handle, ...times, describe(login)]);
    },
    async located(notes) {
      const note = ({ userId, lid, countries }: (typeof notes)[number]) =>
        runScript(redis, scripts.located, [keys.userEntries(userTag(userId))], [lid, countries.join('|')]);
      await Promise.all(notes.map(note));
    },
    async list(userId, nowMs) {
      const tag = userTag(userId);
      const { live, dead } = await look(redis, keys, tag, nowMs);
      // Behind the answer; a failure leaves them to the next list or sweep.
      take(tag, dead).catch(() => {});
      return live.map((one) => ({ ...entryOf(one), userId })).sort((a, b) => a.loginAtMs - b.loginAtMs);
    },
    async find(lid, nowMs) {
      const row = await rowOf(redis, keys, lid);
      if (row === null) return phpLogin(redis, keys, lid);
      const [life, ids] = await Promise.all([lifeOf(redis, keys, row, nowMs), redis.exists(keys.loginIds(lid))]);
      return { ...entryOf(row), live: life === 'live', kept: ids > 0 };
    },
    isOf: (lid, userId) => tagOf(lid) === userTag(userId),
    async all(userId) {
      return (await rowsOf(redis, keys, userTag(userId))).filter(isKnown).map(entryOf);
    },
    async bar(userId, atMs, ttlMs) {
      const tag = userTag(userId);
      const args = [whole(atMs), whole(ttlMs)];
      const reply = await runScript(redis, scripts.epoch, [keys.epoch(tag), keys.userLogins(tag)], args);
      const fields = await redis.hgetall(keys.userEntries(tag));
      return (reply as string[])
        .map((lid) => row(lid, '0', fields))
        .filter(isKnown)
        .map(entryOf);
    },
    async prune(tag, nowMs) {
      const { live, dead, pending } = await look(redis, keys, tag, nowMs);
      return { kept: live.length + pending.length, removed: await take(tag, dead) };
    },
  };
}

/** What stands in the registry of one login. */
interface Row {
  readonly lid: string;
  readonly endsAtMs: number;
  /** The stored value of its newest id, whole: what a removal is compared with. */
  readonly newest: string;
  readonly reported: string | undefined;
  readonly countries: string | undefined;
}

function row(lid: string, score: string, fields: Record<string, string>): Row {
  const newest = fields[`${lid}/h`] ?? '';
  return { lid, endsAtMs: Number(score), newest, reported: fields[lid], countries: fields[`${lid}/c`] };
}

/**
 * A login at a PHP site is on no user's list: PHP keeps the ids that it has had. Whether it lives, its mark says; whose it is,
 * only PHP knows.
 */
async function phpLogin(
  redis: Redis,
  keys: Keys,
  lid: string,
): Promise<(LoginEntry & { live: boolean; kept: boolean }) | null> {
  const [handle] = await redis.hkeys(keys.phpIds(lid));
  if (handle === undefined) return null;
  const nothing = { userId: null, loginAtMs: 0, endsAtMs: 0, address: null, countries: [] };
  return { lid, handle, ...nothing, live: true, kept: true };
}

async function rowOf(redis: Redis, keys: Keys, lid: string): Promise<Row | null> {
  const tag = tagOf(lid);
  const [score, [reported, newest, countries]] = await Promise.all([
    redis.zscore(keys.userLogins(tag), lid),
    redis.hmget(keys.userEntries(tag), lid, `${lid}/h`, `${lid}/c`),
  ]);
  if (!newest) return null;
  return { lid, endsAtMs: Number(score), newest, reported: reported ?? undefined, countries: countries ?? undefined };
}

/**
 * Which of a user's logins live: the index, then one look at each login's newest id, all in one go. Where the newest id
 * has ended but the login has had others (two tabs that moved at the same time), those are looked at too.
 */
async function look(redis: Redis, keys: Keys, tag: string, nowMs: number) {
  const rows = await rowsOf(redis, keys, tag);
  const lives = await Promise.all(rows.map((one) => lifeOf(redis, keys, one, nowMs)));
  const which = (life: Life) => rows.filter((_, i) => lives[i] === life);
  return { live: which('live'), dead: which('dead'), pending: which('pending') };
}

/** One that a list took out between two reads had ended. */
function isKnown({ newest }: Row): boolean {
  return newest !== '';
}

async function rowsOf(redis: Redis, keys: Keys, tag: string): Promise<Row[]> {
  const [scores, fields] = await Promise.all([
    redis.zrangebyscore(keys.userLogins(tag), '-inf', '+inf', 'WITHSCORES'),
    redis.hgetall(keys.userEntries(tag)),
  ]);
  const rows: Row[] = [];
  for (let i = 0; i < scores.length; i += 2) rows.push(row(scores[i] ?? '', scores[i + 1] ?? '0', fields));
  return rows;
}

/** `pending`: not there yet, or no longer for a moment; neither shown nor removed. */
type Life = 'live' | 'dead' | 'pending';

async function lifeOf(redis: Redis, keys: Keys, one: Row, nowMs: number): Promise<Life> {
  if (one.endsAtMs <= nowMs) return 'dead';
  const [life, ids] = await Promise.all([newestOf(redis, keys, one, nowMs), redis.scard(keys.loginIds(one.lid))]);
  return life === 'dead' && ids > 1 && (await anotherLives(redis, keys, one.lid)) ? 'live' : life;
}

async function newestOf(redis: Redis, keys: Keys, { newest }: Row, nowMs: number): Promise<Life> {
  const [handle = '', enrolledAt = '0'] = newest.split(' ');
  if (handle === '') return 'dead';
  const { kind, atMs } = await valueAt(redis, keys, handle);
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
 * moved. Reads the first bytes only.
 */
async function valueAt(redis: Redis, keys: Keys, handle: string): Promise<{ kind: string; atMs: number | null }> {
  const [, kind, at] = VALUE.exec(await redis.getrange(keys.session(handle), 0, 90)) ?? [];
  return { kind: kind ?? 'absent', atMs: at === undefined ? null : Number(at) };
}

interface Reported {
  readonly u: string;
  readonly ip: string | null;
  readonly a?: string;
  readonly d?: string;
}

function describe({ userId, address, userAgent, deviceId }: LoginEvent): string {
  const reported: Reported = {
    u: userId,
    ip: address,
    ...(userAgent === undefined ? {} : { a: userAgent.slice(0, MAX_USER_AGENT) }),
    ...(deviceId === undefined ? {} : { d: deviceId }),
  };
  return JSON.stringify(reported);
}

function entryOf({ lid, endsAtMs, newest, reported, countries }: Row): LoginEntry {
  const [handle = '', , startedAt = '0'] = newest.split(' ');
  const { u, ip, a, d } = reported === undefined ? ({} as Partial<Reported>) : (JSON.parse(reported) as Reported);
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
  };
}

function whole(ms: number): string {
  return String(Math.max(1, Math.trunc(ms)));
}
