/** Do logins reach a worker, and what becomes of them? */

import { Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import { span } from '../domain/plain-words.ts';
import type { SetAsideEntry } from '../ports.ts';
import { redisCounters } from '../redis/counters.ts';
import { type Keys, LOGIN_QUEUE } from '../redis/keys.ts';
import { redisSetAside } from '../redis/set-aside.ts';
import { type Check, fail, ok, warn } from './doctor-check.ts';
import { minute } from './time.ts';
import { uncheckedOf, uncheckedText } from './unchecked.ts';

export interface QueueFacts {
  /** Jobs by state: `waiting`, `active`, `delayed`, `failed`. */
  readonly jobs: Readonly<Record<string, number>>;
  /** When the oldest waiting job was queued, or null. */
  readonly oldestWaitingAtMs: number | null;
  /** Connected workers, or null where the server does not tell. */
  readonly workers: number | null;
  readonly setAside: number;
  readonly lastSetAside: SetAsideEntry | null;
  readonly counters: Readonly<Record<string, number>>;
}

/** Only to look at: it writes nothing. Close it. */
export function openQueue(redis: Redis, keys: Keys, name: string): Queue {
  const options = { connection: redis, prefix: keys.queuePrefix, skipVersionCheck: true, skipMetasUpdate: true };
  const queue = new Queue(name, options);
  queue.on('error', () => {});
  return queue;
}

export async function queueFacts(redis: Redis, keys: Keys): Promise<QueueFacts> {
  const queue = openQueue(redis, keys, LOGIN_QUEUE);
  try {
    const aside = redisSetAside(redis, keys);
    const [jobs, [oldest], workers, setAside, [lastSetAside], counters] = await Promise.all([
      queue.getJobCounts('waiting', 'active', 'delayed', 'failed'),
      queue.getJobs(['waiting'], 0, 0, true),
      connectedWorkers(queue),
      aside.count(),
      aside.list(1),
      redisCounters(redis, keys).read(),
    ]);
    const oldestWaitingAtMs = oldest?.timestamp ?? null;
    return { jobs, oldestWaitingAtMs, workers, setAside, lastSetAside: lastSetAside ?? null, counters };
  } finally {
    await queue.close();
  }
}

/** Some managed services neither list clients nor let them have names. */
export async function connectedWorkers(queue: Queue): Promise<number | null> {
  try {
    const workers = await queue.getWorkers();
    return workers.some(({ name }) => name?.startsWith('GCP')) ? null : workers.length;
  } catch {
    return null;
  }
}

export function queueChecks(facts: QueueFacts, nowMs: number): Check[] {
  const inQueue = [queueDepth(facts, nowMs), workers(facts), failedJobs(facts), setAside(facts)];
  return [...inQueue, unchecked(facts), waitingForData(facts)];
}

/** A login is normally checked within milliseconds. */
const LATE_MS = 10_000;
const FAR_TOO_LATE_MS = 5 * 60_000;

function queueDepth({ jobs, oldestWaitingAtMs }: QueueFacts, nowMs: number): Check {
  const { waiting = 0, active = 0, delayed = 0 } = jobs;
  const lateMs = oldestWaitingAtMs === null ? 0 : Math.max(0, nowMs - oldestWaitingAtMs);
  const oldest = waiting === 0 ? '' : `, the oldest for ${span(lateMs)}`;
  const finding = `${waiting} jobs waiting${oldest}, ${active} active, ${delayed} delayed`;
  if (lateMs < LATE_MS) return ok('queue', finding);
  const remedy = 'Logins are checked too late: start another worker, or raise its concurrency.';
  return lateMs < FAR_TOO_LATE_MS ? warn('queue', finding, remedy) : fail('queue', finding, remedy);
}

function workers({ workers: count, jobs }: QueueFacts): Check {
  if (count === null) return ok('workers', 'this server does not tell who is connected');
  if (count > 0) return ok('workers', `${count} connected`);
  const remedy = 'Start one: session-bouncer worker (with the same Redis and prefix).';
  if ((jobs.waiting ?? 0) > 0) return fail('workers', 'none is connected, and logins are waiting', remedy);
  return warn('workers', 'none is connected: logins will wait', remedy);
}

function failedJobs({ jobs: { failed = 0 } }: QueueFacts): Check {
  if (failed === 0) return ok('failed jobs', 'none');
  const remedy = 'Their logins were not checked to the end: see the log of the worker for job_failed.';
  return warn('failed jobs', `${failed} in the last 14 days`, remedy);
}

function setAside({ setAside: count, lastSetAside }: QueueFacts): Check {
  if (count === 0) return ok('set aside', 'none');
  const last = lastSetAside === null ? '' : `, last ${lastSetAside.code} on ${minute(lastSetAside.atMs)} UTC`;
  return warn(
    'set aside',
    `${count} in all${last}`,
    'They could not be read and were not checked: see docs/errors.md.',
  );
}

/** Below this share a few odd addresses are ordinary. */
const MANY = 0.05;

const REMEDIES: Readonly<Record<string, string>> = {
  special_address: "Set trustProxy in the web tier: a proxy's address seems to be taken for the client's.",
  malformed_forwarding: 'Set trustProxy in the web tier to your own proxies only.',
  no_address: 'The app reports logins without an address: pass it.',
  invalid_address: 'The app reports something else than an address: pass the plain address.',
  no_data: 'Update the databases.',
  not_located: 'Your overrides say that these networks are not to be located.',
  stale_data: 'Update the databases.',
  no_database: 'Name databases, or install those that npm ships.',
  lookup_failed: 'A database is damaged: see the log of the worker, and replace it.',
};

function unchecked({ counters }: QueueFacts): Check {
  const found = uncheckedOf(counters);
  const { logins, total, whys } = found;
  const finding = uncheckedText(found);
  if (total <= MANY * logins) return ok('unchecked', finding);
  return warn('unchecked', finding, REMEDIES[whys[0]?.[0] ?? ''] ?? 'See docs/errors.md for the reason.');
}

/** Logins that no database could locate, and that are tried again until there is one that can. */
function waitingForData({ counters }: QueueFacts): Check {
  const name = 'waiting';
  const { 'recheck:waiting': all = 0, 'recheck:done': done = 0, 'recheck:gave_up': gaveUp = 0 } = counters;
  // The counts of a job that is done twice at the same moment may be a little apart.
  const waiting = Math.max(0, all - done - gaveUp);
  const before = all === 0 ? '' : `; before, ${done} were checked later and ${gaveUp} never`;
  const finding = `${waiting} logins wait for a database${before}`;
  if (waiting === 0) return ok(name, finding);
  return warn(name, finding, 'They are let be until they can be located, for a day at most: see the databases below.');
}
