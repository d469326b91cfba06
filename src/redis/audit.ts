import type { Redis } from 'ioredis';
import type { Audit, AuditEntry } from '../ports.ts';
import type { Keys } from './keys.ts';

/** About so many entries are kept, the newest ones. */
const KEPT = 100_000;

/** Who ended which sessions, when and why: a stream, because nothing in it is ever changed. */
export function redisAudit(redis: Redis, keys: Keys): Audit {
  return {
    async add(entries) {
      const add = (entry: AuditEntry) =>
        redis.xadd(keys.audit(), 'MAXLEN', '~', KEPT, '*', 'entry', JSON.stringify(entry));
      await Promise.all(entries.map(add));
    },
    async list(limit) {
      const rows = (await redis.xrevrange(keys.audit(), '+', '-', 'COUNT', limit)) as [string, string[]][];
      return rows.map(([, [, json = '']]) => JSON.parse(json) as AuditEntry);
    },
  };
}
