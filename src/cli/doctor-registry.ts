/** Registry evidence, where it is switched on: does somebody ask, and what came of it? */

import type { Redis } from 'ioredis';
import { type Keys, REGISTRY_QUEUE } from '../redis/keys.ts';
import { type Check, ok, warn } from './doctor-check.ts';
import { connectedWorkers, openQueue } from './doctor-queue.ts';

export interface RegistryFacts {
  /** Jobs by state: `waiting`, `active`, `delayed`, `failed`. */
  readonly jobs: Readonly<Record<string, number>>;
  /** Connected registry workers, or null where the server does not tell. */
  readonly workers: number | null;
}

export async function registryFacts(redis: Redis, keys: Keys): Promise<RegistryFacts> {
  const queue = openQueue(redis, keys, REGISTRY_QUEUE);
  try {
    const [jobs, workers] = await Promise.all([
      queue.getJobCounts('waiting', 'active', 'delayed', 'failed'),
      connectedWorkers(queue),
    ]);
    return { jobs, workers };
  } finally {
    await queue.close();
  }
}

export function registryChecks(facts: RegistryFacts, counters: Readonly<Record<string, number>>): Check[] {
  return [workers(facts), answers(facts, counters)];
}

function workers({ workers: count }: RegistryFacts): Check {
  const name = 'registry worker';
  if (count === null) return ok(name, 'this server does not tell who is connected');
  if (count === 1) return ok(name, '1 connected');
  if (count === 0) return warn(name, 'none is connected', 'Start one: session-bouncer registry-worker.');
  const remedy = 'Run one: what each registry allows is counted per process.';
  return warn(name, `${count} connected`, remedy);
}

/** Not answers about an address: put off, or nobody to ask. */
const OTHERS = ['later', 'nobody'];

function answers({ jobs }: RegistryFacts, counters: Readonly<Record<string, number>>): Check {
  const name = 'registry answers';
  const counts = Object.entries(counters).flatMap(([counter, count]) =>
    counter.startsWith('registry:') ? [[counter.slice('registry:'.length), count] as const] : [],
  );
  const { later = 0, nobody = 0 } = Object.fromEntries(counts);
  const kinds = counts.filter(([kind]) => !OTHERS.includes(kind)).sort((a, b) => b[1] - a[1]);
  const total = kinds.reduce((sum, [, count]) => sum + count, 0);
  const list = kinds.map(([kind, count]) => `${kind} ${count}`).join(', ');
  const { waiting = 0, delayed = 0, failed = 0 } = jobs;
  const finding =
    `${total} answers${list === '' ? '' : ` (${list})`}, put off ${later} times, nobody to ask ${nobody}; ` +
    `${waiting + delayed} jobs wait, ${failed} failed`;
  if (failed > 0) return warn(name, finding, 'See the log of the registry worker for registry_job_failed.');
  if (total > 0 || later === 0) return ok(name, finding);
  return warn(name, finding, 'No registry has answered: let this worker connect to https and to port 43.');
}
