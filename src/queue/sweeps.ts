import { createHash } from 'node:crypto';
import { Queue, Worker } from 'bullmq';
import type { Redis } from 'ioredis';
import type { Retention } from '../desk-ports.ts';
import { errorName } from '../errors.ts';
import type { Clock, Log, Sweeper } from '../ports.ts';

export interface SweepOptions {
  readonly sweeper: Sweeper;
  /** Swept as well: what is older than it may be kept. */
  readonly retention?: Retention | undefined;
  readonly everyMs: number;
  readonly clock: Clock;
  readonly log: Log;
}

export interface Sweeps {
  close(force?: boolean): Promise<void>;
}

/** Users in one go; a sweep goes on until none is due. */
const USERS_AT_ONCE = 10_000;

/**
 * Sweeps the registry, and what is too old, by BullMQ's job scheduler: one job an interval, however many workers there are. Each deployment
 * has its own minute (from its prefix), so that many on one Redis do not sweep at the same moment.
 */
export function startSweeps(redis: Redis, names: { queue: string; prefix: string }, options: SweepOptions): Sweeps {
  const { everyMs, log } = options;
  const shared = { connection: redis, prefix: names.prefix };
  const queue = new Queue(names.queue, { ...shared, skipMetasUpdate: true });
  const worker = new Worker(names.queue, () => sweepAll(options), { ...shared, concurrency: 1 });
  const onError = (error: unknown) =>
    log.debug({ event: 'queue_error', error: errorName(error) }, 'The queue had an error');
  queue.on('error', onError);
  worker.on('error', onError);
  worker.on('failed', (_job, error) =>
    log.warn({ event: 'sweep_failed', error: errorName(error) }, 'A sweep failed; the next one goes on from there'),
  );
  let closing = false;
  const repeat = { every: everyMs, offset: minuteOf(names.prefix, everyMs) };
  const opts = { removeOnComplete: { count: 10 }, removeOnFail: { count: 10 } };
  const scheduled = queue.upsertJobScheduler('sweep', repeat, { name: 'sweep', opts }).catch((error: unknown) => {
    if (closing) return;
    log.warn({ event: 'sweep_unscheduled', error: errorName(error) }, 'Sweeps could not be scheduled');
  });
  return {
    async close(force = false) {
      closing = true;
      const away = force || redis.status !== 'ready';
      if (!away) await scheduled;
      await worker.close(away);
      await queue.close();
    },
  };
}

async function sweepAll({ sweeper, retention, clock, log }: SweepOptions): Promise<string> {
  const total = { users: 0, removed: 0 };
  for (let more = true; more; ) {
    const swept = await sweeper.sweep(clock(), USERS_AT_ONCE);
    total.users += swept.users;
    total.removed += swept.removed;
    more = swept.more;
  }
  log.info({ event: 'swept', ...total }, 'The lists of sessions were cleaned');
  const expired = (await retention?.expire(clock())) ?? {};
  if (Object.values(expired).some((count) => count > 0)) {
    log.info({ event: 'expired', ...expired }, 'What was older than it may be kept was removed');
  }
  return `${total.removed}/${total.users}`;
}

/** The same in every worker of a deployment: a scheduler that each of them describes otherwise would never come to rest. */
function minuteOf(prefix: string, everyMs: number): number {
  return createHash('sha256').update(prefix).digest().readUInt32BE(0) % Math.trunc(everyMs);
}
