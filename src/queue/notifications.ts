import { type Job, type JobsOptions, Queue, UnrecoverableError, Worker } from 'bullmq';
import type { Redis } from 'ioredis';
import { z } from 'zod';
import type { DeadLetter } from '../desk-ports.ts';
import {
  caseOfNotice,
  NOTIFICATION_EVENTS,
  type Notice,
  type NotificationEvent,
  noticeId,
} from '../domain/notification.ts';
import { errorName } from '../errors.ts';
import type { Clock, Log } from '../ports.ts';

/**
 * What webhooks are to be told. Two kinds of job in one queue: a notice, which whoever has something to tell adds, and
 * which a worker turns into one delivery for each endpoint of its configuration; so an endpoint that is away keeps no
 * other waiting, and only workers need to know the endpoints. Jobs name cases: no user, no secret, no link.
 */
const VERSION = 1;
const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** The times that Standard Webhooks recommends: ten attempts within about three days. */
export const RETRY_DELAYS_MS: readonly number[] = [
  5 * SECOND,
  5 * MINUTE,
  30 * MINUTE,
  2 * HOUR,
  5 * HOUR,
  10 * HOUR,
  14 * HOUR,
  20 * HOUR,
  24 * HOUR,
];
/** A part of each delay that chance may add, so that not all come back at once to a receiver that was away. */
const JITTER = 0.2;
/** A receiver may ask for more time, but not for ever. */
const MAX_RETRY_AFTER_MS = 24 * HOUR;

/** Each waits for a receiver, mostly: a slow one must not take all places. */
const CONCURRENCY = 20;

const DEAD_AGE_SECONDS = 30 * 86_400;
const KEPT = { removeOnFail: { age: DEAD_AGE_SECONDS, count: 10_000 } } as const;
/** Done ones stay a day, so that a repeat of the same id tells nobody twice. */
const NOTICE_JOB: JobsOptions = {
  ...KEPT,
  attempts: 8,
  backoff: { type: 'exponential', delay: SECOND, jitter: 0.5 },
  removeOnComplete: { age: 86_400, count: 10_000 },
};
const DELIVERY_JOB: JobsOptions = { ...KEPT, removeOnComplete: { age: 86_400, count: 10_000 } };

const atMs = z.int().min(0).max(9_999_999_999_999);
const caseId = z.string().regex(/^[0-9A-Z-]{14}$/);
const by = z.string().max(128);
const counts = z.object({ logins: z.int().min(0), revokes: z.int().min(0) });
const noticeSchema = z.discriminatedUnion('event', [
  z.object({ event: z.literal('incident.recorded'), caseId, atMs }),
  z.object({ event: z.literal('session.ended_again'), caseId, atMs }),
  z.object({
    event: z.literal('incident.answered'),
    caseId,
    atMs,
    disposition: z.enum(['confirmed', 'safe', 'dismissed']),
    by,
  }),
  z.object({ event: z.literal('session.given_back'), caseId, atMs, by }),
  z.object({
    event: z.literal('brake.tripped'),
    atMs,
    trip: z.object({ atMs, why: z.enum(['share', 'surge']), window: counts, day: counts }),
  }),
  z.object({ event: z.literal('brake.reset'), atMs, by }),
]);

/** One notice for one endpoint. */
export interface Delivery {
  /** Of the message: the same for every endpoint and attempt. */
  readonly id: string;
  /** The notice's, or `user.question` made of one. */
  readonly event: NotificationEvent;
  /** Stands for its URL. */
  readonly endpoint: string;
  readonly host: string;
  readonly notice: Notice;
}

const deliverySchema = z.object({
  v: z.literal(VERSION),
  id: z.string().regex(/^[\w-]{1,100}$/),
  event: z.enum(NOTIFICATION_EVENTS as readonly [NotificationEvent, ...NotificationEvent[]]),
  endpoint: z.string().regex(/^[\w-]{1,40}$/),
  host: z.string().max(300),
  notice: noticeSchema,
});
const noticeJobSchema = z.object({ v: z.literal(VERSION), notice: noticeSchema });

interface Names {
  readonly queue: string;
  readonly prefix: string;
}

function logQueueError(log: Log, error: unknown): void {
  log.debug({ event: 'queue_error', error: errorName(error) }, 'The queue had an error');
}

