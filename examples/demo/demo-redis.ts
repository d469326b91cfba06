/** The demo's Redis: a private one, or the one that REDIS_URL names, where the demo keeps to a prefix of its own. */
import { randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';
import { startRedis } from '../support/private-redis.ts';

export interface DemoRedis {
  readonly url: string;
  /** For the terminal: without a password. */
  readonly name: string;
  /** Every key of the demo begins with it, bare or in braces. */
  readonly prefix: string;
  close(): Promise<void>;
}

export async function openDemoRedis(given: string | undefined): Promise<DemoRedis> {
  if (given) return borrow(given);
  const server = await startRedis();
  return {
    url: server.url,
    name: `a private Redis on port ${server.port}`,
    prefix: 'demo',
    close: () => server.stop(),
  };
}

async function borrow(url: string): Promise<DemoRedis> {
  const prefix = `demo-${randomBytes(6).toString('hex')}`;
  const ping = client(url);
  try {
    await ping.connect();
    await ping.ping();
  } catch (error) {
    const why = error instanceof Error ? error.message : 'no answer';
    throw new Error(
      `The Redis that REDIS_URL names does not answer (${why}). Without REDIS_URL a private one is used.`,
    );
  } finally {
    ping.disconnect();
  }
  return { url, name: `the Redis of REDIS_URL, prefix ${prefix}`, prefix, close: () => deleteKeys(url, prefix) };
}

function client(url: string): Redis {
  const redis = new Redis(url, {
    lazyConnect: true,
    connectTimeout: 3000,
    commandTimeout: 3000,
    maxRetriesPerRequest: 1,
    retryStrategy: () => null,
    replyMapping: 'legacy',
  });
  redis.on('error', () => {}); // the failed command tells
  return redis;
}

async function deleteKeys(url: string, prefix: string): Promise<void> {
  const redis = client(url);
  try {
    for (const pattern of [`${prefix}:*`, `{${prefix}}:*`]) {
      for await (const keys of redis.scanStream({ match: pattern, count: 1000 })) {
        if ((keys as string[]).length > 0) await redis.unlink(...(keys as string[]));
      }
    }
  } finally {
    redis.disconnect();
  }
}
