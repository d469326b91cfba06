/** Our own walk and decoder against the library's, and against damage. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { type CountryResponse, Reader } from 'maxmind';
import { parseAddress, wordsOf } from '../../../src/domain/address.ts';
import { openMmdb } from '../../../src/geo/mmdb.ts';
import { type MmdbFile, readMmdb } from '../../../src/geo/mmdb-file.ts';
import { decodeRecord } from '../../../src/geo/mmdb-record.ts';
import { random } from '../../bench/support/stats.ts';
import { bigMmdb } from '../../support/big-mmdb.ts';
import { type MmdbValue, writeMmdb } from '../../support/mmdb-writer.ts';
import { cpuMs, longestTurnMs } from '../../support/stopwatch.ts';

const require = createRequire(import.meta.url);
const BUILT = Date.parse('2026-06-01T00:00:00Z');
const directory = mkdtempSync(join(tmpdir(), 'geo-walk-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

let count = 0;
function put(bytes: Uint8Array): string {
  const path = join(directory, `${++count}.mmdb`);
  writeFileSync(path, bytes);
  return path;
}

/** What the library says and what we say, of one address: record and length of the prefix. */
function both(file: MmdbFile, reader: Reader<CountryResponse>, address: string) {
  const parsed = parseAddress(address);
  if (!parsed.ok) throw new Error(address);
  const words = wordsOf(parsed.ip, parsed.family);
  const offset = words === null ? -1 : file.tree.find(words, parsed.family);
  const ours = [offset === -1 ? null : file.record(offset), file.tree.depth];
  return { ours: JSON.stringify(ours), theirs: JSON.stringify(reader.getWithPrefixLength(parsed.ip)) };
}

function differences(file: MmdbFile, reader: Reader<CountryResponse>, addresses: Iterable<string>): string[] {
  const found: string[] = [];
  for (const address of addresses) {
    const { ours, theirs } = both(file, reader, address);
    if (ours !== theirs && found.length < 5) found.push(`${address}: ${ours} is not ${theirs}`);
  }
  return found;
}

function* randomV4(howMany: number): Generator<string> {
  const draw = random(1);
  for (let i = 0; i < howMany; i++) yield Array.from({ length: 4 }, () => Math.floor(draw() * 256)).join('.');
}

/** Half of it in 2000::/3, where something is; else anywhere. */
function* randomV6(howMany: number): Generator<string> {
  const draw = random(2);
  for (let i = 0; i < howMany; i++) {
    const groups = Array.from({ length: 8 }, () => Math.floor(draw() * 65_536));
    if (i % 2 === 0) groups[0] = [0x2001, 0x2400, 0x2600, 0x2800, 0x2a00, 0x2c0f][i % 6] ?? 0;
    const text = groups.map((group) => group.toString(16)).join(':');
    yield text;
  }
}

describe('the same answers as the library, in both families', () => {
  test.each(['geolite2-country-mmdb/geolite2-country', 'dbip-country-mmdb/dbip-country'])(
    '%s: 200,000 random addresses',
    async (name) => {
      const path = require.resolve(`@ip-location-db/${name}.mmdb`);
      const file = await readMmdb(path);
      const reader = new Reader<CountryResponse>(readFileSync(path));
      expect(differences(file, reader, randomV4(100_000))).toEqual([]);
      expect(differences(file, reader, randomV6(100_000))).toEqual([]);
    },
    60_000,
  );

  test.each([24, 28, 32] as const)('records of %d bits', async (recordSize) => {
    const bytes = bigMmdb({ recordSize, levels: 12, records: 300 });
    const path = put(bytes);
    expect(differences(await readMmdb(path), new Reader<CountryResponse>(bytes), randomV4(5000))).toEqual([]);
  });

  test('values of every type', () => {
    const value = {
      a: 'text',
      b: 4_000_000_000,
      c: 2n ** 63n,
      d: [true, false, 'x', [1]],
      e: { f: {} },
      g: 0,
    } as MmdbValue;
    const networks = { '81.2.69.0/24': value };
    const bytes = writeMmdb({ databaseType: 'GeoLite2-Country', builtAtMs: BUILT, networks });
    const reader = new Reader<CountryResponse>(bytes);
    const start = reader.metadata.searchTreeSize + 16;
    const ours = decodeRecord(bytes, start, start, bytes.length);
    const text = (one: unknown) =>
      JSON.stringify(one, (_, part: unknown) => (typeof part === 'bigint' ? `${part}` : part));
    expect(text(ours)).toBe(text(reader.get('81.2.69.1')));
  });
});

