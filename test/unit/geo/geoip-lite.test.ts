import { createRequire } from 'node:module';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { openChain } from '../../../src/geo/chain.ts';
import { openGeoipLite } from '../../../src/geo/geoip-lite.ts';
import type { Modules, Source } from '../../../src/geo/source.ts';
import { captureLog } from '../../support/index.ts';

const require = createRequire(import.meta.url);

/** A machine where only `geoip-lite` is installed. */
const alone: Modules = {
  resolve: (specifier) => {
    if (specifier !== 'geoip-lite') throw new Error('Cannot find module');
    return require.resolve(specifier);
  },
  load: (name) => import(name),
};

const fake = (exports: unknown): Modules => ({ ...alone, load: () => Promise.resolve(exports) });

describe('the installed package', () => {
  let source: Source;
  beforeAll(async () => {
    source = await openGeoipLite(alone);
  });

  test('answers, and watches nothing', () => {
    expect(source).toMatchObject({ name: 'geoip-lite', vendor: 'MaxMind' });
    expect(source.lookup('81.2.69.142', 4)).toMatchObject({
      country: 'GB',
      network: expect.stringMatching(/^81\.2\.\d+\.\d+\/\d+$/),
    });
    expect(source.lookup('90.0.15.20', 4).country).toBe('FR');
    expect(process.getActiveResourcesInfo().filter((name) => /watch|FSEvent/i.test(name))).toEqual([]);
  });

  test('reads IPv6', () => {
    expect(source.lookup('2a00:23c4::1', 6).country).toBe('GB');
    expect(source.lookup('2003:c0::1', 6).country).toBe('DE');
  });

  test('dates its data by the archive that it was made of, or not at all', () => {
    const day = source.builtAtMs;
    expect(day === null || (day > Date.parse('2019-01-01') && day < Date.now())).toBe(true);
  });
});

test('it is the last resort of the chain, labelled as such, and never agrees alone', async () => {
  const log = captureLog();
  const locator = await openChain({ log, clock: Date.now, modules: alone });
  expect(locator.locate('81.2.69.142')).toMatchObject({ kind: 'located', candidates: ['GB'], agreed: false });
  expect(locator.locate('::ffff:5102:458e')).toMatchObject({ kind: 'located', candidates: ['GB'] });
  expect(locator.sources()[0]).toMatchObject({
    database: 'geoip-lite',
    origin: 'npm:geoip-lite (last resort)',
    ok: true,
  });
});

test('it is not loaded where a database file opens', async () => {
  let loads = 0;
  const modules: Modules = {
    resolve: (specifier) => require.resolve(specifier),
    load: (name) => {
      loads++;
      return import(name);
    },
  };
  await openChain({ log: captureLog(), clock: Date.now, modules });
  expect(loads).toBe(0);
});

describe('its answers', () => {
  const answer = async (found: unknown) =>
    (await openGeoipLite(fake({ default: { lookup: () => found } }))).lookup('81.2.69.142', 4);

  test.each([
    [null, null, null],
    [{}, null, null],
    [{ country: '', range: '' }, null, null],
    [{ country: 'GB' }, 'GB', null],
    [{ country: 'GB', range: [1359103232, 1359103487] }, 'GB', '81.2.69.0/24'],
    [{ country: 'GB', range: [1359103232, 1359103300] }, 'GB', null],
    [{ country: 'EU', range: [0, 2 ** 32 - 1] }, null, '0.0.0.0/0'],
  ])('%j', async (found, country, network) => {
    expect(await answer(found)).toMatchObject({ country, network });
  });

  test('it is given IPv6 in full, which it misreads otherwise', async () => {
    const asked: string[] = [];
    const source = await openGeoipLite(fake({ lookup: (ip: string) => void asked.push(ip) }));
    source.lookup('2a00::5:6:7', 6);
    expect(asked.at(-1)).toBe('2a00:0:0:0:0:5:6:7');
  });

  test('both spellings of a CommonJS module', async () => {
    const lookup = () => ({ country: 'UK' });
    for (const exports of [{ lookup }, { default: { lookup } }])
      expect((await openGeoipLite(fake(exports))).lookup('81.2.69.142', 4).country).toBe('GB');
  });

  test.each([
    ['is another package', fake({ default: {} })],
    ['is empty', fake(undefined)],
    ['is missing', { ...alone, load: () => Promise.reject(new Error('Cannot find package')) }],
    [
      'has no data files',
      fake({
        lookup: () => {
          throw new Error('ENOENT');
        },
      }),
    ],
  ])('a package that %s', async (_, modules) => {
    await expect(openGeoipLite(modules)).rejects.toMatchObject({
      code: 'database_unusable',
      message: expect.stringContaining('npm install'),
    });
  });
});
