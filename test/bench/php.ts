/**
 * `php`: a thief's session at a PHP site (phpredis) is ended by our worker while a request of it is in flight; how many of 40
 * are still logged in afterwards? By what the request does, with `lazy_write` and phpredis's locks on and off, and for pages
 * that do not use our helper. Against it: `session_destroy()` from a job of PHP's own. Needs php-cli and php-redis.
 */
import { startRedis } from '../../examples/support/private-redis.ts';
import { findPhp } from '../support/php-cli.ts';
import { runPhpTrials } from '../support/php-trials.ts';
import { type BenchOptions, machine, type Report, scaled } from './support/report.ts';

const TRIALS = 40;
const ABREAST = 6;

export async function php(options: BenchOptions): Promise<Report> {
  const found = findPhp();
  if (!found?.hasRedis) throw new Error('php: install php-cli and php-redis (apt-get install php-cli php-redis)');
  const server = await startRedis();
  try {
    const trials = scaled(TRIALS, options);
    const common = { redisUrl: server.url, prefix: 'bench', abreast: ABREAST, say: options.say };
    const report = await runPhpTrials({ ...common, trials, unguarded: trials });
    const unit = 'sessions still logged in after the worker had ended them';
    return { bench: 'php', php: found.version, ...report, unit, machine: machine('private') };
  } finally {
    await server.stop();
  }
}
