/** The sessions of a PHP site as its worker meets them: in Redis, as phpredis writes them; and what ends them. */
import { createHash, randomBytes } from 'node:crypto';
import type { Redis } from 'ioredis';
import { endingPhp, type PhpEnderDeps } from '../../src/php/ender.ts';
import { type Seals, sealsOf } from '../../src/php/seal.ts';
import type { Revocation, RevokeResult } from '../../src/ports.ts';
import { redisSessions } from '../../src/redis/ender.ts';
import { type Keys, keysFor, phpSessionKeysFor } from '../../src/redis/keys.ts';
import { type PhpSessionsOptions, redisPhpIds, redisPhpSessions } from '../../src/redis/php-sessions.ts';
import { type CapturedLog, captureLog, cleanup, connect, release, testPrefix } from './index.ts';

export const PHP_KEYS = { k1: randomBytes(32).toString('base64') };

export interface PhpEndingSite {
  readonly redis: Redis;
  readonly keys: Keys;
  readonly prefix: string;
  readonly sessionPrefix: string;
  readonly seals: Seals;
  readonly log: CapturedLog;
  key(id: string): string;
  lockKey(id: string): string;
  /** As phpredis does. */
  put(id: string, data: string | Buffer): Promise<void>;
  get(id: string): Promise<string | null>;
  /** As the PHP helper does. */
  enrol(lid: string, id: string): Promise<void>;
  /** Throws what it came to, where that is an Error. */
  end(lid: string, id: string | null, more?: Partial<Revocation>): Promise<RevokeResult>;
}

export const newId = (): string => randomBytes(13).toString('hex');
export const newLid = (): string => randomBytes(28).toString('base64url');
export const handleOf = (id: string): string => createHash('sha256').update(id).digest('base64url');
const session = (username: string, lid: string) =>
  `cart|a:1:{i:0;i:7;}username|${username}bouncer_lid|s:${lid.length}:"${lid}";`;
/** What stands in a session of the site, format `php`. */
export const live = (lid: string, user = 'alice'): string => session(`s:${user.length}:"${user}";`, lid);
export const ended = (lid: string): string => session('N;', lid);

type SiteOptions = Partial<Omit<PhpEnderDeps, 'ids' | 'log'>> & Partial<PhpSessionsOptions> & { phpRedis?: Redis };

export function openPhpEndingSite(options: SiteOptions = {}): PhpEndingSite {
  const prefix = testPrefix();
  const redis = connect();
  release(() => cleanup(prefix));
  const keys = keysFor(prefix);
  const { sessionPrefix = `${prefix}:PHPREDIS_SESSION:`, locking = false, lockWaitMs = 300 } = options;
  const { phpRedis = redis, seals = sealsOf(PHP_KEYS) } = options;
  const phpKeys = phpSessionKeysFor(sessionPrefix);
  const log = captureLog();
  const sessions = redisPhpSessions(phpRedis, { sessionPrefix, locking, lockWaitMs });
  const site = { format: 'php', field: 'username', end: 'null', sessions } as const;
  const deps: PhpEnderDeps = { ...site, ...options, seals, ids: redisPhpIds(redis, keys), log };
  const ending = endingPhp(redisSessions(redis, keys, 60_000), deps);
  return {
    redis,
    keys,
    prefix,
    sessionPrefix,
    seals,
    log,
    key: phpKeys.session,
    lockKey: phpKeys.lock,
    put: async (id, data) => void (await phpRedis.setex(phpKeys.session(id), 1440, data)),
    get: (id) => phpRedis.get(phpKeys.session(id)),
    enrol: async (lid, id) => void (await redis.hset(keys.phpIds(lid), handleOf(id), seals.seal(id, lid))),
    async end(lid, id, more = {}) {
      const own = id === null ? { handle: handleOf('none') } : { handle: handleOf(id), php: seals.seal(id, lid) };
      const why = { reason: 'country_changed', caseId: 'AAAA-BBBB-CCCC', atMs: Date.now() } as const;
      const [result] = await ending.revoke([{ lid, ...why, ...own, ...more }]);
      if (result === undefined || result instanceof Error) throw result ?? new Error('no reply');
      return result;
    },
  };
}
