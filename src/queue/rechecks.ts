import { createHash } from 'node:crypto';
import { type Job, Queue, UnrecoverableError, Worker } from 'bullmq';
import type { Redis } from 'ioredis';
import { z } from 'zod';
import { errorName } from '../errors.ts';
import type { EndReason, Log, Rechecks, Revocation, Sessions } from '../ports.ts';
import { sealedIdSchema } from './job.ts';
import { JOB_OPTIONS } from './login-queue.ts';

/** After 5 s (a failover at once), 60 s and 10 min. */
export const RECHECK_DELAYS_MS: readonly number[] = [5000, 60_000, 600_000];

const revocation = {
  lid: z.string().regex(/^[\w-]{16,64}$/),
  handle: z.string().regex(/^[\w-]{43}$/),
  reason: z.string().regex(/^[a-z_]{1,40}$/),
  caseId: z.string().regex(/^[\w-]{1,40}$/),
  atMs: z.int().min(1_000_000_000_000).max(9_999_999_999_999),
  php: sealedIdSchema.optional(),
  loginAtMs: z.int().min(1_000_000_000_000).max(9_999_999_999_999).optional(),
  last: z.literal(true).optional(),
  handedOver: z.literal(true).optional(),
};

/** One, or what one batch ended together. */
const jobSchema = z.union([
  z.object({ v: z.literal(1), ...revocation }).transform(({ v: _, ...one }) => [one]),
  z.object({ v: z.literal(2), ends: z.array(z.object(revocation)).min(1).max(1000) }).transform(({ ends }) => ends),
]);

/** Ends in one job. */
const ENDS_PER_JOB = 100;

export interface RecheckQueue extends Rechecks {
  close(): Promise<void>;
}

interface Names {
  readonly queue: string;
  readonly prefix: string;
}

/**
 * The delayed jobs, over a connection of ours, which we close ourselves. Costs nothing until something is scheduled.
 * `phpDelaysMs`: more of them for a login at a PHP site, whose running requests write back what they had read. Null where
 * PHP's sessions are out of reach: then the end is handed over to a worker, at once, which has delays of its own.
 */
export function recheckQueue(
  redis: Redis,
  names: Names,
  delaysMs: readonly number[],
  log: Log,
  phpDelaysMs: readonly number[] | null = null,
): RecheckQueue {
  let queue: Queue | null = null;
  const open = (): Queue => {
    const opened = new Queue(names.queue, {
      connection: redis,
      prefix: names.prefix,
      skipVersionCheck: true,
      skipMetasUpdate: true,
      // One that failed for good would hold its id, and the next end of the same login would get no re-check of that step.
      defaultJobOptions: { ...JOB_OPTIONS, removeOnComplete: true, removeOnFail: true },
    });
    opened.on('error', (error) => logQueueError(log, error));
    return opened;
  };
  return {
    async schedule(revocations) {
      // BullMQ would wait for the connection without end; a request that ends a session must not.
      if (redis.options.enableOfflineQueue === false && redis.status !== 'ready') throw new Error('Redis is away');
      queue ??= open();
      // Those of a PHP site have steps of their own.
      const isPhp = ({ php, handedOver }: Revocation) => php !== undefined || handedOver === true;
      const others = chunksOf(revocations.filter((one) => !isPhp(one)));
      await queue.addBulk([
        ...others.flatMap((ends) => jobsOf(ends, delaysMs, [])),
        ...revocations.filter(isPhp).flatMap((one) => jobsOf([one], delaysMs, phpDelaysMs)),
      ]);
    },
    async close() {
      await queue?.close();
    },
  };
}

function chunksOf(ends: readonly Revocation[]): (readonly Revocation[])[] {
  const count = Math.ceil(ends.length / ENDS_PER_JOB);
  return Array.from({ length: count }, (_, i) => ends.slice(i * ENDS_PER_JOB, (i + 1) * ENDS_PER_JOB));
}

