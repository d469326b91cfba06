/** What sources of different roles come to together: overrides, flags, networks, places; and where files are looked for. */
import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { decide, emptyBaseline, learn } from '../../../src/domain/decide.ts';
import { DEFAULT_POLICY } from '../../../src/domain/policy.ts';
import type { Located } from '../../../src/domain/types.ts';
import { type Chain, type ChainOptions, openChain } from '../../../src/geo/chain.ts';
import { discoverDatabases } from '../../../src/geo/discover.ts';
import { captureLog } from '../../support/index.ts';
import { type MmdbValue, writeMmdb } from '../../support/mmdb-writer.ts';

const DAY_MS = 86_400_000;
const BUILT = Date.parse('2026-06-01T00:00:00Z');
const GB = '81.2.69.142';
const directory = mkdtempSync(join(tmpdir(), 'geo-roles-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

let count = 0;
function put(name: string, content: Uint8Array | string): string {
  const path = join(directory, String(++count), name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
  return path;
}
const mmdb = (databaseType: string, record: MmdbValue, builtAtMs = BUILT) =>
  put('a.mmdb', writeMmdb({ databaseType, builtAtMs, networks: { '81.2.69.0/24': record } }));
const country = (databaseType: string, code: string) => mmdb(databaseType, { country: { iso_code: code } });

function open(options: Partial<ChainOptions>): Promise<Chain> {
  const clock = () => BUILT + 30 * DAY_MS;
  const alone = { places: null, npmFallback: false, geoipLite: false, reload: { everyMs: 0 } };
  return openChain({ log: captureLog(), clock, ...alone, ...options });
}

async function locate(options: Partial<ChainOptions>): Promise<Located> {
  const sighting = (await open(options)).locate(GB);
  if (sighting.kind !== 'located') throw new Error(sighting.why);
  return sighting;
}

const anonymous = () => mmdb('GeoIP2-Anonymous-IP', { is_anonymous: true, is_anonymous_vpn: true });
const two = () => [country('GeoLite2-Country', 'GB'), country('DBIP-Country-Lite', 'GB')];

describe('the evidence answers "why did it say FR?"', () => {
  test('each source`s word, its date and network, where it puts the address, and who runs the network', async () => {
    const city = mmdb('GeoLite2-City', {
      country: { iso_code: 'FR' },
      location: { latitude: '48.8', longitude: '2.3', accuracy_radius: 20 },
    });
    const asn = mmdb('GeoLite2-ASN', { autonomous_system_number: 20712, autonomous_system_organization: 'Andrews' });
    const sighting = await locate({ databases: [asn, city, country('DBIP-Country-Lite', 'FR')] });
    expect(sighting).toMatchObject({ candidates: ['FR'], agreed: true });
    const common = { source: 'mmdb', builtOn: '2026-06-01', network: '81.2.69.0/24' };
    expect(sighting.evidence).toEqual([
      { ...common, database: 'GeoLite2-City', country: 'FR', latitude: 48.8, longitude: 2.3, radiusKm: 20 },
      { ...common, database: 'DBIP-Country-Lite', country: 'FR' },
      { ...common, database: 'GeoLite2-ASN', country: null, asn: 20712, holder: 'Andrews' },
    ]);
  });
});

describe('overrides', () => {
  test('are certain: one counts as agreed, and what others say is on record', async () => {
    const overrides = [put('own.csv', '81.2.69.0/24,FR\n')];
    const sighting = await locate({ overrides, databases: [...two(), anonymous()] });
    expect(sighting).toMatchObject({ candidates: ['FR'], agreed: true });
    expect(sighting).not.toHaveProperty('flags');
    expect(sighting.evidence.map(({ source, country: said, note }) => [source, said, note])).toEqual([
      ['override', 'FR', 'override'],
      ['mmdb', 'GB', 'overruled'],
      ['mmdb', 'GB', 'overruled'],
      ['mmdb', null, 'overruled'],
    ]);
    expect(sighting.evidence[3]).toMatchObject({ flags: ['anonymiser'] });
  });

  test('work alone, and never grow old', async () => {
    const overrides = [put('own.csv', '81.2.69.0/24,FR\n')];
    const chain = await open({ overrides, maxAgeDays: 1, clock: () => Date.now() + 1000 * DAY_MS });
    expect(chain.locate(GB)).toMatchObject({ candidates: ['FR'], agreed: true });
    expect(chain.locate('8.8.8.8')).toMatchObject({ kind: 'unlocatable', why: 'no_database' });
  });

  test('may say that a network is not to be located', async () => {
    const chain = await open({ overrides: [put('own.csv', '81.2.69.0/24,\n')], databases: two() });
    expect(chain.locate(GB)).toMatchObject({ kind: 'unlocatable', why: 'not_located' });
    expect(chain.locate(GB).evidence[0]).toMatchObject({ source: 'override', note: 'override:not_located' });
  });

  test.each([
    ['the longer prefix, in the second file', '81.0.0.0/8,FR', '81.2.69.0/24,DE', ['DE'], ['overruled', 'override']],
    ['the longer prefix, in the first file', '81.2.69.0/24,DE', '81.0.0.0/8,FR', ['DE'], ['override', 'overruled']],
    ['of equal ones the first file`s', '81.2.69.0/24,FR', '81.2.69.0/24,DE', ['FR'], ['override', 'overruled']],
    [
      'the longer one also where it locates nothing',
      '81.0.0.0/8,FR',
      '81.2.69.142,',
      undefined,
      ['overruled', 'override:not_located'],
    ],
    ['and where the shorter one does not', '81.0.0.0/8,', '81.2.69.142,DE', ['DE'], ['overruled', 'override']],
  ])('of two files counts %s', async (_name, one, two, candidates, notes) => {
    const overrides = [put('one.csv', `${one}\n`), put('two.csv', `${two}\n`)];
    const sighting = (await open({ overrides })).locate(GB);
    expect(sighting).toMatchObject(candidates === undefined ? { why: 'not_located' } : { candidates, agreed: true });
    expect(sighting.evidence.map(({ note }) => note)).toEqual(notes);
  });

  test('skipped lines are warned of, by number', async () => {
    const log = captureLog();
    await open({ overrides: [put('own.csv', '81.2.69.0/24,FR\nhush,XX\n')], log });
    const warnings = log.entries.filter(({ level }) => level === 'warn');
    expect(warnings).toMatchObject([{ fields: { rows: 1, skipped: 1, first: [{ line: 2, what: 'prefix' }] } }]);
    expect(log.text()).not.toContain('hush');
  });
});

describe('flags', () => {
  test('an address that a database flags is not decided by its country', async () => {
    const sighting = await locate({ databases: [...two(), anonymous()] });
    expect(sighting).toMatchObject({ candidates: ['GB'], agreed: true, flags: ['anonymiser'] });
    const home = learn(
      emptyBaseline,
      { ...sighting, flags: [], candidates: ['FR'], network: '90.0.15.0/24' },
      0,
      DEFAULT_POLICY,
    );
    expect(decide(home, sighting, 1000, DEFAULT_POLICY).reason).toBe('anonymous_network');
  });

  test('of an address that no database places are kept', async () => {
    const elsewhere = put(
      'b.mmdb',
      writeMmdb({ databaseType: 'GeoLite2-Country', builtAtMs: BUILT, networks: { '90.0.0.0/16': 'FR' } }),
    );
    const sighting = (await open({ databases: [elsewhere, anonymous()] })).locate(GB);
    expect(sighting).toMatchObject({ kind: 'unlocatable', why: 'no_data', flags: ['anonymiser'] });
    expect(decide(emptyBaseline, sighting, 1000, DEFAULT_POLICY)).toMatchObject({ action: 'allow' });
  });

  test('of several sources are one set', async () => {
    const hosting = mmdb('GeoIP2-Anonymous-IP', { is_hosting_provider: true, is_anonymous: true });
    const traits = mmdb('GeoIP2-Country', { country: { iso_code: 'GB' }, traits: { is_anycast: true } });
    expect((await locate({ databases: [traits, anonymous(), hosting] })).flags).toEqual([
      'anonymiser',
      'anycast',
      'hosting',
    ]);
  });

  test('of a database past the configured age are not believed', async () => {
    const old = mmdb('GeoIP2-Anonymous-IP', { is_anonymous: true }, BUILT - 90 * DAY_MS);
    const sighting = await locate({ databases: [...two(), old], maxAgeDays: 60 });
    expect(sighting).not.toHaveProperty('flags');
    expect(sighting.evidence[2]).toMatchObject({ flags: ['anonymiser'], note: 'stale' });
  });

  test('databases of flags or networks alone are no country: the fallback stands in', async () => {
    const chain = await open({ databases: [anonymous()], npmFallback: true });
    expect(chain.sources().map(({ role }) => role)).toEqual(['country', 'country', 'flags']);
    expect(chain.locate(GB)).toMatchObject({ candidates: ['GB'], flags: ['anonymiser'] });
  });
});

describe('where databases are looked for', () => {
  const place = (name: string, files: Record<string, string>) => {
    const path = join(directory, name);
    mkdirSync(path, { recursive: true });
    for (const [file, text] of Object.entries(files)) writeFileSync(join(path, file), text);
    return path;
  };

  test('one country file of each vendor, with flags and networks; GeoIP.conf`s directory comes first', async () => {
    const usual = place('usual', {
      'GeoLite2-Country.mmdb': '',
      'dbip-city-lite.mmdb': '',
      'notes.txt': '',
      'GeoIP.dat': '',
    });
    const own = place('own', {
      'GeoLite2-City.mmdb': '',
      'GeoLite2-Country.mmdb': '',
      'GeoLite2-ASN.mmdb': '',
      'GeoIP2-Anonymous-IP.mmdb': '',
    });
    const conf = join(directory, 'GeoIP.conf');
    writeFileSync(
      conf,
      `# geoipupdate\nAccountID 42\nLicenseKey secret\nEditionIDs GeoLite2-City\nDatabaseDirectory ${own}  # here\n`,
    );
    const found = await discoverDatabases({
      directories: [usual],
      configurations: [conf, join(directory, 'absent.conf')],
    });
    expect(found).toEqual([
      join(own, 'GeoIP2-Anonymous-IP.mmdb'),
      join(own, 'GeoLite2-ASN.mmdb'),
      join(own, 'GeoLite2-Country.mmdb'),
      join(usual, 'dbip-city-lite.mmdb'),
    ]);
  });

  test('of dated copies the newest: by the day in the name, or else by when it was written', async () => {
    const dated = place('dated', {
      'dbip-country-lite-2026-06.mmdb': '',
      'dbip-country-lite-2026-11.mmdb': '',
      'dbip-country-lite-2025-12.mmdb': '',
      'GeoLite2-Country_20260601.mmdb': '',
      'GeoLite2-Country_20261117.mmdb': '',
      'GeoLite2-ASN_20260601.mmdb': '',
      'GeoLite2-ASN.mmdb': '',
      'ipinfo_lite.mmdb': '',
    });
    const now = Date.parse('2026-11-22') / 1000;
    utimesSync(join(dated, 'GeoLite2-ASN.mmdb'), now, now);
    // Copied last: that says nothing of a file whose name tells its day.
    utimesSync(join(dated, 'dbip-country-lite-2026-06.mmdb'), now + 1, now + 1);
    const found = await discoverDatabases({ directories: [dated], configurations: [] });
    expect(found.map((path) => basename(path))).toEqual([
      'GeoLite2-ASN.mmdb',
      'GeoLite2-Country_20261117.mmdb',
      'dbip-country-lite-2026-11.mmdb',
      'ipinfo_lite.mmdb',
    ]);
    utimesSync(join(dated, 'GeoLite2-ASN.mmdb'), 1, 1);
    expect(await discoverDatabases({ directories: [dated], configurations: [] })).toContain(
      join(dated, 'GeoLite2-ASN_20260601.mmdb'),
    );
  });

  test('before the npm fallback, and only when no path is given', async () => {
    const bytes = writeMmdb({
      databaseType: 'GeoLite2-Country',
      builtAtMs: BUILT,
      networks: { '81.2.69.0/24': { country_code: 'IE' } },
    });
    const path = place('system', {});
    writeFileSync(join(path, 'GeoLite2-Country.mmdb'), bytes);
    const places = { directories: [path], configurations: [] };
    expect(await locate({ places })).toMatchObject({ candidates: ['IE'], agreed: false });
    // One vendor alone could never be certain: the copy of the other, and only that, stands beside it.
    const chain = await open({ places, npmFallback: true });
    expect(chain.sources().map(({ database }) => database)).toEqual(['GeoLite2-Country', 'dbip-country']);
    expect(chain.locate(GB)).toMatchObject({ candidates: ['GB', 'IE'] });
    expect(await locate({ places, databases: two() })).toMatchObject({ candidates: ['GB'] });
  });

  test('nowhere: nothing, and no error', async () => {
    expect(await discoverDatabases({ directories: [join(directory, 'absent')], configurations: [directory] })).toEqual(
      [],
    );
  });
});
