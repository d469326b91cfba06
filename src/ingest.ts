/** The ingest as a server of its own: login events over HTTP onto the queue, visits onto their incidents. */

import type { Redis } from 'ioredis';
import { compileTrust } from './domain/forwarded.ts';
import { SHARED_SECRET } from './domain/notification.ts';
import { BouncerError } from './errors.ts';
import { type IngestStats, ingestApp } from './ingest/app.ts';
import { serve } from './ingest/server.ts';
import { REMEMBER_MS } from './ingest/signature.ts';
import { defaultLog } from './log.ts';
import type { Clock, Log } from './ports.ts';
import { loginQueue } from './queue/login-queue.ts';
import { openWebRedis, type RedisTarget } from './redis/connection.ts';
import { redisIncidents } from './redis/incidents.ts';
import { type Keys, keysFor, LOGIN_QUEUE } from './redis/keys.ts';
import { redisVisitsOnce } from './redis/visits-once.ts';
import { Releasers } from './release.ts';

export interface IngestOptions {
  readonly redis: RedisTarget;
  /** As the worker's. Default `bouncer`. */
  readonly prefix?: string | undefined;
  /** `whsec_<base64>`, one to five: each is good. */
  readonly secrets: readonly string[];
  /** Default `127.0.0.1`. */
  readonly host?: string | undefined;
  /** Default 8990; 0 takes a free one. */
  readonly port?: number | undefined;
  /** Of each secret; twice as many may come at once. Default 5000. */
  readonly loginsPerSecond?: number | undefined;
  /** As `createBouncer`'s: the proxies in front. Without them all that comes through a proxy is one sender. */
  readonly trustProxy?: number | readonly string[] | undefined;
  /** As the worker's `incidentTtlDays`: visits stay with their incident. Default 365. */
  readonly incidentTtlDays?: number | undefined;
  /** What Redis has not taken by then is answered 503. Default 2000. */
  readonly timeoutMs?: number | undefined;
  readonly log?: Log | undefined;
  readonly clock?: Clock | undefined;
}

export interface Ingest {
  readonly url: string;
  stats(): IngestStats;
  /** Takes no new request, answers those in hand, then lets go of Redis. */
  close(): Promise<void>;
}

const DAY_MS = 86_400_000;

/** Throws BouncerError `config_invalid` before anything is opened; listens when it resolves, whether Redis is there or not. */
export async function openIngest(options: IngestOptions): Promise<Ingest> {
  const { host = '127.0.0.1', port = 8990 } = options;
  checkSecrets(options.secrets);
  const trust = compileTrust(options.trustProxy ?? []);
  const log = options.log ?? defaultLog('warn');
  const releasers = new Releasers(log);
  try {
    const { app, isUp } = compose(options, log, releasers);
    // The first requests must not meet a connection that is being made. Redis away: 503 until it is there.
    await isUp().catch(() => false);
    // Told last: by then all that was in hand is answered.
    releasers.add('totals', () =>
      log.info({ event: 'ingest_totals', ...app.stats() }, 'What the ingest took and refused'),
    );
    const server = await serve(app, { host, port, trust, log });
    releasers.add('server', () => server.close());
    const url = `http://${host.includes(':') ? `[${host}]` : host}:${server.port}`;
    log.info({ event: 'ingest_started', url }, 'The ingest takes logins');
    return { url, stats: app.stats, close: () => releasers.run() };
  } catch (error) {
    await releasers.run();
    throw error;
  }
}

function checkSecrets(secrets: readonly string[]): void {
  const remedy =
    'run `session-bouncer ingest make-secret` and put what it prints into the configuration, "ingestSecrets": ["whsec_..."], or into SESSION_BOUNCER_INGEST_SECRETS';
  if (secrets.length === 0) throw new BouncerError('config_invalid', `ingestSecrets: nobody could sign; ${remedy}`);
  if (secrets.length > 5 || !secrets.every((one) => SHARED_SECRET.test(one))) {
    throw new BouncerError('config_invalid', `ingestSecrets: give one to five secrets; ${remedy}`);
  }
}

function compose(options: IngestOptions, log: Log, releasers: Releasers) {
  const { timeoutMs = 2000, incidentTtlDays = 365 } = options;
  const keys = keysFor(options.prefix ?? 'bouncer');
  const redis = openWebRedis(options.redis, timeoutMs, log);
  releasers.add('redis', () => redis.disconnect());
  const enqueue = openEnqueue(redis, keys, log, releasers);
  const visits = redisVisitsOnce(redis, keys, redisIncidents(redis, keys, incidentTtlDays * DAY_MS), REMEMBER_MS);
  const isUp = async () => (await within(timeoutMs, redis.ping())) === 'PONG';
  const app = ingestApp({
    secrets: options.secrets,
    loginsPerSecond: options.loginsPerSecond ?? 5000,
    enqueue: (id, logins) => within(timeoutMs, enqueue(id, logins)),
    visit: (id, caseId, visit) => within(timeoutMs, visits.visit(id, caseId, visit)),
    isUp,
    clock: options.clock ?? Date.now,
    log,
  });
  return { app, isUp };
}

/**
 * Not by the producer of the web tier: that one keeps in memory what Redis did not take, and a sender who was answered 503
 * sends it again. One message is one job, whose id the queue remembers in the same step as it takes the job: what was
 * answered 202 is there, and a repeat, or an attempt that was late but not lost, adds nothing.
 */
function openEnqueue(redis: Redis, keys: Keys, log: Log, releasers: Releasers) {
  const queue = loginQueue(redis, { queue: LOGIN_QUEUE, prefix: keys.queuePrefix }, log);
  releasers.add('queue', () => queue.close());
  return (id: string, logins: Parameters<typeof queue.add>[1]) => queue.add(id, logins, { onceForMs: REMEMBER_MS });
}

async function within<T>(limitMs: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('Redis did not answer in time')), limitMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
