import type { Redis } from 'ioredis';
import type { LoginEntry, Registry } from '../ports.ts';
import { type Keys, tagOf, userTag } from './keys.ts';
import { lifeOf } from './registry-life.ts';
import { look, MAX_LOOKS } from './registry-look.ts';
import { describe, entryOf, isKnown, type Row, rowFrom, rowOf, rowsOf } from './registry-rows.ts';
import { loadScript, runScript } from './script.ts';

const scripts = {
  register: loadScript('register-2'),
  located: loadScript('located-1'),
  prune: loadScript('prune-2'),
  epoch: loadScript('epoch-2'),
};

/**
 * Per user: a sorted set of login ids by their absolute end, and a hash with three fields a login: what was reported
 * (`<lid>`), its newest id (`<lid>/h`, rewritten by each enrolment) and where the worker located it (`<lid>/c`). Both are
 * hints; the session's own key and the login's mark are the truth.
 */
export function redisRegistry(redis: Redis, keys: Keys, maxLooks = MAX_LOOKS): Registry {
  return {
    async add(login, nowMs, endsAtMs) {
      const { lid, handle, userId, loginAtMs, php } = login;
      // A PHP site makes its login ids itself: one that does not name its user could not be found again.
      if (php !== undefined && tagOf(lid) !== userTag(userId)) return;
      const times = [whole(nowMs), whole(endsAtMs), whole(loginAtMs)];
      await runScript(redis, scripts.register, where(keys, userTag(userId)), [lid, handle, ...times, describe(login)]);
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
      take(redis, keys, tag, dead).catch(() => {});
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
        .map((lid) => rowFrom(lid, '0', fields))
        .filter(isKnown)
        .map(entryOf);
    },
    barredUntil: async (userId) => Number((await redis.get(keys.epoch(userTag(userId)))) ?? 0),
    ...cleaning(redis, keys, maxLooks),
  };
}

type Cleaning = Pick<Registry, 'prune' | 'atPhp' | 'remove'>;

function cleaning(redis: Redis, keys: Keys, maxLooks: number): Cleaning {
  return {
    async prune(tag, nowMs) {
      const { live, dead, pending } = await look(redis, keys, tag, nowMs, maxLooks);
      return { kept: live.length + pending.length, removed: await take(redis, keys, tag, dead) };
    },
    async atPhp(tag) {
      return (await rowsOf(redis, keys, tag))
        .filter(isKnown)
        .map(entryOf)
        .filter(({ php }) => php === true);
    },
    async remove(tag, lids) {
      const rows = await rowsOf(redis, keys, tag);
      const taken = rows.filter(({ lid }) => lids.includes(lid));
      return take(redis, keys, tag, taken);
    },
  };
}

function where(keys: Keys, tag: string): string[] {
  return [keys.userLogins(tag), keys.userEntries(tag)];
}

async function take(redis: Redis, keys: Keys, tag: string, dead: readonly Row[]): Promise<number> {
  if (dead.length === 0) return 0;
  const args = dead.flatMap(({ lid, newest }) => [lid, newest]);
  return (await runScript(redis, scripts.prune, where(keys, tag), args)) as number;
}

/**
 * A login at a PHP site that is on no list (any more): PHP keeps the ids that it has had. Whether it lives, its mark says; whose
 * it is, only PHP knows.
 */
async function phpLogin(
  redis: Redis,
  keys: Keys,
  lid: string,
): Promise<(LoginEntry & { live: boolean; kept: boolean }) | null> {
  const [handle] = await redis.hkeys(keys.phpIds(lid));
  if (handle === undefined) return null;
  const nothing = { userId: null, loginAtMs: 0, endsAtMs: 0, address: null, countries: [] };
  return { lid, handle, ...nothing, php: true, live: true, kept: true };
}

function whole(ms: number): string {
  return String(Math.max(1, Math.trunc(ms)));
}
