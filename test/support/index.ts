/**
 * What tests lean on. Whatever a test acquires here is released after its file, in reverse order, once; register your
 * own things with `release()` rather than `afterAll`, so that they go before the clients they use.
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll } from '@jest/globals';
import { Redis, type RedisOptions } from 'ioredis';
import type { Log } from '../../src/ports.ts';
import { type PrivateRedis, type PrivateRedisOptions, startRedis } from './redis.ts';

export { findRedisServer, freePort, type PrivateRedis, startRedis } from './redis.ts';
export { type Spawned, type SpawnOptions, spawnNode } from './spawn.ts';
export { stopwatch } from './stopwatch.ts';
export { release };

import { release, releaseAll } from './release.ts';

const prefixes: string[] = [];

afterAll(async () => {
  await releaseAll();
  if (process.env.TEST_REDIS_BORROWED === '1') await Promise.all(prefixes.splice(0).map(cleanup));
}, 30_000);

/** The Redis that all tests of this run share. Keep to your own `testPrefix()`; never flush it. */
export function testRedisUrl(): string {
  const url = process.env.TEST_REDIS_URL;
  if (!url) throw new Error('TEST_REDIS_URL is not set: run the tests with Jest and its global setup.');
  return url;
}

/** Unique per call. With a borrowed Redis, its keys are deleted after the file; else they go with the server. */
export function testPrefix(): string {
  const prefix = `t-${randomBytes(8).toString('hex')}`;
  prefixes.push(prefix);
  return prefix;
}

/**
 * A client of the shared Redis (or of `url`), closed after the file. Its commands fail soon when the server is away. The
 * short `disconnectTimeout`: a client that has lost its server otherwise keeps the process for two seconds more.
 */
export function connect(url: string = testRedisUrl(), options: RedisOptions = {}): Redis {
  const ours = { maxRetriesPerRequest: 3, disconnectTimeout: 50, ...options, replyMapping: 'legacy' } as const;
  const redis = new Redis(url, ours);
  // Tests of outages cut connections on purpose; the failed command tells.
  redis.on('error', () => {});
  release(() => redis.disconnect());
  return redis;
}

/** A server of this test's own, to kill, pause or restart. Stopped after the file. */
export async function privateRedis(options?: PrivateRedisOptions): Promise<PrivateRedis> {
  const server = await startRedis(options);
  release(() => server.stop());
  return server;
}

/** Deletes every key whose name contains the prefix (it may stand in a hash tag, or after another prefix). */
export async function cleanup(prefix: string): Promise<void> {
  const redis = new Redis(testRedisUrl(), { maxRetriesPerRequest: 3, replyMapping: 'legacy' });
  try {
    let cursor = '0';
    do {
      const [next, keys] = await redis.scan(cursor, 'MATCH', `*${prefix}*`, 'COUNT', 1000);
      if (keys.length > 0) await redis.unlink(...keys);
      cursor = next;
    } while (cursor !== '0');
  } finally {
    redis.disconnect();
  }
}

export interface UntilOptions {
  readonly timeoutMs?: number;
  readonly everyMs?: number;
}

/** Asks again and again; returns the first answer that is not false, null or undefined. An error counts as "not yet". */
export async function until<T>(
  predicate: () => T | Promise<T>,
  { timeoutMs = 15_000, everyMs = 15 }: UntilOptions = {},
): Promise<Exclude<T, false | null | undefined>> {
  const end = Date.now() + timeoutMs;
  let cause: unknown;
  for (;;) {
    try {
      const answer = await predicate();
      if (answer !== false && answer !== null && answer !== undefined) {
        return answer as Exclude<T, false | null | undefined>;
      }
      cause = undefined;
    } catch (error) {
      cause = error;
    }
    if (Date.now() >= end) throw new Error(`Not within ${timeoutMs} ms: ${predicate}`, { cause });
    await sleep(everyMs);
  }
}

export interface LogEntry {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly fields: object;
  readonly message: string;
}

export interface CapturedLog extends Log {
  readonly entries: LogEntry[];
  /** All of it as text, to assert what must never be logged. */
  text(): string;
}

export function captureLog(): CapturedLog {
  const entries: LogEntry[] = [];
  const at = (level: LogEntry['level']) => (fields: object, message: string) => {
    entries.push({ level, fields, message });
  };
  const text = () => entries.map((entry) => JSON.stringify(entry)).join('\n');
  return { entries, text, debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

/** What was logged as an error, but for a connection that a busy machine was too late to make, and that is tried again. */
export function errorsIn({ entries }: CapturedLog): readonly LogEntry[] {
  const ofConnection = (fields: object) => 'event' in fields && fields.event === 'redis_unavailable';
  return entries.filter(({ level, fields }) => level === 'error' && !ofConnection(fields));
}
