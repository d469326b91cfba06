/** `session-bouncer worker`: the same process as `npm run worker`. */

import type { Command } from 'commander';
import { SETTINGS } from '../../config/load.ts';
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