function jobsOf(ends: readonly Revocation[], delaysMs: readonly number[], phpDelaysMs: readonly number[] | null) {
  const lastMs = Math.max(...delaysMs, ...(phpDelaysMs ?? []));
  // Which is the last of an end that is handed over, only the worker knows, whose jobs come beside these.
  const isWhole = phpDelaysMs !== null;
  const id = idOf(ends);
  const jobOf = (step: string, delay: number, more: More) => ({
    name: 'recheck',
    data: dataOf(ends, more),
    opts: { jobId: `${id}-${step}`, delay },
  });
  const job = (prefix: string) => (delay: number, step: number) =>
    jobOf(`${prefix}${step}`, delay, isWhole && delay === lastMs ? { last: true } : {});
  const atPhp = phpDelaysMs?.map(job('php')) ?? [jobOf('php-now', 0, { handedOver: true })];
  return [...delaysMs.map(job('')), ...atPhp];
}

/**
 * The id makes a repeat harmless: the queue takes each id once. Another end of the same login has re-checks of its own. Where
 * a repeat ends only some of a batch, for the others are on record, those are re-checked once more, which does no harm.
 */
function idOf(ends: readonly Revocation[]): string {
  const names = ends.map(({ lid, reason }) => `${lid}-${reason}`);
  return names.length === 1 ? names.join() : createHash('sha256').update(names.join()).digest('base64url');
}

type More = Pick<Revocation, 'last' | 'handedOver'>;

function dataOf(ends: readonly Revocation[], more: More) {
  const rows = ends.map(({ lid, handle, reason, caseId, atMs, loginAtMs, php }) => {
    const sealed = php === undefined ? {} : { php };
    return { lid, handle, reason, caseId, atMs, loginAtMs, ...sealed, ...more };
  });
  return rows.length === 1 ? { v: 1, ...rows[0] } : { v: 2, ends: rows };
}

/** Whatever these sessions end is re-checked. The end itself does not fail when that cannot be arranged. */
export function rechecked(sessions: Sessions, rechecks: Rechecks, log: Log): Sessions {
  return {
    async revoke(revocations) {
      const results = await sessions.revoke(revocations);
      const ended = revocations.flatMap((one, i) => {
        const result = results[i];
        if (result instanceof Error) return [];
        if (result?.hasPhpIds) return [{ ...one, handedOver: true as const }];
        // Of a login that nobody knows of, whoever makes up ids would have three jobs for each.
        return one.markOnly && result?.outcome === 'not_found' ? [] : [one];
      });
      try {
        if (ended.length > 0) await rechecks.schedule(ended);
      } catch (error) {
        log.warn({ event: 'recheck_unscheduled', error: errorName(error) }, 'A login has ended without re-checks');
      }
      return results;
    },
  };
}

export interface RecheckConsumer {
  close(force?: boolean): Promise<void>;
}

/** `isFinal`: where it throws now, it is not tried again. */
type HandleRechecks = (ends: readonly Revocation[], pass: string, isFinal: boolean) => Promise<void>;

/** Calls `handle` with each job's ends when they are due; where it throws, all of them are tried again. */
export function startRechecks(redis: Redis, names: Names, handle: HandleRechecks, log: Log): RecheckConsumer {
  const work = async (job: Job): Promise<void> => {
    const ends = jobSchema.safeParse(job.data);
    if (!ends.success) throw new UnrecoverableError('malformed_job');
    const all = ends.data.map(({ reason, ...rest }) => ({ ...rest, reason: reason as EndReason }));
    await handle(all, `recheck:${job.id}`, job.attemptsMade + 1 >= (job.opts.attempts ?? 1));
  };
  const worker = new Worker(names.queue, work, { connection: redis, prefix: names.prefix, concurrency: 10 });
  worker.on('error', (error) => logQueueError(log, error));
  worker.on('failed', (job, error) => {
    const final = job === undefined || job.finishedOn !== undefined;
    const fields = { event: 'recheck_failed', attempt: job?.attemptsMade, error: errorName(error), final };
    if (final) log.error(fields, 'A re-check failed for good');
    else log.warn(fields, 'A re-check failed and is tried again');
  });
  return {
    // Nothing in hand can be finished while Redis is away.
    close: (force = false) => worker.close(force || redis.status !== 'ready'),
  };
}

function logQueueError(log: Log, error: unknown): void {
  log.debug({ event: 'queue_error', error: errorName(error) }, 'The queue had an error');
}
