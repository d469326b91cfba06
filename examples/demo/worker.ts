/** The worker process of the demo: what `npm run worker` runs, except that it also ends when the demo is killed. */

const END_LIMIT_MS = 2000;

// Standard input is a pipe that only the demo holds open, so its end is the demo's. It keeps this process from nothing.
process.stdin.on('end', endSoon).resume();
process.stdin.on('error', () => {});
(process.stdin as unknown as { unref?: () => void }).unref?.();

// After that, for this line waits until the worker has ended.
await import('../../workers/login.ts');

/** The demo's Redis may be gone too, and a worker waits for it to come back before it is done with its jobs. */
function endSoon(): void {
  process.kill(process.pid, 'SIGTERM');
  setTimeout(() => process.exit(1), END_LIMIT_MS).unref();
}
