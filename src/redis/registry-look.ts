import type { Redis } from 'ioredis';
import { type Keys, LID_LENGTH } from './keys.ts';
import { type Life, lifeOf } from './registry-life.ts';
import { type Row, rowsOf } from './registry-rows.ts';
import { loadScript } from './script.ts';
import { runAcrossSlots } from './slots.ts';

const lookScript = loadScript('look-4');

/**
 * Which of a user's logins live: the index, and one look at each login's newest id. Where the newest id has ended but the
 * login has had others (two tabs that moved at the same time), those are looked at too. On one server all of it is one
 * script; on a Cluster, and of a user with very many ids, what is not known yet is asked next, all in one go.
 */
export async function look(redis: Redis, keys: Keys, tag: string, nowMs: number, maxLooks: number) {
  const rows = (await lookedAt(redis, keys, tag, nowMs, maxLooks)) ?? (await rowsOf(redis, keys, tag));
  const lives = await Promise.all(rows.map((one) => lifeOf(redis, keys, one, nowMs)));
  const which = (life: Life) => rows.filter((_, i) => lives[i] === life);
  return { live: which('live'), dead: which('dead'), pending: which('pending') };
}

/** Sessions that the script looks at while nobody else is served: some milliseconds. */
export const MAX_LOOKS = 2000;

async function lookedAt(redis: Redis, keys: Keys, tag: string, nowMs: number, maxLooks: number): Promise<Row[] | null> {
  const where = [keys.userLogins(tag), keys.userEntries(tag), keys.session(''), keys.loginIdsOf(tag)];
  const limits = [nowMs, tag, LID_LENGTH, maxLooks].map(String);
  const reply = (await runAcrossSlots(redis, lookScript, where, limits)) as string[][] | null;
  if (reply === null) return null;
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
