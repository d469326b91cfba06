/** A real worker process that kills itself, with a real SIGKILL, right after one effect. See killed-worker.test.ts. */
import { createWorker } from '../../src/worker.ts';

const [redis = '', prefix = '', effect = ''] = process.argv.slice(2);
await createWorker({
  redis,
  prefix,
  concurrency: 1,
  lockDurationSeconds: 1,
  // Every second login here is a thief's.
  brake: { minLogins: 10_000 },
  afterEffect: (done) => {
    if (done === effect) process.kill(process.pid, 'SIGKILL');
  },
});