/** Over a connection of ours, which we close ourselves. Costs nothing until it is used. */
function lazyQueue(redis: Redis, { queue: name, prefix }: Names, log: Log) {
  let queue: Queue | null = null;
  return {
    get(): Queue {
      // BullMQ would wait for the connection without end; a web process must not.
      if (redis.options.enableOfflineQueue === false && redis.status !== 'ready') throw new Error('Redis is away');
      if (queue === null) {
        queue = new Queue(name, { connection: redis, prefix, skipVersionCheck: true, skipMetasUpdate: true });
        queue.on('error', (error) => logQueueError(log, error));
      }
      return queue;
    },
    async close(): Promise<void> {
      await queue?.close();
    },
  };
}

export interface NoticeQueue {
  /** Idempotent per notice. Throws when Redis is away. */
  add(notices: readonly Notice[]): Promise<void>;
  close(): Promise<void>;
}

export function noticeQueue(redis: Redis, names: Names, log: Log): NoticeQueue {
  const queue = lazyQueue(redis, names, log);
  return {
    async add(notices) {
      const jobs = notices.map((notice) => ({
        name: 'notice',
        data: { v: VERSION, notice },
        opts: { ...NOTICE_JOB, jobId: noticeId(notice) },
      }));
      if (jobs.length > 0) await queue.get().addBulk(jobs);
    },
    close: queue.close,
  };
}

/** `why`: a code, never text of the receiver's. `isFinal`: trying again would be of no use. */
export type DeliveryResult =
  | { readonly kind: 'delivered' }
  | { readonly kind: 'failed'; readonly why: string; readonly isFinal: boolean; readonly retryAfterMs: number | null };

export interface NotificationConsumerOptions {
  /** Who is to be told of it? Throws when Redis is away. */
  route(notice: Notice): Promise<readonly Delivery[]>;
  /** Tells it. Throws when Redis is away. */
  deliver(delivery: Delivery): Promise<DeliveryResult>;
  readonly log: Log;
  /** Between one attempt and the next; one attempt more than there are delays. Default RETRY_DELAYS_MS. */
  readonly retryDelaysMs?: readonly number[] | undefined;
  readonly lockDurationMs?: number | undefined;
}

export interface NotificationConsumer {
  /** Takes no new job and resolves when those in hand are done; with `force`, at once. */
  close(force?: boolean): Promise<void>;
}

/** The message is a code: BullMQ keeps it with the job. */
class DeliveryFailed extends Error {
  readonly retryAfterMs: number | null;

  constructor(why: string, retryAfterMs: number | null) {
    super(why);
    this.name = 'DeliveryFailed';
    this.retryAfterMs = retryAfterMs;
  }
}

export function startNotificationConsumer(
  redis: Redis,
  names: Names,
  options: NotificationConsumerOptions,
): NotificationConsumer {
  const { log, retryDelaysMs = RETRY_DELAYS_MS, lockDurationMs = 30_000 } = options;
  const shared = { connection: redis, prefix: names.prefix };
  const queue = new Queue(names.queue, { ...shared, skipVersionCheck: true, skipMetasUpdate: true });
  const attempts = retryDelaysMs.length + 1;
  const work = (job: Job) => (job.name === 'notice' ? fanOut(job, queue, attempts, options) : deliver(job, options));
  const worker = new Worker(names.queue, work, {
    ...shared,
    concurrency: CONCURRENCY,
    lockDuration: lockDurationMs,
    stalledInterval: lockDurationMs,
    maxStalledCount: attempts,
    settings: { backoffStrategy: (made, _type, error) => delayOf(retryDelaysMs, made, error) },
  });
  queue.on('error', (error) => logQueueError(log, error));
  worker.on('error', (error) => logQueueError(log, error));
  worker.on('failed', (job, error) => logFailure(log, job, error));
  return {
    async close(force = false) {
      // While Redis is away nothing in hand can be finished: another worker will do it.
      await worker.close(force || redis.status !== 'ready');
      await queue.close();
    },
  };
}

function delayOf(delaysMs: readonly number[], attemptsMade: number, error: Error | undefined): number {
  const planned = delaysMs[Math.min(attemptsMade, delaysMs.length) - 1] ?? 0;
  const asked = error instanceof DeliveryFailed ? (error.retryAfterMs ?? 0) : 0;
  return Math.round(Math.max(planned, Math.min(asked, MAX_RETRY_AFTER_MS)) * (1 + JITTER * Math.random()));
}

