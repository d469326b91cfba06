/** `session-bouncer doctor`: is everything in place, and if not, what to do? Exit code 1 when something fails. */

import type { Command } from 'commander';
import type { Config, ResolvedConfig } from '../../config/load.ts';
import { BouncerError, errorName } from '../errors.ts';
import { command, configOf, type Options, REDIS_TIMEOUT_MS, unavailable, withRedis } from './context.ts';
import { brakeChecks, brakeFacts } from './doctor-brake.ts';
import { type Check, worst } from './doctor-check.ts';
import { databaseChecks, workerDatabaseChecks } from './doctor-databases.ts';
import { phpAway, phpCheck } from './doctor-php.ts';
import { redisChecks, redisFacts } from './doctor-redis.ts';
import { SOURCE_SETTINGS, withSources } from './sources.ts';
import { print, printJson, standardOutput, type Terminal, withProgress } from './terminal.ts';
import { clean, padded, wrapped } from './text.ts';

export function doctorCommand(): Command {
  return command('doctor', 'check Redis, the databases, the queue and the workers', [
    'mode',
    'registryEnabled',
    'phpRedisUrl',
    'phpSessionPrefix',
    ...SOURCE_SETTINGS,
  ]).action(doctor);
}

async function doctor(options: Options): Promise<void> {
  const resolved = configOf(options);
  const { config } = resolved;
  const work = Promise.all([checkRedis(config), checkPhp(config), checkDatabases(config)]);
  const checks = [modeCheck(resolved), ...(await withProgress('Examining', work)).flat()];
  const status = worst(checks);
  if (options.json) printJson({ status, checks });
  else print(report(checks, standardOutput()));
  if (status === 'fail') process.exitCode = 1;
}

function modeCheck({ config, origins }: ResolvedConfig): Check {
  const { from, name } = origins.mode;
  const meaning = config.mode === 'enforce' ? 'sessions are ended' : 'nothing is ended, incidents are recorded';
  const where = from === 'default' ? 'default' : `${from} ${name}`;
  return { name: 'mode', status: 'ok', finding: `${config.mode}: ${meaning} (${where})` };
}

/** One failed check when Redis is away: the others could only repeat it. */
async function checkRedis(config: Config): Promise<Check[]> {
  // Loaded here: the queue's library is most of the time that a command takes to start.
  const { queueChecks, queueFacts } = await import('./doctor-queue.ts');
  const { registryChecks, registryFacts } = await import('./doctor-registry.ts');
  try {
    return await withRedis(config, (redis, keys) => {
      const evidence = config.registryEnabled ? registryFacts(redis, keys) : null;
      const facts = Promise.all([
        redisFacts(redis),
        queueFacts(redis, keys),
        brakeFacts(redis, keys, Date.now()),
        evidence,
      ]);
      const checks = facts.then(([server, queue, brake, registry]) => [
        ...redisChecks(server),
        ...queueChecks(queue, Date.now()),
        ...brakeChecks(brake, config.mode),
        ...workerDatabaseChecks(brake.workers),
        ...(registry === null ? [] : registryChecks(registry, queue.counters)),
      ]);
      return inTime(checks, config);
    });
  } catch (error) {
    const finding = error instanceof BouncerError ? error.message : `an unexpected answer (${errorName(error)})`;
    const remedy = 'Without Redis no login is checked and no session is found; the other checks of it were left out.';
    return [{ name: 'redis', status: 'fail', finding, remedy }];
  }
}

/** Only where PHP sites are to be protected. */
async function checkPhp(config: Config): Promise<Check[]> {
  if (Object.keys(config.phpKeys).length === 0) return [];
  const theirs = { ...config, redisUrl: config.phpRedisUrl ?? config.redisUrl };
  try {
    return [await withRedis(theirs, (redis) => inTime(phpCheck(redis, config), theirs))];
  } catch (error) {
    return [phpAway(config, error)];
  }
}

async function inTime<T>(work: Promise<T>, config: Config): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(unavailable(config, 'did not answer in time')), REDIS_TIMEOUT_MS);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

function checkDatabases(config: Config): Promise<Check[]> {
  return withSources(config, (chain) => databaseChecks(chain.sources()));
}

const STYLES = { ok: 'green', warn: 'yellow', fail: 'red' } as const;

function report(checks: readonly Check[], terminal: Terminal): string {
  const width = Math.max(...checks.map(({ name }) => name.length));
  const indent = 6 + width + 2;
  const lines = checks.map(({ name, status, finding, remedy }) => {
    const text = [clean(finding), ...(remedy === undefined ? [] : [`-> ${clean(remedy)}`])];
    const room = Math.max(terminal.columns - indent, 20);
    const body = text.map((one) => wrapped(one, room)).join('\n');
    const hanging = body.replaceAll('\n', `\n${' '.repeat(indent)}`);
    return `${terminal.paint(padded(status, 4), STYLES[status])}  ${padded(name, width)}  ${hanging}`;
  });
  return lines.join('\n');
}
