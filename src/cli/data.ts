/** `session-bouncer data`: what databases there are, whether a file is a good one, and how to get newer ones. */

import { readFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { basename } from 'node:path';
import { Command } from 'commander';
import type { Config } from '../../config/load.ts';
import { BouncerError, errorName } from '../errors.ts';
import { verdictOn } from '../geo/canaries.ts';
import { parseGeoipConf } from '../geo/geoip-conf.ts';
import { openMmdb } from '../geo/mmdb.ts';
import { openOverrides } from '../geo/overrides.ts';
import { dayOf } from '../geo/source.ts';
import { MAXMIND_URL, type Updated, updateDatabases } from '../geo/update.ts';
import type { SourceStatus } from '../ports.ts';
import { command, configOf, type Options, textOf } from './context.ts';
import { SOURCE_SETTINGS, withSources } from './sources.ts';
import { type Column, table } from './table.ts';
import { print, printJson, standardOutput, withProgress } from './terminal.ts';
import { clean } from './text.ts';

export function dataCommand(): Command {
  const data = new Command('data').description('see, check and download databases');
  data.addCommand(
    command(
      'status',
      'what a worker that starts now would use, how old it is, and why something is not',
      SOURCE_SETTINGS,
    ).action(status),
  );
  data.addCommand(
    command('check', 'read and check a file as the worker would; exit code 1 when it would be refused', ['canaries'])
      .argument('<file>', 'an .mmdb database, or a CSV of overrides, of any name')
      .action(check),
  );
  data.addCommand(
    command('update', "download MaxMind's databases with your own account", ['canaries'])
      .option('--geoip-conf <path>', 'file with AccountID, LicenseKey, EditionIDs', '/etc/GeoIP.conf')
      .option('--directory <path>', 'where the databases go (default: DatabaseDirectory of that file)')
      .option('--url <url>', 'another server that speaks the same way', MAXMIND_URL)
      .action(update),
  );
  return data;
}

const COLUMNS: readonly Column<SourceStatus>[] = [
  { title: 'DATABASE', value: ({ database }) => database, min: 12 },
  { title: 'ROLE', value: ({ role }) => role ?? '-' },
  { title: 'VENDOR', value: ({ vendor }) => vendor ?? '-', optional: true },
  { title: 'BUILT ON', value: ({ builtOn }) => builtOn ?? 'unknown' },
  { title: 'DAYS', value: ({ ageDays }) => String(ageDays ?? '-') },
  { title: 'STATE', value: ({ ok }) => (ok ? 'in use' : 'not used') },
  { title: 'ORIGIN', value: ({ origin }) => origin, min: 10 },
  { title: 'PROBLEM', value: ({ problem, refused }) => problem ?? refused ?? '', min: 10, optional: true },
];

async function status(options: Options): Promise<void> {
  const { config } = configOf(options);
  const opening = withSources(config, (chain) => chain.sources());
  const sources = await withProgress('Opening the databases', opening);
  if (options.json) return printJson(sources);
  print(table(sources, COLUMNS, standardOutput()));
}

/** Throws BouncerError `database_unusable` for a file that a worker would not take. */
async function check(file: string, options: Options): Promise<void> {
  const { config } = configOf(options);
  const facts = await ((await isOverrides(file)) ? overrideFacts(file) : databaseFacts(file, config));
  if (options.json) return printJson(facts);
  const width = Math.max(...Object.keys(facts).map((name) => name.length));
  print(
    Object.entries(facts)
      .map(([name, value]) => clean(`${name.padEnd(width)}  ${value ?? 'unknown'}`))
      .join('\n'),
  );
}

/**
 * By its name, also where it is to be renamed (`own.csv.new`); of any other name by what is in it: a database has zero bytes.
 */
async function isOverrides(file: string): Promise<boolean> {
  const name = basename(file);
  if (/\.(csv|mmdb)(\.|$)/i.test(name)) return /\.csv(\.|$)/i.test(name);
  const start = await startOf(file);
  return start.length > 0 && !start.includes(0);
}

/** Empty where it cannot be read: whoever opens it says so. */
async function startOf(file: string): Promise<Buffer> {
  const opened = await open(file, 'r').catch(() => null);
  try {
    const { bytesRead = 0, buffer } = (await opened?.read({ buffer: Buffer.alloc(4096) })) ?? {};
    return buffer?.subarray(0, bytesRead) ?? Buffer.alloc(0);
  } catch {
    return Buffer.alloc(0);
  } finally {
    await opened?.close();
  }
}

async function databaseFacts(file: string, { canaries: own }: Config): Promise<Record<string, string | number | null>> {
  const source = await openMmdb(file, { canaries: own });
  const { role, type, vendor, builtAtMs, nodeCount } = source;
  const canaries = role === 'country' ? verdictOn(source) : 'not asked';
  return { file, role, type, vendor, builtOn: dayOf(builtAtMs), nodes: nodeCount, canaries };
}

async function overrideFacts(file: string): Promise<Record<string, string | number | null>> {
  const { role, rows, skipped, builtAtMs } = await openOverrides(file);
  const lines = skipped.first.map(({ line, what }) => `${line} (${what})`).join(', ');
  return { file, role, builtOn: dayOf(builtAtMs), rows, skipped: skipped.count, ...(lines === '' ? {} : { lines }) };
}

/** The key is in the file alone: on a command line every user of the machine could read it. */
async function update(options: Options): Promise<void> {
  const conf = parseGeoipConf(readConf(textOf(options, 'geoipConf') ?? ''));
  const directory = textOf(options, 'directory') ?? conf.directory;
  if (directory === null) {
    throw new BouncerError(
      'option_invalid',
      '--directory: say where the databases go, or put DatabaseDirectory into the file',
    );
  }
  const { canaries } = configOf(options).config;
  const baseUrl = serverOf(textOf(options, 'url') ?? MAXMIND_URL);
  const work = updateDatabases({ ...conf, directory, baseUrl, canaries });
  const done = await withProgress('Downloading', work);
  if (options.json) return printJson(done);
  print(done.map(line).join('\n'));
}

function line({ edition, path, outcome, builtOn }: Updated): string {
  const what = outcome === 'updated' ? `updated, built on ${builtOn ?? 'an unknown day'}` : 'is the newest there is';
  return clean(`${edition}: ${what}: ${path}`);
}

function readConf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new BouncerError(
      'config_unreadable',
      `${path}: cannot be read (${errorName(error)}); name it with --geoip-conf`,
    );
  }
}

/** The account is sent there: in clear text only to this machine itself. */
function serverOf(url: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : null;
  const isLocal = parsed?.protocol === 'http:' && ['localhost', '127.0.0.1', '[::1]'].includes(parsed.hostname);
  if (parsed !== null && (parsed.protocol === 'https:' || isLocal)) return parsed.origin;
  throw new BouncerError('option_invalid', '--url: give an https:// address');
}
