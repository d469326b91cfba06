/**
 * Flags > environment > file > default. Pure: the texts come as arguments, the answer says for each value where it came
 * from, and all that is wrong is told at once.
 */

import { dirname, resolve as resolvePath } from 'node:path';
import type { z } from 'zod';
import { BouncerError } from '../src/errors.ts';
import { type Config, configSchema, DEFAULTS, ENV_PREFIX, SETTINGS, type Setting, type SettingName } from './schema.ts';

/** What was given on the command line, by the setting's name. */
export type Flags = { readonly [name in SettingName]?: string | undefined };

export interface ConfigFile {
  readonly path: string;
  /** As JSON.parse gave it. */
  readonly content: unknown;
}

export interface ConfigSources {
  readonly flags: Flags;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly file: ConfigFile | null;
  /** Absolute. Relative paths of flags and environment start here; those of the file beside the file. */
  readonly cwd: string;
}

export interface Origin {
  readonly from: 'flag' | 'environment' | 'file' | 'default';
  /** The flag, variable or file; '' for a default. */
  readonly name: string;
}

export interface ResolvedConfig {
  readonly config: Config;
  readonly origins: Readonly<Record<SettingName, Origin>>;
  /** What is probably a mistake, but may be meant, e.g. a variable whose name is nearly one of ours. */
  readonly warnings: readonly string[];
}

interface Found {
  readonly value: unknown;
  readonly origin: Origin;
}

const DEFAULT: Origin = { from: 'default', name: '' };

/** Throws BouncerError `config_invalid`, whose message lists every problem and what to do about it. */
export function resolveConfig(sources: ConfigSources): ResolvedConfig {
  const file = fileValues(sources.file);
  const found = SETTINGS.map((setting) => ({ setting, ...find(setting, sources, file) }));
  const values = Object.fromEntries(found.map(({ setting, value }) => [setting.name, value]));
  const origins = Object.fromEntries(found.map(({ setting, origin }) => [setting.name, origin]));
  const parsed = configSchema.safeParse(values);
  const problems = [
    ...unknownKeys(file),
    ...(parsed.success ? [] : wrongValues(parsed.error, origins as ResolvedConfig['origins'])),
  ];
  if (problems.length > 0 || !parsed.success) throw new BouncerError('config_invalid', problems.join('; '));
  return {
    config: withAbsolutePaths(parsed.data, origins as ResolvedConfig['origins'], sources.cwd),
    origins: origins as ResolvedConfig['origins'],
    warnings: nearlyOurs(sources.env),
  };
}

function fileValues(file: ConfigFile | null): ReadonlyMap<string, Found> {
  if (file === null) return new Map();
  const { path, content } = file;
  if (typeof content !== 'object' || content === null || Array.isArray(content)) {
    throw new BouncerError('config_invalid', `${path}: put one JSON object there, e.g. { "mode": "observe" }`);
  }
  const origin: Origin = { from: 'file', name: path };
  return new Map(Object.entries(content).map(([key, value]) => [key, { value, origin }]));
}

function find(setting: Setting, { flags, env }: ConfigSources, file: ReadonlyMap<string, Found>): Found {
  const flag = flags[setting.name];
  if (flag !== undefined) return { value: typed(flag, setting), origin: { from: 'flag', name: setting.flag } };
  const variable = env[setting.env];
  // `NAME=` in a shell or a compose file is how people unset a variable.
  if (variable !== undefined && variable.trim() !== '') {
    return { value: typed(variable, setting), origin: { from: 'environment', name: setting.env } };
  }
  return file.get(setting.name) ?? { value: DEFAULTS[setting.name], origin: DEFAULT };
}

/** A text as the setting's type; what does not fit stays as it is, and the schema refuses it. */
function typed(text: string, { type }: Setting): unknown {
  const plain = text.trim();
  if (type === 'number') return /^\d{1,9}(\.\d{1,9})?$/.test(plain) ? Number(plain) : plain;
  if (type === 'switch') return plain === 'true' || (plain !== 'false' && plain);
  if (type === 'list') return partsOf(plain);
  if (type === 'webhooks') return webhooksOf(plain);
  return type === 'pairs' ? pairsOf(plain) : plain;
}

function partsOf(text: string): string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

