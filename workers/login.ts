/**
 * The login worker as a process: `npm run worker`, or `node dist/workers/login.js [--mode observe ...]`.
 *
 * It takes the flags of `session-bouncer worker` (and the environment, and the configuration file). SIGTERM or SIGINT:
 * it takes no new job, finishes those in hand and ends; a second one ends it at once. Exit codes: run-login-worker.ts.
 */

import { loadConfig, parseFlags } from '../config/load.ts';
import { failureLine } from './failure.ts';
import { EXIT_UNCLEAN, runLoginWorker } from './run-login-worker.ts';

async function main(): Promise<number> {
  try {
    return await runLoginWorker(loadConfig(parseFlags(process.argv.slice(2))));
  } catch (error) {
    process.stderr.write(`${failureLine(error)}\n`);
    return EXIT_UNCLEAN;
  }
}

process.exitCode = await main();