describe('records that would hold up a login', () => {
  const decode = (bytes: number[]) => decodeRecord(Buffer.from(bytes), 0, 0, bytes.length);

  test.each<[string, number[]]>([
    ['a pointer to itself', [0x20, 0x00]],
    ['a map that holds itself', [0xe1, 0x41, 0x61, 0x20, 0x00]],
    ['a map of 16 million entries', [0xff, 0xff, 0xff, 0xff, ...new Array<number>(2000).fill(0x40)]],
    ['a list of 16 million entries', [0x1f, 0x04, 0xff, 0xff, 0xff, ...new Array<number>(9000).fill(0x40)]],
    ['lists in lists', new Array<number>(2000).fill(0).flatMap(() => [0x01, 0x04])],
    ['a text that ends behind the file', [0x5e, 0xff, 0xff]],
    ['a key that is no text', [0xe1, 0xa1, 0x01, 0x40]],
    ['a run of zeros', [0, 0, 0, 0, 0, 0]],
    ['a double of 3 bytes', [0x63, 1, 2, 3]],
    ['nothing', []],
  ])('%s is refused at once', (_name, bytes) => {
    const from = process.cpuUsage();
    expect(() => decode(bytes)).toThrow(RangeError);
    expect(cpuMs(from)).toBeLessThan(100);
  });
});

test('1,000 files with one wrong bit: refused, or each lookup answers soon with a country or nothing', async () => {
  const networks: Record<string, MmdbValue> = {};
  for (let i = 0; i < 400; i++) networks[`${1 + (i % 200)}.${(i * 7) & 255}.0.0/16`] = { country: { iso_code: 'GB' } };
  const whole = writeMmdb({ databaseType: 'GeoLite2-Country', builtAtMs: BUILT, networks });
  const draw = random(3);
  let slowest = 0;
  let refused = 0;
  for (let i = 0; i < 1000; i++) {
    const bytes = Buffer.from(whole);
    const at = Math.floor(draw() * bytes.length);
    bytes[at] = (bytes[at] ?? 0) ^ (1 << Math.floor(draw() * 8));
    const source = await openMmdb(put(bytes)).catch((error: { code?: string }) => {
      expect(error.code).toBe('database_unusable');
      return null;
    });
    if (source === null) refused++;
    for (const address of source === null ? [] : randomV4(20)) {
      const from = process.cpuUsage();
      const { country } = source?.lookup(address, 4) ?? { country: null };
      slowest = Math.max(slowest, cpuMs(from));
      expect(country === null || /^[A-Z]{2}$/.test(country)).toBe(true);
    }
  }
  expect(slowest).toBeLessThan(100);
  // Most of the file is its tree, where a wrong bit shows as a node that nothing leads to.
  expect(refused).toBeGreaterThan(500);
}, 120_000);

test('a file of the size of a city file does not hold up the event loop while it is read and checked', async () => {
  const bytes = bigMmdb({ recordSize: 28, levels: 21, records: 200_000, databaseType: 'GeoLite2-City' });
  expect(bytes.length).toBeGreaterThan(30_000_000);
  const path = put(bytes);
  await readMmdb(path);
  let file: Awaited<ReturnType<typeof readMmdb>> | undefined;
  const longestMs = await longestTurnMs(async () => {
    file = await readMmdb(path);
  });
  const { offsets, record } = file ?? (await readMmdb(path));
  expect(offsets.size).toBe(20_000);
  expect(record([...offsets][0] ?? -1)).toMatchObject({ location: { accuracy_radius: expect.any(Number) } });
  // In one go it takes more than a second. How short it really is (20 ms) is for the bench to show, not for a busy machine.
  expect(longestMs).toBeLessThan(250);
}, 120_000);
