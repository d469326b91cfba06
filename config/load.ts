/** The only reader of the environment and of configuration files. What they mean is decided in resolve.ts. */

import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { BouncerError } from '../src/errors.ts';
import { type ConfigFile, type Flags, nearest, type ResolvedConfig, resolveConfig } from './resolve.ts';
import { ENV_PREFIX, FLAGS } from './schema.ts';

export { maskUrl, type Origin, type ResolvedConfig, resolveConfig, shownValue } from './resolve.ts';
export { type Config, DEFAULTS, FLAGS, SETTINGS, type Setting, type SettingName } from './schema.ts';

/** Read from the working directory when it is there. */
export const CONFIG_FILE = 'session-bouncer.config.json';
const CONFIG_VARIABLE = `${ENV_PREFIX}CONFIG`;

export interface LoadOptions {
  readonly flags?: Flags;
  /** The file of `--config`; it must exist. */
  readonly configPath?: string | undefined;
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/** Throws BouncerError `config_unreadable` (the file) or `config_invalid` (a value). */
export function loadConfig(options: LoadOptions = {}): ResolvedConfig {
  const { flags = {}, env = process.env, cwd = process.cwd() } = options;
  const named = options.configPath ?? (env[CONFIG_VARIABLE] || undefined);
  return resolveConfig({ flags, env, cwd, file: readFile(resolve(cwd, named ?? CONFIG_FILE), named !== undefined) });
}

function readFile(path: string, mustExist: boolean): ConfigFile | null {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? 'unknown error';
    if (code === 'ENOENT' && !mustExist) return null;
    const remedy = code === 'ENOENT' ? 'there is no such file' : `it cannot be read (${code})`;
    throw new BouncerError('config_unreadable', `${path}: ${remedy}; correct the path or its permissions`);
  }
  return { path, content: parseJson(text, path) };
}

/** The parser's own message quotes the file, which may hold a password: only the place is told. */
function parseJson(text: string, path: string): unknown {
  try {
    return JSON.parse(text.replace(/^\uFEFF/, ''));
  } catch (cause) {
    const position = /position (\d+)/.exec(cause instanceof Error ? cause.message : '')?.[1];
    const line = position === undefined ? '' : `, line ${text.slice(0, Number(position)).split('\n').length}`;
    throw new BouncerError('config_unreadable', `${path}${line}: this is not valid JSON; correct its syntax`);
  }
}

/** The flags of a process that has no other arguments. Throws BouncerError `config_invalid`. */
export function parseFlags(argv: readonly string[]): { flags: Flags; configPath: string | undefined } {
  const names = [...FLAGS.map(({ flag }) => flag), '--config'].map((flag) => flag.slice(2));
  const options = Object.fromEntries(names.map((name) => [name, { type: 'string' as const }]));
  const { tokens } = parseArgs({ args: [...argv], options, strict: false, tokens: true });
  const given = new Map<string, string>();
  for (const token of tokens) {
    const known = token.kind === 'option' && names.includes(token.name);
    if (!known) throw new BouncerError('config_invalid', unknownFlag(argv[token.index] ?? '', names));
    if (token.value === undefined) throw new BouncerError('config_invalid', `--${token.name}: give a value`);
    given.set(token.name, token.value);
  }
  const flags = Object.fromEntries(FLAGS.map(({ name, flag }) => [name, given.get(flag.slice(2))]));
  return { flags, configPath: given.get('config') };
}

function unknownFlag(text: string, names: readonly string[]): string {
  // Without what follows the `=`: it may be a password.
  const name = text.replace(/=.*$/s, '');
  const shown = /^-[\w.-]{1,40}$/.test(name) ? name : 'an argument';
  const near = nearest(name.replace(/^--?/, ''), names);
  return `${shown} is not a flag: ${near === null ? `known are --${names.join(', --')}` : `did you mean --${near}?`}`;
}

/** What the environment says about the terminal; see https://no-color.org. */
export function loadTerminal(env: Readonly<Record<string, string | undefined>> = process.env): {
  readonly noColor: boolean;
  /** Columns of `COLUMNS`, or null. */
  readonly columns: number | null;
} {
  const columns = Number(env.COLUMNS);
  const noColor = (env.NO_COLOR ?? '') !== '' || env.TERM === 'dumb';
  return { noColor, columns: Number.isInteger(columns) && columns > 0 ? columns : null };
}
