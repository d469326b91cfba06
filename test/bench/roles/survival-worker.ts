/** The two workers of the `survival` bench, each in a process of its own: they end what they are told of, or what the queue brings. */
import { Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { redisSessions } from '../../../src/redis/ender.ts';
import { keysFor } from '../../../src/redis/keys.ts';
import { createWorker } from '../../../src/worker.ts';
import { serve } from '../support/child.ts';
import type { Side } from '../survival.ts';

/** `handle`: where the store's key is known by it (ours), or the whole key (stock). */
export interface Target {
  readonly lid: string;
  readonly handle: string;
}

export interface SurvivalWorkerApi {
  start(side: Side, url: string): Promise<void>;
  /** Ends it now. */
  end(target: Target): Promise<void>;
  /** Waits until this user's first login is known. */
  learned(user: string): Promise<void>;
  /** Waits until the queue has brought this one and it was ended. */
  ended(target: Target): Promise<void>;
}

const DAY_MS = 86_400_000;
const keys = keysFor('bouncer');
const closers: (() => unknown)[] = [];
const deleted = new Set<string>();
let redis: Redis;
let kind: Side = 'ours';

async function start(side: Side, url: string): Promise<void> {
  kind = side;
  redis = new Redis(url, { maxRetriesPerRequest: null, replyMapping: 'legacy' });
  closers.push(() => redis.disconnect());
  if (side === 'ours') {
    const worker = await createWorker({ redis: url, brake: { share: 1, minLogins: 1e6 } });
    closers.push(() => worker.close({ force: true }));
    return;
  }
  const worker = new Worker<Target>('peer', async ({ data }) => end(data), { connection: redis, concurrency: 10 });
  closers.push(() => worker.close(true));
}

async function end({ lid, handle }: Target): Promise<void> {
  if (kind === 'stock') {
    await redis.del(handle);
    deleted.add(handle);
    return;
  }
  const how = { lid, handle, reason: 'country_changed', caseId: 'AAAA-BBBB-CCCC', atMs: Date.now() } as const;
  for (const result of await redisSessions(redis, keys, DAY_MS).revoke([how]))
    if (result instanceof Error) throw result;
}

async function until(done: () => boolean | Promise<boolean>): Promise<void> {
  const limit = Date.now() + 10_000;
  while (!(await done())) {
    if (Date.now() > limit) throw new Error('not within 10 s');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

serve<SurvivalWorkerApi>(
  {
    start,
    end,
    learned: (user) => until(async () => kind === 'stock' || (await redis.exists(keys.baseline(user))) === 1),
    ended: ({ lid, handle }) =>
      until(async () => (kind === 'stock' ? deleted.has(handle) : (await redis.exists(keys.loginEnd(lid))) === 1)),
  },
  async () => {
    for (const close of closers.reverse()) await close();
  },
);
