/** A login worker as the work of this process: see run-process.ts. Nothing happens on import. */

import type { Config, ResolvedConfig } from '../config/load.ts';
import type { Log } from '../src/ports.ts';
import { createWorker, type WorkerOptions } from '../src/worker.ts';
import { runProcess } from './run-process.ts';

/** Resolves with the exit code. Throws what `createWorker` throws. */
export function runLoginWorker(resolved: ResolvedConfig): Promise<number> {
  return runProcess(resolved, 'login worker', (config, log) => createWorker(workerOptions(config, log)));
}

export function workerOptions(config: Config, log: Log): WorkerOptions {
  return {
    redis: config.redisUrl,
    prefix: config.prefix,
    mode: config.mode,
    databases: config.databases,
    overrides: config.overrides,
    canaries: config.canaries,
    anonymousNetwork: config.anonymousNetwork,
    maxDatabaseAgeDays: config.maxDatabaseAgeDays ?? undefined,
    baselineTtlDays: config.baselineTtlDays,
    incidentTtlDays: config.incidentTtlDays,
    tombstoneTtlDays: config.tombstoneTtlDays,
    concurrency: config.concurrency,
    lockDurationSeconds: config.lockDurationSeconds,
    recheckDelaySeconds: config.recheckDelaySeconds,
    registry: { enabled: config.registryEnabled },
    sweepEveryMinutes: config.sweepEveryMinutes,
    waitReplicas: config.waitReplicas,
    waitReplicasTimeoutMs: config.waitReplicasTimeoutMs,
    log,
  };
}
