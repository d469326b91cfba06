/** The real worker, only to see what it holds in memory. */
import { createWorker, type LoginWorker } from '../../../src/worker.ts';
import { serve } from '../support/child.ts';

export interface ResidentApi {
  /** Starts it with these databases; resolves when they are open. The names of its sources. */
  start(url: string, databases: readonly string[]): Promise<string[]>;
  /** Bytes of the process that are in memory. */
  resident(): Promise<number>;
}

let worker: LoginWorker | null = null;

serve<ResidentApi>(
  {
    async start(url, databases) {
      worker = await createWorker({ redis: url, prefix: 'bench', databases });
      return worker.locator.sources().map(({ database }) => database);
    },
    async resident() {
      return process.memoryUsage.rss();
    },
  },
  async () => worker?.close({ force: true }),
);
