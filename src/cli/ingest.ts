/** `session-bouncer ingest`: login events over HTTP, and the secrets that sign them. */

import { randomBytes } from 'node:crypto';
import type { Command } from 'commander';
import { command, configOf, type Options } from './context.ts';

const HELP = `
Senders sign with a secret of the configuration ("ingestSecrets", or SESSION_BOUNCER_INGEST_SECRETS): docs/ingest.md.
Exit codes: 0 told to stop and every request in hand answered; 1 could not start, or did not end in good order.
SIGTERM or SIGINT (Ctrl-C) answers the requests in hand; a second one ends at once.`;

export function ingestCommand(): Command {
  const made = command('ingest', 'take login events over HTTP until told to stop', [
    'ingestHost',
    'ingestPort',
    'ingestLoginsPerSecond',
    'ingestTrustProxy',
    'incidentTtlDays',
    'shutdownTimeoutSeconds',
    'logLevel',
  ]);
  made.addHelpText('after', HELP).action(serve);
  made
    .command('make-secret')
    .description('print a new secret for the configuration and for those who sign with it')
    .action(() => {
      process.stdout.write(`whsec_${randomBytes(32).toString('base64')}\n`);
    });
  return made;
}

async function serve(options: Options): Promise<void> {
  const resolved = configOf(options);
  // Loaded here, because no other command needs it.
  const { runIngest } = await import('../../workers/run-ingest.ts');
  const tell = (url: string) => void process.stdout.write(`The ingest is at ${url}\n`);
  process.exitCode = await runIngest(resolved, tell);
}
