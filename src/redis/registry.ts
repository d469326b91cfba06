import type { Redis } from 'ioredis';
import type { LoginEvent } from '../domain/types.ts';
import type { LoginEntry, Registry } from '../ports.ts';
import { type Keys, userTag } from './keys.ts';
import { isKnown, lifeOf, look, MAX_LOOKS, type Row, rowFrom, rowOf, rowsOf } from './registry-look.ts';
import { loadScript, runScript } from './script.ts';

const scripts = {
  register: loadScript('register-2'),
  located: loadScript('located-1'),
  prune: loadScript('prune-2'),
  epoch: loadScript('epoch-2'),
};

/** Untrusted text is cut again here: there is one such value a login. */
const MAX_USER_AGENT = 256;

/**
 * Per user: a sorted set of login ids by their absolute end, and a hash with three fields a login: what was reported
 * (`<lid>`), its newest id (`<lid>/h`, rewritten by each enrolment) and where the worker located it (`<lid>/c`). Both are
 * hints; the session's own key and the login's mark are the truth.
 */
export function redisRegistry(redis: Redis, keys: Keys, maxLooks = MAX_LOOKS): Registry {
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
      const { live, dead } = await look(redis, keys, tag, nowMs, maxLooks);
      // Behind the answer; a failure leaves them to the next list or sweep.
      take(tag, dead).catch(() => {});
      return live.map((one) => ({ ...entryOf(one), userId })).sort((a, b) => a.loginAtMs - b.loginAtMs);
    },
    async find(lid, nowMs) {
      const row = await rowOf(redis, keys, lid);
      if (row === null) return phpLogin(redis, keys, lid);
      return { ...entryOf(row), live: (await lifeOf(redis, keys, row, nowMs)) === 'live' };
    },
    async all(userId) {
      return (await rowsOf(redis, keys, userTag(userId))).filter(isKnown).map(entryOf);
    },
    async bar(userId, atMs, ttlMs) {
      const tag = userTag(userId);
      const args = [whole(atMs), whole(ttlMs)];
      const reply = await runScript(redis, scripts.epoch, [keys.epoch(tag), keys.userLogins(tag)], args);
      const fields = await redis.hgetall(keys.userEntries(tag));
      return (reply as string[])
        .map((lid) => rowFrom(lid, '0', fields))
        .filter(isKnown)
        .map(entryOf);
    },
    async prune(tag, nowMs) {
      const { live, dead, pending } = await look(redis, keys, tag, nowMs, maxLooks);
      return { kept: live.length + pending.length, removed: await take(tag, dead) };
    },
  };
}

/**
 * A login at a PHP site is on no user's list: PHP keeps the ids that it has had. Whether it lives, its mark says; whose it is,
 * only PHP knows.
 */
async function phpLogin(redis: Redis, keys: Keys, lid: string): Promise<(LoginEntry & { live: boolean }) | null> {
  const [handle] = await redis.hkeys(keys.phpIds(lid));
  if (handle === undefined) return null;
  const nothing = { userId: null, loginAtMs: 0, endsAtMs: 0, address: null, countries: [] };
  return { lid, handle, ...nothing, live: true };
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
