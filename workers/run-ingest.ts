/** The ingest as the work of this process: see run-process.ts. Nothing happens on import. */

import type { Config, ResolvedConfig } from '../config/load.ts';
import { type Ingest, openIngest } from '../src/ingest.ts';
import type { Log } from '../src/ports.ts';
import { runProcess } from './run-process.ts';

/** Resolves with the exit code. Throws what `openIngest` throws. `listens` hears where. */
export function runIngest(resolved: ResolvedConfig, listens: (url: string) => void): Promise<number> {
  return runProcess(resolved, 'ingest', async (config, log) => {
    const ingest = await open(config, log);
    listens(ingest.url);
    return ingest;
  });
}

function open(config: Config, log: Log): Promise<Ingest> {
  return openIngest({
    redis: config.redisUrl,
    prefix: config.prefix,
    secrets: config.ingestSecrets,
    host: config.ingestHost,
    port: config.ingestPort,
    loginsPerSecond: config.ingestLoginsPerSecond,
    trustProxy: config.ingestTrustProxy,
    incidentTtlDays: config.incidentTtlDays,
    log,
  });
}
