/** A real worker process that kills itself, with a real SIGKILL, right after one effect. See killed-worker.test.ts. */
import { createWorker } from '../../src/worker.ts';

/** Behind the effect: when the re-checks are due, milliseconds; none: as ever. */
const [redis = '', prefix = '', effect = '', ...delaysMs] = process.argv.slice(2);
await createWorker({
  redis,
  prefix,
  concurrency: 1,
  lockDurationSeconds: 1,
  ...(delaysMs.length > 0 ? { recheckDelaysMs: delaysMs.map(Number) } : {}),
  // Every second login here is a thief's.
  brake: { minLogins: 10_000 },
  afterEffect: (done) => {
    if (done === effect) process.kill(process.pid, 'SIGKILL');
  },
});
