import { type Job, type JobsOptions, Queue, UnrecoverableError, Worker } from 'bullmq';
import type { Redis } from 'ioredis';
import { z } from 'zod';
import { errorName } from '../errors.ts';
import type { Clock, Log, RegistryAsk, RegistryAsks, SetAside } from '../ports.ts';
import { LOGINS_PER_JOB, loginEventSchema } from './job.ts';

/**
 * The queue of logins to ask the registries about: its own, with its own worker, so that a slow registry delays no login.
 * Evidence that does not come within a day is not waited for.
 */
const VERSION = 1;
const GIVE_UP_MS = 86_400_000;
const MAX_DELAY_MS = 3_600_000;

const JOB_OPTIONS: JobsOptions = {
  attempts: 8,
  backoff: { type: 'exponential', delay: 1000, jitter: 0.5 },
  removeOnComplete: { age: 3600, count: 1000 },
  removeOnFail: { age: 7 * 86_400, count: 1000 },
};

const text = z.string().max(256);
const flagsSchema = z.array(z.enum(['anonymiser', 'hosting', 'anycast'])).max(3);

/** As the login worker wrote it (`Evidence`); what is longer than a database's words can be is not ours. */
const evidenceSchema = z.object({
  source: z.enum(['mmdb', 'geoip-lite', 'override', 'registry']).optional(),
  database: text,
  builtOn: text.nullable(),
  country: z.string().max(2).nullable(),
  network: text.nullable(),
  note: text.optional(),
  latitude: z.number().optional(),
  longitude: z.number().optional(),
  radiusKm: z.number().optional(),
  flags: flagsSchema.optional(),
  asn: z.number().optional(),
  holder: text.optional(),
});

const askSchema = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('disputed'),
    caseId: z.string().regex(/^[\w-]{1,64}$/),
    address: z.string().max(64),
    queuedAtMs: z.int().min(0).optional(),
  }),
  z.object({
    kind: z.literal('unlocatable'),
    login: loginEventSchema,
    queuedAtMs: z.int().min(0),
    evidence: z.array(evidenceSchema).max(256).optional(),
    flags: flagsSchema.optional(),
  }),
]);

const payloadSchema = z.object({
  v: z.literal(VERSION),
  asks: z
    .array(askSchema)
    .min(1)
    .max(2 * LOGINS_PER_JOB),
  /** When the first of these was put on the queue, milliseconds since the epoch. */
  sinceMs: z.int().min(0),
  /** How often what was left has been put back. */
  round: z.int().min(0),
  /** How often in a row none of them was answered. Missing in jobs of an older release. */
  stuck: z.int().min(0).optional(),
});

interface Payload {
  readonly v: typeof VERSION;
  readonly asks: readonly RegistryAsk[];
  readonly sinceMs: number;
  readonly round: number;
  readonly stuck?: number | undefined;
}

interface Names {
  readonly queue: string;
  readonly prefix: string;
}

export interface RegistryAsksAdapter extends RegistryAsks {
  close(): Promise<void>;
}

function openQueue(redis: Redis, { queue, prefix }: Names, log: Log): Queue<Payload> {
  const options = { connection: redis, prefix, skipMetasUpdate: true, defaultJobOptions: JOB_OPTIONS };
  const opened = new Queue<Payload>(queue, options);
  opened.on('error', (error) => log.debug({ event: 'queue_error', error: errorName(error) }, 'The queue had an error'));
  return opened;
}

/** The login worker's side. */
export function registryAsks(redis: Redis, names: Names, log: Log, clock: Clock): RegistryAsksAdapter {
  const queue = openQueue(redis, names, log);
  return {
    async add(id, asks) {
      await queue.add('asks', { v: VERSION, asks, sinceMs: clock(), round: 0 }, { jobId: id });
    },
    close: () => queue.close(),
  };
}

/** Returns what could not be answered yet, and when to try it again. Throws only when nothing could be done (Redis is away). */
export type HandleAsks = (
  jobId: string,
  asks: readonly RegistryAsk[],
  /** When the first of them was put on the queue. */
  sinceMs: number,
) => Promise<{ readonly asks: readonly RegistryAsk[]; readonly afterMs: number } | null>;

export interface RegistryConsumerOptions {
  readonly handle: HandleAsks;
  readonly setAside: SetAside;
  readonly log: Log;
  readonly clock: Clock;
  /** Jobs in hand at the same time. */
  readonly concurrency: number;
}

export interface RegistryConsumer {
  /** Takes no new job and resolves when those in hand are done; with `force`, at once. */
  close(force?: boolean): Promise<void>;
  isRunning(): boolean;
}

export function startRegistryConsumer(redis: Redis, names: Names, options: RegistryConsumerOptions): RegistryConsumer {
  const { log } = options;
  const queue = openQueue(redis, names, log);
  const worker = new Worker<Payload>(names.queue, (job) => work(job, queue, options), {
    connection: redis,
    prefix: names.prefix,
    concurrency: options.concurrency,
    maxStalledCount: JOB_OPTIONS.attempts ?? 1,
  });
  worker.on('error', (error) => log.debug({ event: 'queue_error', error: errorName(error) }, 'The queue had an error'));
  worker.on('failed', (job, error) =>
    log.warn(
      { event: 'registry_job_failed', jobId: job?.id, attempt: job?.attemptsMade, error: errorName(error) },
      'A registry job failed; its logins stay as decided until it is done',
    ),
  );
  return {
    async close(force = false) {
      await worker.close(force);
      await queue.close();
    },
    isRunning: () => worker.isRunning(),
  };
}

async function work(job: Job<unknown>, queue: Queue<Payload>, options: RegistryConsumerOptions): Promise<string> {
  const decoded = payloadSchema.safeParse(job.data);
  const jobId = String(job.id);
  if (!decoded.success) {
    const entry = { code: 'malformed_job', atMs: options.clock(), jobId, index: null, field: null, lid: null } as const;
    await options.setAside.put(`registry-${jobId}`, [entry]);
    throw new UnrecoverableError('malformed_job');
  }
  const { asks, sinceMs, round, stuck = 0 } = decoded.data;
  const left = await options.handle(jobId, asks, sinceMs);
  if (left === null) return 'done';
  if (options.clock() - sinceMs > GIVE_UP_MS) {
    options.log.warn(
      { event: 'registry_gave_up', jobId, count: left.asks.length },
      'No registry answered within a day; these logins stay as decided',
    );
    return 'gave up';
  }
  // A job of its own, under an id that makes a repeat of this step harmless.
  const nextStuck = left.asks.length < asks.length ? 0 : stuck + 1;
  const delay = putBackFor(left.afterMs, nextStuck, Math.random());
  const data: Payload = { v: VERSION, asks: left.asks, sinceMs, round: round + 1, stuck: nextStuck };
  await queue.add('asks', data, { jobId: `${jobId.replace(/-w\d+$/, '')}-w${round + 1}`, delay });
  return 'put back';
}

/**
 * As long as was asked for; where nothing moves, twice as long each time; an hour at most; and up to a quarter more, so that
 * what was refused together does not come back together. Milliseconds.
 */
export function putBackFor(afterMs: number, stuck: number, random: number): number {
  const doubled = 1000 * 2 ** Math.min(stuck, 12);
  return Math.round(Math.min(MAX_DELAY_MS, Math.max(1000, afterMs, doubled)) * (1 + random / 4));
}
