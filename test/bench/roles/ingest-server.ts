/** The ingest, with its defaults but for the port. */

import { type Ingest, openIngest } from '../../../src/ingest.ts';
import { serve } from '../support/child.ts';

export interface IngestServerApi {
  /** Returns the port. */
  start(url: string, prefix: string, secret: string): Promise<number>;
  /** CPU time since the start, microseconds. */
  cpuMicros(): number;
}

let ingest: Ingest | null = null;
let before = process.cpuUsage();

serve<IngestServerApi>(
  {
    async start(url, prefix, secret) {
      ingest = await openIngest({ redis: url, prefix, secrets: [secret], port: 0, loginsPerSecond: 1_000_000 });
      before = process.cpuUsage();
      return Number(new URL(ingest.url).port);
    },
    cpuMicros() {
      const { user, system } = process.cpuUsage(before);
      return user + system;
    },
  },
  async () => ingest?.close(),
);