/** The ids make a repeat of this step harmless: the queue takes each id once. */
async function fanOut(
  job: Job,
  queue: Queue,
  attempts: number,
  { route }: NotificationConsumerOptions,
): Promise<string> {
  const decoded = noticeJobSchema.safeParse(job.data);
  if (!decoded.success) throw new UnrecoverableError('malformed_job');
  const deliveries = await route(decoded.data.notice);
  const jobs = deliveries.map((delivery) => ({
    name: 'delivery',
    data: { v: VERSION, ...delivery },
    opts: { ...DELIVERY_JOB, attempts, backoff: { type: 'custom' }, jobId: `${delivery.id}-${delivery.endpoint}` },
  }));
  if (jobs.length > 0) await queue.addBulk(jobs);
  return String(jobs.length);
}

async function deliver(job: Job, options: NotificationConsumerOptions): Promise<string> {
  const decoded = deliverySchema.safeParse(job.data);
  if (!decoded.success) throw new UnrecoverableError('malformed_job');
  const result = await options.deliver(decoded.data);
  if (result.kind === 'delivered') return result.kind;
  if (result.isFinal) throw new UnrecoverableError(result.why);
  throw new DeliveryFailed(result.why, result.retryAfterMs);
}

function logFailure(log: Log, job: Job | undefined, error: Error): void {
  const final = job === undefined || job.finishedOn !== undefined;
  const fields = {
    event: 'notification_failed',
    id: job?.id,
    host: hostOf(job),
    attempt: job?.attemptsMade,
    why: whyOf(error.message),
    final,
  };
  if (final) log.error(fields, 'A notification was given up; see `session-bouncer notifications list`');
  else log.warn(fields, 'A notification was not delivered and is tried again');
}

/** Whatever is no code of ours (an error of BullMQ's or of Redis) is told as such, not quoted. */
function whyOf(text: string | undefined): string {
  return text !== undefined && /^[a-z][a-z0-9_]{1,40}$/.test(text) ? text : 'error';
}

function hostOf(job: Job | undefined): string {
  const host: unknown = job?.data?.host;
  return typeof host === 'string' && /^[\w.:[\]-]{1,270}$/.test(host) ? host : '';
}

export interface DeadLetters {
  /** Newest first. */
  list(limit: number): Promise<DeadLetter[]>;
  count(): Promise<number>;
  /** All its attempts once more. False: it is not there any more. */
  retry(id: string): Promise<boolean>;
  close(): Promise<void>;
}

/** Those that were given up: the newest 10,000, for 30 days. Each may throw when Redis is away. */
export function deadLetters(redis: Redis, names: Names, log: Log, clock: Clock = Date.now): DeadLetters {
  const queue = lazyQueue(redis, names, log);
  return {
    async list(limit) {
      if (limit < 1) return [];
      const jobs = (await queue.get().getJobs(['failed'], 0, limit - 1)) as (Job | undefined)[];
      const oldestMs = clock() - DEAD_AGE_SECONDS * SECOND;
      return jobs.flatMap((job) => (job && (job.finishedOn ?? 0) >= oldestMs ? [letterOf(job)] : []));
    },
    count: () => queue.get().getFailedCount(),
    async retry(id) {
      // Any other word could be the name of a key of BullMQ's own.
      if (!/^(incident|session|brake|user)-[\w-]{1,150}$/.test(id)) return false;
      const job = (await queue.get().getJob(id)) as Job | undefined;
      if (job === undefined || !(await job.isFailed())) return false;
      try {
        await job.retry('failed', { resetAttemptsMade: true, resetAttemptsStarted: true });
        return true;
      } catch (error) {
        // Somebody else was faster.
        if (await job.isFailed()) throw error;
        return false;
      }
    },
    close: queue.close,
  };
}

function letterOf(job: Job): DeadLetter {
  const decoded = z.object({ notice: noticeSchema }).safeParse(job.data);
  const event = deliverySchema.shape.event.safeParse(job.data?.event ?? job.data?.notice?.event);
  return {
    id: String(job.id),
    event: event.success ? event.data : 'unknown',
    host: hostOf(job),
    caseId: decoded.success ? caseOfNotice(decoded.data.notice) : null,
    atMs: job.finishedOn ?? job.timestamp,
    attempts: job.attemptsMade,
    why: whyOf(job.failedReason),
  };
}
