/**
 * The registry worker as a process: `node dist/workers/registry.js --redis redis://localhost:6379 [--prefix bouncer]`.
 *
 * It asks the address registries about logins that the login workers queue for it (`registry: { enabled: true }`). Run one.
 * SIGTERM or SIGINT: it takes no new job, finishes those in hand and ends; a second one ends it at once.
 * Exit codes: 0 when it was told to stop and did; 1 when it could not start, was forced, or crashed.
 */

import { parseArgs } from 'node:util';
import { BouncerError, errorName } from '../src/errors.ts';
import { createRegistryWorker, type RegistryWorkerOptions } from '../src/registry-worker.ts';

const USAGE = 'give --redis <url>, and the --prefix that the login workers have';

function optionsOf(args: readonly string[]): RegistryWorkerOptions {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: { redis: { type: 'string', default: 'redis://localhost:6379' }, prefix: { type: 'string' } },
    });
    return { redis: values.redis, prefix: values.prefix };
  } catch (cause) {
    throw new BouncerError('option_invalid', USAGE, { cause });
  }
}

/** Resolves at the first signal; a second one ends the process there and then. */
function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    let signals = 0;
    const onSignal = () => {
      signals += 1;
      if (signals > 1) process.exit(1);
      resolve();
    };
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, onSignal);
  });
}

async function main(): Promise<number> {
  try {
    const options = optionsOf(process.argv.slice(2));
    // Listened for before the worker says that it runs: who reads that may send one at once.
    const stop = stopSignal();
    const worker = createRegistryWorker(options);
    await stop;
    await worker.close();
    return 0;
  } catch (error) {
    process.stderr.write(`${errorName(error)}: ${error instanceof BouncerError ? error.message : 'unexpected'}\n`);
    return 1;
  }
}

process.exitCode = await main();
