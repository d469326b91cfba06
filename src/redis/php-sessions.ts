import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import type { PhpIds, PhpSessions } from '../ports.ts';
import { type Keys, phpSessionKeysFor } from './keys.ts';
import { loadScript, runScript } from './script.ts';

const scripts = { write: loadScript('php-write-1'), unlock: loadScript('php-unlock-1') };

/** Our lock goes by itself after this, should we die. We hold it for a few milliseconds: PHP waits 20 by default. */
const LOCK_MS = 5000;

const LOCK_RETRY_MS = 10;

/** Of one command: Redis does nothing else meanwhile. */
const FORGOTTEN_AT_ONCE = 1000;

export interface PhpSessionsOptions {
  /** What phpredis puts before a session's id. */
  readonly sessionPrefix: string;
  /** `redis.session.locking_enabled`. */
  readonly locking: boolean;
  /** How long to wait for a lock that a request holds, milliseconds. */
  readonly lockWaitMs: number;
}

export function redisPhpIds(redis: Redis, keys: Keys): PhpIds {
  return {
    of: (lid) => redis.hgetall(keys.phpIds(lid)),
    async forget(lid, handles) {
      for (let from = 0; from < handles.length; from += FORGOTTEN_AT_ONCE) {
        await redis.hdel(keys.phpIds(lid), ...handles.slice(from, from + FORGOTTEN_AT_ONCE));
      }
    },
  };
}

export function redisPhpSessions(redis: Redis, options: PhpSessionsOptions): PhpSessions {
  const keys = phpSessionKeysFor(options.sessionPrefix);
  const write = async (id: string, ...args: (string | Buffer)[]) =>
    (await runScript(redis, scripts.write, [keys.session(id)], args)) === 1;
  return {
    async read(id, maxBytes) {
      const data = await redis.getrangeBuffer(keys.session(id), 0, maxBytes);
      return data.length === 0 ? null : data;
    },
    replace: (id, read, now) => write(id, read, 'set', now),
    destroy: (id, read) => write(id, read, 'delete', ''),
    async lock(id) {
      if (!options.locking) return { isHeld: true, release: async () => {} };
      const secret = await acquire(redis, keys.lock(id), options.lockWaitMs);
      return {
        isHeld: secret !== null,
        async release() {
          if (secret !== null) await runScript(redis, scripts.unlock, [keys.lock(id)], [secret]);
        },
      };
    },
  };
}

/** As phpredis does it: SET NX with a secret of one's own, again and again. Null: somebody held it all the while. */
async function acquire(redis: Redis, key: string, waitMs: number): Promise<string | null> {
  const secret = `session-bouncer|${randomBytes(16).toString('base64url')}`;
  const endMs = performance.now() + waitMs;
  for (;;) {
    if ((await redis.set(key, secret, 'PX', LOCK_MS, 'NX')) === 'OK') return secret;
    if (performance.now() >= endMs) return null;
    await sleep(LOCK_RETRY_MS);
  }
}
