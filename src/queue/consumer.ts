import { type Job, Queue, UnrecoverableError, Worker } from 'bullmq';
import type { Redis } from 'ioredis';
import type { LoginEvent } from '../domain/types.ts';
import { errorName } from '../errors.ts';
import type { Clock, Log, SetAside } from '../ports.ts';
import { type Decoded, decodePayload, encodePayload, type Malformed, type Payload } from './job.ts';
import { JOB_OPTIONS } from './login-queue.ts';
import { WeightedGate } from './weighted-gate.ts';

/** What the worker is told of a batch beside its logins. */
export interface BatchContext {
  readonly jobId: string;
  /** When the job was queued, milliseconds since the epoch. */
  readonly queuedAtMs: number;
  /** True when this job was started before, by a worker that died or failed: some of its effects may be there. */
  readonly startedBefore: boolean;
  /** These logins waited for data to locate them with. `isLast`: those that still cannot be are not put back again. */
  readonly recheck?: { readonly isLast: boolean } | undefined;
}

export interface Handled {
  /** Failed, each for itself: tried again soon. */
  readonly failed: readonly LoginEvent[];
  /** For want of data: tried again later. */
  readonly unchecked: readonly LoginEvent[];
}

/** Throws only when the whole batch could not be done. */
export type HandleBatch = (logins: readonly LoginEvent[], context: BatchContext) => Promise<Handled>;

export interface ConsumerOptions {
  readonly handle: HandleBatch;
  readonly setAside: SetAside;
  readonly log: Log;
  readonly clock: Clock;
  /** Jobs in hand at the same time. */
  readonly concurrency: number;
  /** A worker that died is noticed after this long, milliseconds. */
  readonly lockDurationMs: number;
  /** How long logins wait for data the first time, milliseconds; then twice as long each time, up to an hour. */
  readonly recheckDelayMs: number;
  /** How long a login that failed alone waits the first time, milliseconds; then four times as long each time. Default 1000. */
  readonly returnDelayMs?: number | undefined;
}

export interface Consumer {
  /** Takes no new job and resolves when those in hand are done; with `force`, at once. */
  close(force?: boolean): Promise<void>;
  isRunning(): boolean;
}

/** A login that failed alone this often is set aside. */
const MAX_RETURNS = 5;
const FIRST_RETURN_DELAY_MS = 1000;

/** About a day with the usual delays. Not longer: without any database every login waits, in Redis. */
const MAX_RECHECKS = 30;
const MAX_RECHECK_DELAY_MS = 3_600_000;

/**
 * Under load a job carries 100 logins, else one: many jobs are taken at once so that light ones do not wait for each
 * other, but no more logins than this. More only means that workers decide the same users against each other.
 */
const LOGINS_IN_HAND = 400;

export function startConsumer(
  redis: Redis,
  names: { queue: string; prefix: string },
  options: ConsumerOptions,
): Consumer {
  const { log } = options;
  const shared = { connection: redis, prefix: names.prefix };
  const queue = new Queue<Payload>(names.queue, { ...shared, skipMetasUpdate: true, defaultJobOptions: JOB_OPTIONS });
  const gate = new WeightedGate(LOGINS_IN_HAND);
  const worker = new Worker<Payload>(
    names.queue,
    (job) => gate.run(weightOf(job), () => processJob(job, queue, options)),
    {
      ...shared,
      concurrency: options.concurrency,
      lockDuration: options.lockDurationMs,
      stalledInterval: options.lockDurationMs,
      // A job whose worker dies each time must not be tried for ever; it goes to the failed set and stays visible there.
      maxStalledCount: JOB_OPTIONS.attempts ?? 1,
    },
  );
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

/** Before it is read: what is not a list is refused soon enough. */
function weightOf({ data }: Job<Payload>): number {
  const logins: unknown = data?.logins;
  return Array.isArray(logins) ? Math.min(logins.length, LOGINS_IN_HAND) : 1;
}

async function processJob(job: Job<Payload>, queue: Queue<Payload>, options: ConsumerOptions): Promise<string> {
  const decoded = decodePayload(job.data);
  const jobId = String(job.id);
  if (decoded.malformed.length > 0) await putAside(decoded.malformed, jobId, `${jobId}-malformed`, options);
  if (decoded.logins.length === 0) throw new UnrecoverableError(decoded.malformed[0]?.code ?? 'malformed_job');
  const { failed, unchecked } = await options.handle(decoded.logins, {
    jobId,
    queuedAtMs: job.timestamp,
    startedBefore: job.attemptsStarted > 1 || job.stalledCounter > 0 || decoded.returned > 0,
    recheck: decoded.recheck === 0 ? undefined : { isLast: decoded.recheck >= MAX_RECHECKS },
  });
  if (unchecked.length > 0) await letWait(unchecked, decoded, jobId, queue, options);
  if (failed.length > 0) await giveBack(failed, decoded, jobId, queue, options);
  return `${decoded.logins.length - failed.length}/${decoded.logins.length}`;
}

async function putAside(
  malformed: readonly Malformed[],
  jobId: string,
  batchId: string,
  options: ConsumerOptions,
): Promise<void> {
  const atMs = options.clock();
  const isNew = await options.setAside.put(
    batchId,
    malformed.map((one) => ({ ...one, atMs, jobId })),
  );
  if (!isNew) return;
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
    return putAside(rows, jobId, `${jobId}-failed`, options);
  }
  // The id makes a repeat of this step harmless: the queue takes each id once.
  await queue.add('logins', encodePayload(failed, returned, decoded.recheck), {
    jobId: `${jobId}-r${returned}`,
    delay: (options.returnDelayMs ?? FIRST_RETURN_DELAY_MS) * 4 ** (returned - 1),
  });
}

/** Those that could not be located for want of data wait, as a job of their own, until there is some. */
async function letWait(
  unchecked: readonly LoginEvent[],
  { recheck }: Decoded,
  jobId: string,
  queue: Queue<Payload>,
  { recheckDelayMs }: ConsumerOptions,
): Promise<void> {
  // As above, the id makes a repeat harmless.
  await queue.add('logins', encodePayload(unchecked, 0, recheck + 1), {
    jobId: `${jobId.replace(/-u\d+$/, '')}-u${recheck + 1}`,
    delay: Math.min(MAX_RECHECK_DELAY_MS, recheckDelayMs * 2 ** recheck),
  });
}
