/** What the commands share: their common flags, the configuration, and a connection that is always closed. */

import { type Command, Option } from 'commander';
import type { Redis } from 'ioredis';
import {
  type Config,
  DEFAULTS,
  FLAGS,
  loadConfig,
  maskUrl,
  type ResolvedConfig,
  type SettingName,
  shownValue,
} from '../../config/load.ts';
import { BouncerError, errorName } from '../errors.ts';
import type { Log } from '../ports.ts';
import { openWebRedis } from '../redis/connection.ts';
import { type Keys, keysFor } from '../redis/keys.ts';
import { CommandWithIds } from './id-argument.ts';

/** No command waits for Redis longer than this. */
export const REDIS_TIMEOUT_MS = 3000;

/** Flags as commander gives them, by their name in camel case. */
export type Options = Readonly<Record<string, unknown>>;

/** A command tells by its result and its exit code, not by log lines. */
export const QUIET: Log = { debug() {}, info() {}, warn() {}, error() {} };

/** A command with `--json`, `--config`, and the flags of these settings (`redisUrl` and `prefix` always). */
export function command(name: string, description: string, settings: readonly SettingName[] = []): Command {
  const made = new CommandWithIds(name).description(description);
  made.option('--json', 'print JSON instead of text');
  made.option('--config <path>', 'configuration file (default: session-bouncer.config.json, if it is there)');
  for (const setting of FLAGS) {
    if (!['redisUrl', 'prefix', ...settings].includes(setting.name)) continue;
    const origin = `[${setting.env}, default ${shownValue(DEFAULTS, setting.name)}]`;
    made.addOption(new Option(`${setting.flag} ${setting.placeholder}`, `${setting.description} ${origin}`));
  }
  return made;
}

/** Throws BouncerError `config_invalid` or `config_unreadable`. */
export function configOf(options: Options): ResolvedConfig {
  const given = FLAGS.map(({ name, flag }) => [name, textOf(options, camelCase(flag.slice(2)))]);
  const resolved = loadConfig({ flags: Object.fromEntries(given), configPath: textOf(options, 'config') });
  for (const warning of resolved.warnings) process.stderr.write(`warning: ${warning}\n`);
  return resolved;
}

export function textOf(options: Options, name: string): string | undefined {
  const value = options[name];
  return typeof value === 'string' ? value : undefined;
}

function camelCase(flag: string): string {
  return flag.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

/** Connects, works, and closes the connection in any case. Throws BouncerError `redis_unavailable` when it cannot. */
export async function withRedis<T>(config: Config, work: (redis: Redis, keys: Keys) => Promise<T>): Promise<T> {
  const redis = openWebRedis(config.redisUrl, REDIS_TIMEOUT_MS, QUIET);
  try {
    await connected(redis, config);
    return await work(redis, keysFor(config.prefix));
  } catch (error) {
    if (error instanceof BouncerError || redis.status === 'ready') throw error;
    throw unavailable(config, 'broke off the connection');
  } finally {
    redis.disconnect();
  }
}

/** The first error counts: a person waits for this, and can type the command again. */
async function connected(redis: Redis, config: Config): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      timer = setTimeout(() => reject(unavailable(config, 'did not answer in time')), REDIS_TIMEOUT_MS);
      redis.once('ready', resolve);
      redis.once('error', (error: Error) => reject(unavailable(config, whyNot(error))));
    });
  } finally {
    clearTimeout(timer);
  }
}

function whyNot(error: Error): string {
  const refusal = /\b(NOAUTH|WRONGPASS|NOPERM|LOADING)\b/.exec(error.message)?.[1];
  return refusal === undefined ? `cannot be reached (${errorName(error)})` : `refused us (${refusal})`;
}

export function unavailable({ redisUrl }: Config, what: string): BouncerError {
  const remedy = 'check that Redis runs there, and that the URL, the password and the network path are right';
  return new BouncerError('redis_unavailable', `${maskUrl(redisUrl)} ${what}: ${remedy}`);
}
