/** The registry worker as the work of this process: see run-process.ts. Nothing happens on import. */

import type { Config, ResolvedConfig } from '../config/load.ts';
import type { Log } from '../src/ports.ts';
import { createRegistryWorker, type RegistryWorkerOptions } from '../src/registry-worker.ts';
import { runProcess } from './run-process.ts';

/** Resolves with the exit code. Throws what `createRegistryWorker` throws. */
export function runRegistryWorker(resolved: ResolvedConfig): Promise<number> {
  return runProcess(resolved, 'registry worker', (config, log) => createRegistryWorker(workerOptions(config, log)));
}

function workerOptions(config: Config, log: Log): RegistryWorkerOptions {
  // Who starts it says that it may ask, but without the switch in the login workers nothing is ever queued for it.
  if (!config.registryEnabled) {
    log.warn(
      { event: 'registry_not_enabled' },
      'registryEnabled is not set here: if it is not set for the login workers either, there is nothing to ask about',
    );
  }
  return {
    redis: config.redisUrl,
    prefix: config.prefix,
    mode: config.mode,
    anonymousNetwork: config.anonymousNetwork,
    baselineTtlDays: config.baselineTtlDays,
    incidentTtlDays: config.incidentTtlDays,
    geofeeds: config.registryGeofeeds,
    concurrency: config.concurrency,
    log,
  };
}
