/** Is this Redis one to keep sessions, jobs and baselines in? */

import type { Redis } from 'ioredis';
import { type Check, fail, ok, warn } from './doctor-check.ts';

export interface RedisFacts {
  /** All fields of INFO. */
  readonly info: Readonly<Record<string, string>>;
  /** The server's `save` setting (RDB snapshots); null where it may not be read, as on managed services. */
  readonly save: string | null;
  /** The quickest of a few PINGs, milliseconds. */
  readonly pingMs: number;
}

export async function redisFacts(redis: Redis): Promise<RedisFacts> {
  const pingMs = await quickestPing(redis);
  const [text, save] = await Promise.all([redis.info(), saveSetting(redis)]);
  return { info: Object.fromEntries(infoFields(text)), save, pingMs };
}

/** The quickest: the others tell how busy this process is. */
async function quickestPing(redis: Redis): Promise<number> {
  let quickest = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 5; i++) {
    const startedMs = performance.now();
    await redis.ping();
    quickest = Math.min(quickest, performance.now() - startedMs);
  }
  return quickest;
}

function infoFields(text: string): [string, string][] {
  return text.split(/\r?\n/).flatMap((line): [string, string][] => {
    const colon = line.indexOf(':');
    return colon < 1 || line.startsWith('#') ? [] : [[line.slice(0, colon), line.slice(colon + 1)]];
  });
}

async function saveSetting(redis: Redis): Promise<string | null> {
  try {
    const [, value] = (await redis.config('GET', 'save')) as string[];
    return value ?? null;
  } catch {
    return null;
  }
}

export function redisChecks(facts: RedisFacts): Check[] {
  return [reachable(facts), version(facts), persistence(facts), eviction(facts), memory(facts), replication(facts)];
}

function reachable({ pingMs }: RedisFacts): Check {
  const finding = `answers in ${pingMs.toFixed(1)} ms`;
  if (pingMs < 50) return ok('redis', finding);
  return warn('redis', finding, 'Each request of the web tier waits for one answer: move Redis nearer to it.');
}

/** BullMQ 6 calls LPOS (6.0.6) and advises 6.2; our own scripts would do with 5.0. */
function version({ info }: RedisFacts): Check {
  const name = info.server_name === 'valkey' ? 'Valkey' : 'Redis';
  const text = (name === 'Valkey' ? info.valkey_version : info.redis_version) ?? 'unknown';
  const [major = 0, minor = 0] = (info.redis_version ?? '').split('.').map(Number);
  if (major > 6 || (major === 6 && minor >= 2)) return ok('version', `${name} ${text}`);
  return fail('version', `${name} ${text}`, 'The queue needs Redis 6.2 or newer (or Valkey): upgrade it.');
}

function persistence({ info, save }: RedisFacts): Check {
  const lost = 'A restart forgets logins in the queue, incidents and baselines, and then every login is a first one';
  if (info.aof_enabled === '1') {
    if (info.aof_last_write_status !== 'err') return ok('persistence', 'append-only file on');
    return fail('persistence', 'the append-only file cannot be written', 'See the log of Redis; its disk may be full.');
  }
  const remedy = 'set "appendonly yes" and "appendfsync everysec" in redis.conf.';
  if (info.rdb_last_bgsave_status === 'err') {
    return fail('persistence', 'the last snapshot failed', `See the log of Redis; then ${remedy}`);
  }
  if (save === '') return warn('persistence', 'nothing is kept on disk', `${lost}: ${remedy}`);
  if (save === null) return warn('persistence', 'no append-only file; whether there are snapshots is not told', remedy);
  return warn('persistence', 'snapshots only', `A crash loses what came after the last one, minutes of it: ${remedy}`);
}

function eviction({ info }: RedisFacts): Check {
  const policy = info.maxmemory_policy ?? 'unknown';
  if (policy === 'noeviction') return ok('eviction', policy);
  const remedy = 'Redis may throw away jobs, incidents and baselines: set "maxmemory-policy noeviction".';
  if (info.maxmemory === '0') return warn('eviction', `${policy}, without a memory limit so far`, remedy);
  return fail('eviction', policy, remedy);
}

function memory({ info }: RedisFacts): Check {
  const [used, limit] = [Number(info.used_memory ?? 0), Number(info.maxmemory ?? 0)];
  const finding = `${info.used_memory_human ?? '?'} used, ${limit === 0 ? 'no limit' : `limit ${info.maxmemory_human}`}`;
  if (limit === 0 || used < 0.8 * limit) return ok('memory', finding);
  const remedy = 'When it is full, no login is queued and no session is saved: raise maxmemory.';
  return used < 0.95 * limit ? warn('memory', finding, remedy) : fail('memory', finding, remedy);
}

function replication({ info }: RedisFacts): Check {
  if (info.role === 'slave') {
    return fail('replication', 'this is a replica', 'Nothing can be written here: name the primary in the URL.');
  }
  const replicas = Number(info.connected_slaves ?? 0);
  if (info.cluster_enabled === '1') {
    return warn(
      'replication',
      'this is a node of a cluster',
      'Commands connect to one node only: use a single primary.',
    );
  }
  return ok('replication', replicas === 0 ? 'primary, no replica' : `primary, ${replicas} replica(s)`);
}