/** JSON as in the file, or of a single one `<url> <secret>` (more secrets while they change over). */
function webhooksOf(text: string): unknown {
  if (!/^[[{]/.test(text)) {
    const [url, ...secret] = text.split(/\s+/);
    return [{ url, secret }];
  }
  try {
    const parsed: unknown = JSON.parse(text);
    return Array.isArray(parsed) ? parsed : [parsed];
  } catch {
    return text;
  }
}

/** `address=country,...`; a value may hold more of them, as base64 does. */
function pairsOf(text: string): unknown {
  const parts = partsOf(text);
  const pairs = parts.map((part) => [part.split('=', 1)[0] ?? '', part.slice(part.indexOf('=') + 1)] as const);
  const values = new Map(pairs);
  // Of two values for one name, one would be lost without a word.
  const isClear = pairs.every(([name, value]) => values.get(name) === value);
  return isClear && parts.every((part) => part.includes('=')) ? Object.fromEntries(pairs) : text;
}

function wrongValues(error: z.ZodError, origins: ResolvedConfig['origins']): string[] {
  const names = new Set(error.issues.map((issue) => issue.path[0]));
  return SETTINGS.filter(({ name }) => names.has(name)).map(({ name, takes }) => {
    const { from, name: where } = origins[name];
    return `${name} (${from === 'file' ? `in ${where}` : where}): give ${takes}`;
  });
}

function unknownKeys(file: ReadonlyMap<string, Found>): string[] {
  const known: readonly string[] = SETTINGS.map(({ name }) => name);
  return [...file].flatMap(([key, { origin }]) => {
    if (known.includes(key)) return [];
    const shown = /^[\w$.-]{1,40}$/.test(key) ? key : '(unprintable)';
    const near = nearest(key, known);
    const remedy = near === null ? `known are ${known.join(', ')}` : `did you mean ${near}?`;
    return [`${shown} (in ${origin.name}) is not a setting: ${remedy}`];
  });
}

/** Not an error: e.g. Kubernetes sets variables of its own for a service that is named like us. */
function nearlyOurs(env: ConfigSources['env']): string[] {
  const known = SETTINGS.map((setting) => setting.env).concat(`${ENV_PREFIX}CONFIG`);
  return Object.keys(env).flatMap((name) => {
    if (!name.startsWith(ENV_PREFIX) || known.includes(name) || !/^\w{1,80}$/.test(name)) return [];
    const near = known.find((one) => distance(name, one) <= 2);
    return near === undefined ? [] : [`${name} is not a setting and was ignored: did you mean ${near}?`];
  });
}

function withAbsolutePaths(config: Config, origins: ResolvedConfig['origins'], cwd: string): Config {
  const absolute = (paths: readonly string[], { from, name }: Origin) => {
    const base = from === 'file' ? dirname(name) : cwd;
    return paths.map((path) => resolvePath(base, path));
  };
  const { databases, overrides } = config;
  return {
    ...config,
    databases: absolute(databases, origins.databases),
    overrides: absolute(overrides, origins.overrides),
  };
}

/** The known word that begins like this one, or else differs least; null where none is near. */
export function nearest(word: string, known: readonly string[]): string | null {
  const given = word.slice(0, 64).toLowerCase();
  const begins = known.find((one) => given.length >= 3 && one.toLowerCase().startsWith(given));
  if (begins !== undefined) return begins;
  const [best] = known.map((one) => ({ one, far: distance(given, one.toLowerCase()) })).sort((a, b) => a.far - b.far);
  if (best === undefined) return null;
  return best.far <= Math.max(given.length, best.one.length) / 2 ? best.one : null;
}

/** Levenshtein's: letters to insert, delete or replace. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (const [i, letter] of [...a].entries()) {
    const next = [i + 1];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (letter === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

/** A Redis URL as it may be shown: without its password. */
export function maskUrl(url: string): string {
  return url.replace(/^([a-z]+:\/\/[^:@/]*):.*@/i, '$1:***@').replace(/([?&]password=)[^&#]*/gi, '$1***');
}

/** A value as it may be shown. */
export function shownValue(config: Config, name: SettingName): string {
  const value = config[name];
  if (name === 'redisUrl') return maskUrl(config.redisUrl);
  if (name === 'phpRedisUrl' && config.phpRedisUrl !== null) return maskUrl(config.phpRedisUrl);
  if (name === 'phpKeys') return listed(Object.keys(config.phpKeys).map((id) => `${id}=***`));
  if (name === 'webhooks') return listed(config.webhooks.map(maskWebhook));
  if (name === 'userLinkSecrets' || name === 'ingestSecrets') return listed(config[name].map(() => '***'));
  if (name === 'consoleAccounts') return listed(maskAccounts(config.consoleAccounts));
  if (typeof value === 'object' && value !== null) return listed(value as Parameters<typeof listed>[0]);
  return value === null ? 'none' : String(value);
}

/** Its path may be a secret as much as its secret is. */
function maskWebhook({ url, events }: Config['webhooks'][number]): string {
  return `${new URL(url).origin}/*** (${events?.join(' ') ?? 'all events'})`;
}

function maskAccounts(accounts: Config['consoleAccounts']): Record<string, string> {
  const masked = Object.entries(accounts).map(([name, text]) => [name, `${text.slice(0, text.indexOf(':'))}:***`]);
  return Object.fromEntries(masked) as Record<string, string>;
}

function listed(value: readonly string[] | Readonly<Record<string, string>>): string {
  const parts = Array.isArray(value) ? value : Object.entries(value).map((pair) => pair.join('='));
  return parts.length === 0 ? 'none' : parts.join(', ');
}
