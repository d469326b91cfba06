import type { Redis } from 'ioredis';
import type { Registry, Sweeper } from '../ports.ts';
import { type Keys, userTag } from './keys.ts';

/** How long after a login its user's registry is swept, and how often while logins are left in it. */
export const SWEEP_USER_EVERY_MS = 86_400_000;

/** Users looked at abreast. */
const ABREAST = 50;

/**
 * Goes by one sorted set of users, scored by when each is due, and never walks the keyspace. A user is claimed by taking
 * it off that set (of two sweeps at once one gets it), pruned, and put back while logins are left. A login meanwhile puts
 * it back as well; a sweep that dies in between loses nothing but the user's turn: its keys expire by themselves with
 * the last login's absolute end, and its next login puts it back.
 */
export function redisSweeper(redis: Redis, keys: Keys, registry: Registry, everyMs: number): Sweeper {
  const put = async (tags: readonly string[], dueAtMs: number): Promise<void> => {
    if (tags.length === 0) return;
    await redis.zadd(keys.sweepUsers(), 'NX', ...tags.flatMap((tag) => [dueAtMs, tag]));
  };

  const sweepOne = async (tag: string, nowMs: number): Promise<number> => {
    if ((await redis.zrem(keys.sweepUsers(), tag)) === 0) return 0;
    const { removed } = await registry.prune(tag, nowMs);
    if ((await redis.exists(keys.userLogins(tag))) === 1) await put([tag], nowMs + everyMs);
    return removed;
  };

  return {
    note: (userIds, nowMs) => put([...new Set(userIds)].map(userTag), nowMs + everyMs),
    async sweep(nowMs, maxUsers) {
      const total = { users: 0, removed: 0, more: false };
      while (total.users < maxUsers) {
        const count = Math.min(ABREAST, maxUsers - total.users);
        const due = await redis.zrangebyscore(keys.sweepUsers(), '-inf', nowMs, 'LIMIT', 0, count);
        const removed = await Promise.all(due.map((tag) => sweepOne(tag, nowMs)));
        total.users += due.length;
        total.removed += removed.reduce((sum, one) => sum + one, 0);
        if (due.length < count) return total;
      }
      return { ...total, more: true };
    },
  };
}
