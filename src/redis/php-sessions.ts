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
const AT_ONCE = 1000;

/** An absence that no sweep has looked at again for so long is forgotten. */
const ABSENCE_MS = 3 * 86_400_000;

export interface PhpSessionsOptions {
  /** What phpredis puts before a session's id. */
  readonly sessionPrefix: string;
  /** `redis.session.locking_enabled`. */
  readonly locking: boolean;
  /** How long to wait for a lock that a request holds, milliseconds. */
  readonly lockWaitMs: number;
}

export function redisPhpIds(redis: Redis, keys: Keys): PhpIds {
  const forget = async (lid: string, handles: readonly string[]): Promise<void> => {
    for (const some of chunks(handles)) await redis.hdel(keys.phpIds(lid), ...some);
  };
  return {
    of: (lid) => redis.hgetall(keys.phpIds(lid)),
    async note(lid, handle, sealed, ttlMs) {
      const index = keys.phpIds(lid);
      await redis.hsetnx(index, handle, sealed);
      // PHP's own time to live stays.
      if ((await redis.pttl(index)) < 0) await redis.pexpire(index, Math.ceil(ttlMs));
    },
    forget,
    async trim(lid, absent, nowMs, settleMs) {
      const key = keys.phpAbsent(lid);
      const since = await redis.hgetall(key);
      const isGone = (handle: string) => Number(since[handle] ?? Number.POSITIVE_INFINITY) <= nowMs - settleMs;
      const gone = absent.filter(isGone);
      await forget(lid, gone);
      await redis.unlink(key);
      const waiting = absent.filter((handle) => !isGone(handle));
      for (const some of chunks(waiting)) {
        await redis.hset(key, ...some.flatMap((handle) => [handle, since[handle] ?? String(nowMs)]));
      }
      if (waiting.length > 0) await redis.pexpire(key, ABSENCE_MS);
      return gone.length;
    },
  };
}

function chunks<T>(all: readonly T[]): T[][] {
  const parts: T[][] = [];
  for (let from = 0; from < all.length; from += AT_ONCE) parts.push(all.slice(from, from + AT_ONCE));
  return parts;
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
    async exist(ids) {
      const found: boolean[] = [];
      for (const some of chunks(ids)) {
        const replies = await Promise.all(some.map((id) => redis.exists(keys.session(id))));
        found.push(...replies.map((count) => count === 1));
      }
      return found;
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
