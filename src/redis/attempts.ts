import { createHash } from 'node:crypto';
import type { Redis } from 'ioredis';
import type { Attempts } from '../desk-ports.ts';
import type { Keys } from './keys.ts';
import { loadScript, runScript } from './script.ts';

const ATTEMPT = loadScript('attempt-n');
const REFUND = loadScript('refund-n');
const TRIES = loadScript('tries-1');

/** Names become hashes: whoever types a password into the wrong field has not written it into Redis. */
const tag = (name: string) => createHash('sha256').update(name).digest('base64url').slice(0, 22);

export function redisAttempts(redis: Redis, keys: Keys): Attempts {
  const key = (name: string) => keys.attempts(tag(name));
  return {
    async take(limits, windowMs) {
      const args = [windowMs, ...limits.map(({ most }) => most)].map(String);
      const waitMs = Number(
        await runScript(
          redis,
          ATTEMPT,
          limits.map(({ name }) => key(name)),
          args,
        ),
      );
      return waitMs === 0 ? null : waitMs;
    },
    async forgive(names) {
      if (names.length > 0) await redis.del(...names.map(key));
    },
    async refund(names) {
      await runScript(redis, REFUND, names.map(key), []);
    },
    count: async (name, windowMs) => (await runScript(redis, TRIES, [key(name)], [String(windowMs)])) as number,
    async remember(name, ms) {
      await redis.set(key(name), '1', 'PX', ms);
    },
    knows: async (name) => (await redis.exists(key(name))) === 1,
  };
}
