import { type Job, type JobType, Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import type { WaitingJobs } from '../desk-ports.ts';
import { errorName } from '../errors.ts';
import type { Counters, Log } from '../ports.ts';

const STATES: readonly JobType[] = ['wait', 'prioritized', 'delayed', 'failed', 'completed'];
const JOBS_AT_ONCE = 200;

/** The members of our payloads that are lists of logins, or of questions about them: see queue/job and queue/registry-queue. */
const LISTS = ['logins', 'asks'] as const;
type Payload = { readonly [list in (typeof LISTS)[number]]?: readonly unknown[] } & { readonly recheck?: number };

/** Those that will be done. */
const WAITING: ReadonlySet<JobType> = new Set(['wait', 'prioritized', 'delayed']);

/**
 * Goes through the queues that carry logins. The others name a case or a login id, never a user. Logins that waited for a
 * database are counted as given up, or they would seem to wait for ever.
 */
export function waitingJobs(
  redis: Redis,
  names: { queues: readonly string[]; prefix: string },
  { log, counters }: { readonly log: Log; readonly counters: Pick<Counters, 'add'> },
): WaitingJobs {
  return {
    async forget(userId) {
      let forgotten = 0;
      for (const name of names.queues) {
        const shared = { connection: redis, prefix: names.prefix };
        const queue = new Queue<Payload>(name, { ...shared, skipVersionCheck: true, skipMetasUpdate: true });
        queue.on('error', (error) =>
          log.debug({ event: 'queue_error', error: errorName(error) }, 'The queue had an error'),
        );
        try {
          for (const { job, state } of await jobsOf(queue, userId)) {
            const { count, left } = await forgetIn(job, userId);
            forgotten += count;
            const waited = (job.data.recheck ?? 0) > 0 && WAITING.has(state) ? count : 0;
            if (waited > 0) await counters.add(`${job.id}-less-${left}`, new Map([['recheck:gave_up', waited]]));
          }
        } finally {
          await queue.close();
        }
      }
      return forgotten;
    },
  };
}

interface Found {
  readonly job: Job<Payload>;
  readonly state: JobType;
}

/** All are looked at before one is changed: what is removed moves those behind it. */
async function jobsOf(queue: Queue<Payload>, userId: string): Promise<Found[]> {
  const found: Found[] = [];
  for (const state of STATES) {
    for (let from = 0; ; from += JOBS_AT_ONCE) {
      const jobs = await queue.getJobs([state], from, from + JOBS_AT_ONCE - 1, true);
      // One that was done meanwhile is missing.
      const theirs = jobs.filter((job) => job !== undefined && countOf(job.data, userId) > 0);
      found.push(...theirs.map((job) => ({ job, state })));
      if (jobs.length < JOBS_AT_ONCE) break;
    }
  }
  return found;
}

/** How many of the user's were taken out, and how many of others stay. */
async function forgetIn(job: Job<Payload>, userId: string): Promise<{ count: number; left: number }> {
  const count = countOf(job.data, userId);
  const data: Record<string, unknown> = { ...job.data };
  let left = 0;
  for (const list of LISTS) {
    const rows = (job.data[list] ?? []).filter((row) => !isOf(row, userId));
    if (job.data[list] !== undefined) data[list] = rows;
    left += rows.length;
  }
  try {
    if (left === 0) await job.remove();
    else await job.updateData(data as Payload);
    return { count, left };
  } catch {
    // A worker has taken it, or it is gone.
    return { count: 0, left };
  }
}

function countOf(data: Payload, userId: string): number {
  return LISTS.reduce((sum, list) => sum + (data?.[list] ?? []).filter((row) => isOf(row, userId)).length, 0);
}

/** A login, or a question about one. */
function isOf(row: unknown, userId: string): boolean {
  if (typeof row !== 'object' || row === null) return false;
  const { userId: own, login } = row as { userId?: unknown; login?: unknown };
  return own === userId || (login !== undefined && isOf(login, userId));
}
