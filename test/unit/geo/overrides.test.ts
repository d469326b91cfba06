import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { openOverrides } from '../../../src/geo/overrides.ts';
import { cpuMs } from '../../support/stopwatch.ts';

const directory = mkdtempSync(join(tmpdir(), 'geo-overrides-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

let count = 0;
function open(text: string | Buffer) {
  const path = join(directory, `${++count}.csv`);
  writeFileSync(path, text);
  return openOverrides(path);
}

describe('overrides (RFC 8805)', () => {
  test('what follows a # is a comment, behind a row too; within quotes it is none', async () => {
    const source = await open(
      '81.2.69.0/24,DE # office\n81.3.0.0/16, # do not locate, please\n81.4.0.0/16,FR,,#,\n"81.5.0.0/16","GB","","No. #5"\n' +
        '81.6.0.0/16 # no comma\n81.7.0.0/16,#FR',
    );
    expect(source.skipped).toEqual({ count: 1, first: [{ line: 5, what: 'no_comma' }] });
    expect(source.lookup('81.2.69.1', 4)).toMatchObject({ country: 'DE' });
    expect(source.lookup('81.3.0.1', 4)).toMatchObject({ country: null, note: 'override:not_located' });
    expect(source.lookup('81.4.0.1', 4)).toMatchObject({ country: 'FR' });
    expect(source.lookup('81.5.0.1', 4)).toMatchObject({ country: 'GB' });
    // The comment shows that what stands before it was written to its end.
    expect(source.lookup('81.7.0.1', 4)).toMatchObject({ note: 'override:not_located' });
    expect(source.isCut).toBe(false);
  });

  test('the longest prefix wins, in both families, whatever the order', async () => {
    const source = await open(
      '81.2.69.128/26,IE\n81.0.0.0/8,GB\n81.2.69.142,FR\n2a00:23c4::/32,GB\n2a00:23c4:1::/48,DE,,,\n2a00:23c4:1::1/128,US\n',
    );
    expect(source.lookup('81.2.69.142', 4)).toMatchObject({
      country: 'FR',
      network: '81.2.69.142/32',
      note: 'override',
    });
    expect(source.lookup('81.2.69.143', 4)).toMatchObject({ country: 'IE', network: '81.2.69.128/26' });
    expect(source.lookup('81.3.0.1', 4)).toMatchObject({ country: 'GB', network: '81.0.0.0/8' });
    expect(source.lookup('82.0.0.1', 4)).toEqual({ country: null, network: null });
    expect(source.lookup('2a00:23c4:1::1', 6)).toMatchObject({ country: 'US', network: '2a00:23c4:1::1/128' });
    expect(source.lookup('2a00:23c4:1:9::1', 6)).toMatchObject({ country: 'DE', network: '2a00:23c4:1::/48' });
    expect(source.lookup('2a00:23c4:2::1', 6)).toMatchObject({ country: 'GB', network: '2a00:23c4::/32' });
  });

  test('prefixes of every length tell neighbours apart', async () => {
    for (let prefix = 1; prefix <= 128; prefix++) {
      const source = await open(`2a00:23c4:1:2:3:4:5:6/${prefix},GB\n`);
      expect(source.lookup('2a00:23c4:1:2:3:4:5:6', 6).country).toBe('GB');
      const bits = [...Array(8).keys()].map((i) => [0x2a00, 0x23c4, 1, 2, 3, 4, 5, 6][i] ?? 0);
      const last = prefix - 1;
      bits[last >> 4] = (bits[last >> 4] ?? 0) ^ (0x8000 >> (last & 15));
      const neighbour = bits.map((group) => group.toString(16)).join(':');
      expect(source.lookup(neighbour, 6).country).toBeNull();
    }
  });

  test('BOM, comments, blank lines, CRLF, quotes, cases and the trailing fields of the format', async () => {
    const source = await open(
      '\uFEFF# our exits\r\n\r\n81.2.69.0/24,gb,GB-LND,London,\r\n "90.0.0.0/16" , "fr" ,,,\r\n  # more\r\n2a00::/32,UK',
    );
    expect(source.skipped.count).toBe(0);
    expect(source.rows).toBe(3);
    expect(source.lookup('81.2.69.1', 4).country).toBe('GB');
    expect(source.lookup('90.0.1.1', 4).country).toBe('FR');
    expect(source.lookup('2a00::1', 6).country).toBe('GB');
  });

  test('bad lines are skipped and reported by number, and their text by nobody', async () => {
    const source = await open(
      '81.2.69.0/24,GB\nnot a prefix,GB\n81.2.70.0/24,Britain\n81.2.69.0/24,FR\n81.2.69.999/24,GB\n' +
        `${'x'.repeat(5000)}\n81.2.71.0/33,GB\n81.2.72.0/24,EU\n81.2.73.0/24,GB`,
    );
    expect(source.skipped).toEqual({
      count: 7,
      first: [
        { line: 2, what: 'prefix' },
        { line: 3, what: 'country' },
        { line: 4, what: 'duplicate' },
        { line: 5, what: 'prefix' },
        { line: 6, what: 'too_long' },
        { line: 7, what: 'prefix' },
        { line: 8, what: 'country' },
      ],
    });
    expect(source.lookup('81.2.69.1', 4).country).toBe('GB');
    expect(source.lookup('81.2.73.1', 4).country).toBe('GB');
  });

  test('of a thousand bad lines twenty are kept', async () => {
    const { skipped } = await open(`81.2.69.0/24,GB\n${'nonsense\n'.repeat(1000)}`);
    expect({ count: skipped.count, kept: skipped.first.length }).toEqual({ count: 1000, kept: 20 });
  });

  test('an empty country means: do not locate', async () => {
    const source = await open('81.2.69.0/24,,,,\n81.2.70.0/24,\n');
    const nothing = { country: null, note: 'override:not_located' };
    expect(source.lookup('81.2.69.1', 4)).toMatchObject({ ...nothing, network: '81.2.69.0/24' });
    expect(source.lookup('81.2.70.1', 4)).toMatchObject(nothing);
  });

  test('a prefix without a comma says nothing, and is reported', async () => {
    const source = await open('81.2.69.0/24,GB\n81.0.0.0/8\n');
    expect(source.skipped).toEqual({ count: 1, first: [{ line: 2, what: 'no_comma' }] });
    expect(source.lookup('81.3.0.1', 4)).toEqual({ country: null, network: null });
  });

  test.each(['128.0.0.0/2', '81.2.70.0/24,', '81.2.70.0/24,G', '81.2.7'])(
    'a last line that may be cut off (%s) says nothing',
    async (last) => {
      const source = await open(`81.2.69.0/24,GB\n${last}`);
      expect(source.skipped).toEqual({ count: 1, first: [{ line: 2, what: 'cut' }] });
      expect(source.rows).toBe(1);
    },
  );

  test('a last line that is whole needs no line break', async () => {
    const source = await open('81.2.69.0/24,GB\n81.2.70.0/24,,\n81.2.71.0/24,FR');
    expect(source.skipped.count).toBe(0);
    expect(source.rows).toBe(3);
  });

  test('a file without any good line is refused; an empty one is not', async () => {
    await expect(open('<html>\n<body>\n')).rejects.toMatchObject({ code: 'database_unusable' });
    await expect(openOverrides(join(directory, 'absent.csv'))).rejects.toMatchObject({ code: 'database_unusable' });
    expect((await open('# none yet\n')).lookup('8.8.8.8', 4).country).toBeNull();
  });

  test('100,000 lines load in under a second, and are looked up in microseconds', async () => {
    const lines = Array.from({ length: 100_000 }, (_, i) => {
      const country = ['GB', 'FR', 'DE', 'US'][i % 4];
      if (i % 2 === 1)
        return `2a${(i & 255).toString(16).padStart(2, '0')}:${(i >> 8).toString(16)}::/${32 + (i % 17)},${country},,,`;
      return `${1 + (i % 200)}.${(i >> 8) & 255}.${i & 255}.0/${20 + (i % 13)},${country},,City,`;
    });
    const text = lines.join('\n');
    const times: number[] = [];
    let source = await open('');
    for (let i = 0; i < 3; i++) {
      // The processor's time, not the wall's: other tests run beside this one.
      const from = process.cpuUsage();
      source = await open(text);
      times.push(cpuMs(from));
    }
    expect(Math.min(...times)).toBeLessThan(1000);
    expect(source.rows).toBeGreaterThan(50_000);
    const from = process.cpuUsage();
    for (let i = 0; i < 20_000; i++) source.lookup(`${1 + (i % 200)}.${i & 255}.${(i >> 3) & 255}.9`, 4);
    expect(cpuMs(from) / 20_000).toBeLessThan(0.05);
  });
});
