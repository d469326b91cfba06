/** A worker in this process, over the real queue and the npm databases, without the noise of their age. */
import { createWorker, type LoginWorker, type WorkerOptions } from '../../src/worker.ts';
import { type CapturedLog, captureLog, release, testRedisUrl } from './index.ts';

export async function openWorker(
  prefix: string,
  options: Partial<WorkerOptions> = {},
): Promise<LoginWorker & { log: CapturedLog }> {
  const log = captureLog();
  const worker = await createWorker({ redis: testRedisUrl(), prefix, log, ...options });
  release(() => worker.close({ force: true }));
  return { ...worker, log };
}
