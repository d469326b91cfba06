import { type Job, Queue, UnrecoverableError, Worker } from 'bullmq';
import type { Redis } from 'ioredis';
import type { LoginEvent } from '../domain/types.ts';
import { errorName } from '../errors.ts';
import type { Clock, Log, SetAside } from '../ports.ts';
import { type Decoded, decodePayload, encodePayload, type Malformed, type Payload } from './job.ts';
import { JOB_OPTIONS } from './login-queue.ts';

/** What the worker is told of a batch beside its logins. */
export interface BatchContext {
  readonly jobId: string;
  /** When the job was queued, milliseconds since the epoch. */
  readonly queuedAtMs: number;
  /** True when this job was started before, by a worker that died or failed: some of its effects may be there. */
  readonly startedBefore: boolean;
}

/** Handles a batch; returns the logins that failed, each for itself. Throws only when the whole batch could not be done. */
export type HandleBatch = (logins: readonly LoginEvent[], context: BatchContext) => Promise<readonly LoginEvent[]>;

export interface ConsumerOptions {
  readonly handle: HandleBatch;
  readonly setAside: SetAside;
  readonly log: Log;
  readonly clock: Clock;
  /** Jobs in hand at the same time. */
  readonly concurrency: number;
  /** A worker that died is noticed after this long, milliseconds. */
  readonly lockDurationMs: number;
}

export interface Consumer {
  /** Takes no new job and resolves when those in hand are done; with `force`, at once. */
  close(force?: boolean): Promise<void>;
  isRunning(): boolean;
}

/** A login that failed alone this often is set aside. */
const MAX_RETURNS = 5;
const FIRST_RETURN_DELAY_MS = 1000;

export function startConsumer(
  redis: Redis,
  names: { queue: string; prefix: string },
  options: ConsumerOptions,
): Consumer {
  const { log } = options;
  const shared = { connection: redis, prefix: names.prefix };
  const queue = new Queue<Payload>(names.queue, { ...shared, skipMetasUpdate: true, defaultJobOptions: JOB_OPTIONS });
  const worker = new Worker<Payload>(names.queue, (job) => processJob(job, queue, options), {
    ...shared,
    concurrency: options.concurrency,
    lockDuration: options.lockDurationMs,
    stalledInterval: options.lockDurationMs,
    // A job whose worker dies each time must not be tried for ever; it goes to the failed set and stays visible there.
    maxStalledCount: JOB_OPTIONS.attempts ?? 1,
  });
  const onError = (error: unknown) =>
    log.debug({ event: 'queue_error', error: errorName(error) }, 'The queue had an error');
  queue.on('error', onError);
  worker.on('error', onError);
  worker.on('stalled', (jobId) =>
    log.warn({ event: 'job_stalled', jobId }, 'A worker died with this job; it is done again'),
  );
  worker.on('failed', (job, error) => {
    const final = job === undefined || job.finishedOn !== undefined;
    const fields = { event: 'job_failed', jobId: job?.id, attempt: job?.attemptsMade, error: errorName(error), final };
    if (final) log.error(fields, 'A job failed for good; it stays in the failed set');
    else log.warn(fields, 'A job failed and is tried again');
  });
  return {
    async close(force = false) {
      // While Redis is away nothing in hand can be finished: another worker will do it. Waiting would be for ever.
      await worker.close(force || redis.status !== 'ready');
      await queue.close();
    },
    isRunning: () => worker.isRunning(),
  };
}

async function processJob(job: Job<Payload>, queue: Queue<Payload>, options: ConsumerOptions): Promise<string> {
  const decoded = decodePayload(job.data);
  const jobId = String(job.id);
  if (decoded.malformed.length > 0) await putAside(decoded.malformed, jobId, options);
  if (decoded.logins.length === 0) throw new UnrecoverableError(decoded.malformed[0]?.code ?? 'malformed_job');
  const failed = await options.handle(decoded.logins, {
    jobId,
    queuedAtMs: job.timestamp,
    startedBefore: job.attemptsStarted > 1 || job.stalledCounter > 0 || decoded.returned > 0,
  });
  if (failed.length > 0) await giveBack(failed, decoded, jobId, queue, options);
  return `${decoded.logins.length - failed.length}/${decoded.logins.length}`;
}

async function putAside(malformed: readonly Malformed[], jobId: string, options: ConsumerOptions): Promise<void> {
  const atMs = options.clock();
  await options.setAside.put(malformed.map((one) => ({ ...one, atMs, jobId })));
  const first = malformed[0];
  options.log.error(
    { event: 'set_aside', jobId, count: malformed.length, code: first?.code, field: first?.field },
    'What could not be read was set aside; see the set-aside list',
  );
}

/** The logins that failed go back as a job of their own, so that the others are neither failed nor repeated with them. */
async function giveBack(
  failed: readonly LoginEvent[],
  decoded: Decoded,
  jobId: string,
  queue: Queue<Payload>,
  options: ConsumerOptions,
): Promise<void> {
  const returned = decoded.returned + 1;
  if (returned > MAX_RETURNS) {
    const rows = failed.map(({ lid }) => ({ code: 'login_failed' as const, index: null, field: null, lid }));
    return putAside(rows, jobId, options);
  }
  // The id makes a repeat of this step harmless: the queue takes each id once.
  await queue.add('logins', encodePayload(failed, returned), {
    jobId: `${jobId}-r${returned}`,
    delay: FIRST_RETURN_DELAY_MS * 4 ** (returned - 1),
  });
}
