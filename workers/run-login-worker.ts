/** A login worker as the work of this process: see run-process.ts. Nothing happens on import. */

import type { Config, ResolvedConfig } from '../config/load.ts';
import type { Log } from '../src/ports.ts';
import { createWorker, type WorkerOptions } from '../src/worker.ts';
import { runProcess } from './run-process.ts';

/** Resolves with the exit code. Throws what `createWorker` throws. */
export function runLoginWorker(resolved: ResolvedConfig): Promise<number> {
  return runProcess(resolved, 'login worker', (config, log) => createWorker(workerOptions(config, log)));
}

/** Nobody is asked without the page's URL. */
function userLinks({
  userLinkUrl: url,
  userLinkSecrets: secrets,
  userLinkTtlDays: ttlDays,
  userQuestions: ask,
}: Config) {
  return url === null ? undefined : { url, secrets, ttlDays, ask };
}

function phpOf(config: Config): WorkerOptions['php'] {
  if (Object.keys(config.phpKeys).length === 0) return undefined;
  return {
    keys: config.phpKeys,
    redis: config.phpRedisUrl ?? config.redisUrl,
    sessionPrefix: config.phpSessionPrefix,
    format: config.phpFormat,
    field: config.phpField,
    end: config.phpEnd,
    locking: config.phpLocking,
    maxExecutionSeconds: config.phpMaxExecutionSeconds,
  };
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
    visitTtlDays: config.visitTtlDays,
    auditTtlDays: config.auditTtlDays,
    historyTtlDays: config.historyTtlDays,
    tombstoneTtlDays: config.tombstoneTtlDays,
    concurrency: config.concurrency,
    lockDurationSeconds: config.lockDurationSeconds,
    recheckDelaySeconds: config.recheckDelaySeconds,
    brake: config.brake && brakeOf(config),
    registry: { enabled: config.registryEnabled },
    sweepEveryMinutes: config.sweepEveryMinutes,
    waitReplicas: config.waitReplicas,
    waitReplicasTimeoutMs: config.waitReplicasTimeoutMs,
    webhooks: config.webhooks,
    allowHttpWebhooks: config.allowHttpWebhooks,
    userLinks: userLinks(config),
    php: phpOf(config),
    log,
  };
}

function brakeOf(config: Config): Exclude<WorkerOptions['brake'], false> {
  const { brakeWindowMinutes, brakeShare, brakeMinLogins, brakeSurge, brakeResetAfterMinutes } = config;
  return {
    windowMs: brakeWindowMinutes * 60_000,
    share: brakeShare,
    minLogins: brakeMinLogins,
    surge: brakeSurge,
    resetAfterMs: brakeResetAfterMinutes === null ? null : brakeResetAfterMinutes * 60_000,
  };
}
