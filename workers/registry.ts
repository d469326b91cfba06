/**
 * The registry worker as a process: `node dist/workers/registry.js [--redis redis://localhost:6379 ...]`.
 *
 * It asks the address registries about logins that the login workers queue for it (`registryEnabled`). Run one. It takes the
 * flags of `session-bouncer registry-worker` (and the environment, and the configuration file). SIGTERM or SIGINT: it takes
 * no new job, finishes those in hand and ends; a second one ends it at once. Exit codes: run-process.ts.
 */

import { runFromArguments } from './run-process.ts';
import { runRegistryWorker } from './run-registry-worker.ts';

process.exitCode = await runFromArguments(runRegistryWorker);
