/** `session-bouncer worker` and `registry-worker`: the same processes as `workers/login.ts` and `workers/registry.ts`. */

import type { Command } from 'commander';
import { SETTINGS, type SettingName } from '../../config/load.ts';
import { command, configOf, type Options } from './context.ts';

const EXIT_CODES = `
Exit codes: 0 told to stop and every job in hand finished; 1 could not start, or did not end in good order.
SIGTERM or SIGINT (Ctrl-C) finishes the jobs in hand; a second one ends at once.`;

export function workerCommand(): Command {
  const settings = SETTINGS.map(({ name }) => name);
  return command('worker', 'check the logins of the queue until told to stop', settings)
    .addHelpText('after', EXIT_CODES)
    .action(run);
}

async function run(options: Options): Promise<void> {
  const resolved = configOf(options);
  // Loaded here, because no other command needs it.
  const { runLoginWorker } = await import('../../workers/run-login-worker.ts');
  process.exitCode = await runLoginWorker(resolved);
}

const REGISTRY_SETTINGS: readonly SettingName[] = [
  'mode',
  'anonymousNetwork',
  'baselineTtlDays',
  'incidentTtlDays',
  'visitTtlDays',
  'auditTtlDays',
  'historyTtlDays',
  'concurrency',
  'registryEnabled',
  'registryGeofeeds',
  'shutdownTimeoutSeconds',
  'logLevel',
];

export function registryWorkerCommand(): Command {
  const what = 'ask the address registries about disputed logins until told to stop; run one';
  return command('registry-worker', what, REGISTRY_SETTINGS).addHelpText('after', EXIT_CODES).action(runRegistry);
}

async function runRegistry(options: Options): Promise<void> {
  const resolved = configOf(options);
  const { runRegistryWorker } = await import('../../workers/run-registry-worker.ts');
  process.exitCode = await runRegistryWorker(resolved);
}
