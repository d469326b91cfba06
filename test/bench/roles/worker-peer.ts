/** The peer: a BullMQ worker that does nothing at all with its one login per job. */

import { Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { JOB_OPTIONS } from '../../../src/queue/login-queue.ts';
import { serve } from '../support/child.ts';
import { Crowd, type Places } from '../support/logins.ts';
import { loginPayload } from '../support/payload.ts';

export interface PeerRun {
  readonly perSecond: number;
  readonly cpuMicros: number;
}

export interface WorkerPeerApi {
  /** Puts `count` jobs on the queue, with addBulk. */
  fill(url: string, count: number, places: Places): Promise<void>;
  /** Works them all off. From the first completion to the last. */
  run(url: string, count: number, concurrency: number): Promise<PeerRun>;
}

const QUEUE = 'peer';
const CHUNK = 1000;

const connect = (url: string) => new Redis(url, { maxRetriesPerRequest: null });

async function fill(url: string, count: number, places: Places): Promise<void> {
  const redis = connect(url);
  const queue = new Queue(QUEUE, { connection: redis });
  const crowd = new Crowd(places, 20_000, 0.01, 2);
  for (let done = 0; done < count; done += CHUNK) {
    const size = Math.min(CHUNK, count - done);
    await queue.addBulk(
      Array.from({ length: size }, () => ({ name: 'login', data: loginPayload(crowd.next()), opts: JOB_OPTIONS })),
    );
  }
  await queue.close();
  redis.disconnect();
}

async function run(url: string, count: number, concurrency: number): Promise<PeerRun> {
  const redis = connect(url);
  const before = process.cpuUsage();
  const worker = new Worker(QUEUE, async () => {}, { connection: redis, concurrency });
  let completed = 0;
  let firstMs = 0;
  const lastMs = await new Promise<number>((resolve, reject) => {
    worker.on('failed', (_job, error) => reject(error));
    worker.on('completed', () => {
      if (completed++ === 0) firstMs = performance.now();
      if (completed === count) resolve(performance.now());
    });
  });
  await worker.close();
  const { user, system } = process.cpuUsage(before);
  redis.disconnect();
  return { perSecond: (1000 * (count - 1)) / (lastMs - firstMs), cpuMicros: user + system };
}

serve<WorkerPeerApi>({ fill, run }, async () => {});
