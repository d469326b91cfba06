/** The real worker, with its defaults and everything that it does, its log lines included. */

import { createWorker, type LoginWorker } from '../../../src/worker.ts';
import { serve } from '../support/child.ts';

export interface WorkerOursApi {
  start(url: string, prefix: string): Promise<void>;
  /** Ends it after its jobs; the CPU time that it took, microseconds. */
  stop(): Promise<number>;
}

let worker: LoginWorker | null = null;
let before = process.cpuUsage();

serve<WorkerOursApi>(
  {
    async start(url, prefix) {
      before = process.cpuUsage();
      worker = await createWorker({ redis: url, prefix });
    },
    async stop() {
      await worker?.close();
      worker = null;
      const { user, system } = process.cpuUsage(before);
      return user + system;
    },
  },
  async () => worker?.close({ force: true }),
);
