import type { Redis } from 'ioredis';
import type { RegistryCache, RegistryEntry } from '../ports.ts';
import type { Keys } from './keys.ts';

/** The key goes when its last entry is surely stale; each entry also carries its own end. */
const KEY_TTL_MS = 8 * 86_400_000;

/** A /24 cut into more objects than this is not worth more memory: the cache of it starts again. */
const MAX_ENTRIES = 64;

/** One hash a network; a field for each range in it, so that a sibling in a smaller object keeps its own answer. */
export function redisRegistryCache(redis: Redis, keys: Keys): RegistryCache {
  return {
    async read(network) {
      const values = await redis.hvals(keys.registryAnswers(network));
      return values.flatMap(decode);
    },
    async write(network, entry) {
      const key = keys.registryAnswers(network);
      const count = await redis.hlen(key);
      const batch = redis.multi();
      if (count >= MAX_ENTRIES) batch.del(key);
      batch.hset(key, entry.range, JSON.stringify(entry));
      batch.pexpire(key, KEY_TTL_MS);
      for (const [error] of (await batch.exec()) ?? []) if (error) throw error;
    },
    async claim(network, ms) {
      return (await redis.set(keys.registryClaim(network), '1', 'PX', ms, 'NX')) === 'OK';
    },
    async release(network) {
      await redis.del(keys.registryClaim(network));
    },
  };
}

/** What cannot be read was written by another release, or damaged: it is asked again. */
function decode(value: string): RegistryEntry[] {
  try {
    const entry = JSON.parse(value) as RegistryEntry;
    const isWhole = typeof entry.range === 'string' && typeof entry.word?.registry === 'string';
    return isWhole && typeof entry.expiresAtMs === 'number' ? [entry] : [];
  } catch {
    return [];
  }
}
