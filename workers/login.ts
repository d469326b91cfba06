/**
 * The login worker as a process: `npm run worker`, or `node dist/workers/login.js [--mode observe ...]`.
 *
 * It takes the flags of `session-bouncer worker` (and the environment, and the configuration file). SIGTERM or SIGINT:
 * it takes no new job, finishes those in hand and ends; a second one ends it at once. Exit codes: run-process.ts.
 */

import { runLoginWorker } from './run-login-worker.ts';
import { runFromArguments } from './run-process.ts';

process.exitCode = await runFromArguments(runLoginWorker);
