/** What Redis itself counted: commands, and the microseconds it spent in them. */
import type { Redis } from 'ioredis';

export interface RedisWork {
  readonly commands: number;
  readonly micros: number;
  /** Calls by command, e.g. `{ get: 1000 }`. */
  readonly calls: Readonly<Record<string, number>>;
}

/** How we ask; not part of what is measured. */
const OURS = new Set(['info', 'client|setname', 'client|setinfo', 'hello', 'select', 'auth', 'ping']);

export async function redisWork(redis: Redis): Promise<RedisWork> {
  const text = await redis.info('commandstats');
  const calls: Record<string, number> = {};
  let commands = 0;
  let micros = 0;
  for (const [, name = '', count, usec] of text.matchAll(/^cmdstat_([^:]+):calls=(\d+),usec=(\d+)/gm)) {
    if (OURS.has(name)) continue;
    calls[name] = Number(count);
    commands += Number(count);
    micros += Number(usec);
  }
  return { commands, micros, calls };
}

export function workSince(before: RedisWork, after: RedisWork): RedisWork {
  const calls: Record<string, number> = {};
  for (const [name, count] of Object.entries(after.calls)) {
    const more = count - (before.calls[name] ?? 0);
    if (more > 0) calls[name] = more;
  }
  return { commands: after.commands - before.commands, micros: after.micros - before.micros, calls };
}

export async function redisVersion(redis: Redis): Promise<string> {
  const text = await redis.info('server');
  const [, name = 'redis', version = '?'] = /^(redis|valkey)_version:(\S+)/m.exec(text) ?? [];
  return `${name} ${version}`;
}
