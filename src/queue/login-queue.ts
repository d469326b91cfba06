import { type JobsOptions, Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import type { LoginEvent } from '../domain/types.ts';
import { errorName } from '../errors.ts';
import type { Log } from '../ports.ts';
import { encodePayload, type Payload } from './job.ts';

/** Bounded everywhere: attempts, and how long and how many finished jobs stay. */
export const JOB_OPTIONS: JobsOptions = {
  attempts: 8,
  backoff: { type: 'exponential', delay: 500, jitter: 0.5 },
  removeOnComplete: { age: 3600, count: 1000 },
  removeOnFail: { age: 14 * 86_400, count: 10_000 },
};

export interface LoginQueueAdapter {
  /**
   * Adding the same id twice queues it once, while its job is kept. With `onceForMs` also after that, for so long: the queue
   * remembers the id in the same step as it takes the job.
   */
  add(batchId: string, logins: readonly LoginEvent[], how?: { readonly onceForMs: number }): Promise<void>;
  close(): Promise<void>;
}

/** BullMQ's queue over a connection of ours, which we close ourselves. */
export function loginQueue(redis: Redis, names: { queue: string; prefix: string }, log: Log): LoginQueueAdapter {
  let queue: Queue<Payload> | null = null;
  const open = (): Queue<Payload> => {
    // No version check and no meta write: both would be commands at start-up that fail, for good, if Redis is away then.
    const opened = new Queue<Payload>(names.queue, {
      connection: redis,
      prefix: names.prefix,
      skipVersionCheck: true,
      skipMetasUpdate: true,
      defaultJobOptions: JOB_OPTIONS,
    });
    opened.on('error', (error) =>
      log.debug({ event: 'queue_error', error: errorName(error) }, 'The queue had an error'),
    );
    return opened;
  };
  return {
    async add(batchId, logins, how) {
      // BullMQ would wait for the connection without end; our callers want to know at once.
      if (redis.status !== 'ready' && queue !== null) throw new Error('Redis is not connected');
      queue ??= open();
      const once = how === undefined ? {} : { deduplication: { id: batchId, ttl: how.onceForMs } };
      await queue.add('logins', encodePayload(logins), { jobId: batchId, ...once });
    },
    async close() {
      await queue?.close();
    },
  };
}
