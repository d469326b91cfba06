import type { Redis } from 'ioredis';
import type { LinkUses, UserWords } from '../desk-ports.ts';
import type { Keys } from './keys.ts';
import { loadScript, runScript } from './script.ts';

const userWord = loadScript('user-word-1');

export function redisLinkUses(redis: Redis, keys: Keys): LinkUses {
  return {
    claim: async (tokenHash, ms) => (await redis.set(keys.linkUse(tokenHash), '1', 'PX', ms, 'NX')) === 'OK',
    async keep(tokenHash, ms) {
      await redis.set(keys.linkUse(tokenHash), '1', 'PX', ms);
    },
    isUsed: async (tokenHash) => (await redis.exists(keys.linkUse(tokenHash))) === 1,
  };
}

export function redisUserWords(redis: Redis, keys: Keys): UserWords {
  return {
    async write(caseId, word) {
      await runScript(redis, userWord, [keys.incident(caseId)], [JSON.stringify(word)]);
    },
  };
}
