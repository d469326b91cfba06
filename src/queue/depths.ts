import { Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import type { QueueDepth } from '../desk-ports.ts';

/** How full our queues are, and how long the oldest job of each has waited. Only looks: it writes nothing. */
export function queueDepths(
  redis: Redis,
  { queuePrefix, queues }: { readonly queuePrefix: string; readonly queues: readonly string[] },
): () => Promise<QueueDepth[]> {
  return () => Promise.all(queues.map((name) => depthOf(redis, queuePrefix, name)));
}

async function depthOf(redis: Redis, prefix: string, name: string): Promise<QueueDepth> {
  const queue = new Queue(name, { connection: redis, prefix, skipVersionCheck: true, skipMetasUpdate: true });
  // The failed command tells.
  queue.on('error', () => {});
  try {
    const [counts, [oldest]] = await Promise.all([
      queue.getJobCounts('waiting', 'active', 'delayed', 'failed'),
      queue.getJobs(['waiting'], 0, 0, true),
    ]);
    const { waiting = 0, active = 0, delayed = 0, failed = 0 } = counts;
    const lagMs = oldest === undefined ? null : Math.max(0, Date.now() - dueAtMs(oldest));
    return { name, waiting, active, delayed, failed, lagMs };
  } finally {
    await queue.close();
  }
}

/** A job that was to wait is late only from then on. */
const dueAtMs = ({ timestamp, delay }: { readonly timestamp: number; readonly delay: number }): number =>
  timestamp + delay;
