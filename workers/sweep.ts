/**
 * The sweep of the lists of sessions as a process of its own: `node dist/workers/sweep.js`. Every login worker sweeps as
 * well (there is one job an interval, whoever does it), so this is only for those who want it apart. SIGTERM or SIGINT
 * finishes the sweep in hand.
 */

import { once } from 'node:events';
import { loadConfig, parseFlags } from '../config/load.ts';
import { defaultLog } from '../src/log.ts';
import { createSweepWorker } from '../src/sweep.ts';
import { failureLine } from './failure.ts';

try {
  const { config } = loadConfig(parseFlags(process.argv.slice(2)));
  const { redisUrl, prefix, sweepEveryMinutes, logLevel } = config;
  const { incidentTtlDays, visitTtlDays, auditTtlDays } = config;
  const log = defaultLog(logLevel);
  const kept = { incidentTtlDays, visitTtlDays, auditTtlDays };
  const worker = createSweepWorker({ redis: redisUrl, prefix, sweepEveryMinutes, ...kept, log });
  log.info({ event: 'sweep_started', everyMinutes: sweepEveryMinutes }, 'The sweep worker is running');
  await Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')]);
  await worker.close();
  log.info({ event: 'sweep_stopped' }, 'The sweep worker has stopped');
} catch (error) {
  process.stderr.write(`${failureLine(error)}\n`);
  process.exitCode = 1;
}
