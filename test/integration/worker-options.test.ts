/** A worker that is given what it cannot use does not begin: it would run with other sources than were meant, or end nothing. */
import { expect, test } from '@jest/globals';
import { createRegistryWorker, type RegistryWorkerOptions } from '../../src/registry-worker.ts';
import { createWorker, type WorkerOptions } from '../../src/worker.ts';
import { captureLog, release, testPrefix, testRedisUrl } from '../support/index.ts';

/** As a program without types may call it. */
const start = (options: object) =>
  createWorker({ redis: testRedisUrl(), prefix: testPrefix(), log: captureLog(), ...options } as WorkerOptions);

test.each<[string, object]>([
  ['redis', { redis: undefined }],
  ['redis', { redis: null }],
  ['databases', { databases: 'GeoLite2-Country.mmdb' }],
  ['databases', { databases: [undefined] }],
  ['overrides', { overrides: 'own.csv' }],
  ['canaries', { canaries: { '81.2.69.142': 'England' } }],
  ['canaries', { canaries: { localhost: 'GB' } }],
  ['canaries', { canaries: { '10.0.0.1': 'GB' } }],
  ['canaries', { canaries: ['81.2.69.142=GB'] }],
  ['maxDatabaseAgeDays', { maxDatabaseAgeDays: 'many' }],
  ['maxDatabaseAgeDays', { maxDatabaseAgeDays: Number.NaN }],
  ['mode', { mode: 'enforced' }],
  ['anonymousNetwork', { anonymousNetwork: 'Allow' }],
])('%s: %j is refused', async (name, options) => {
  await expect(start(options)).rejects.toMatchObject({
    code: 'option_invalid',
    message: expect.stringMatching(new RegExp(`^${name}: give `)),
  });
});

test.each<[string, object]>([
  ['redis', { redis: undefined }],
  ['geofeeds', { geofeeds: 'geo.example.net' }],
  ['geofeeds', { geofeeds: [null] }],
])('of a registry worker, too: %s: %j', (name, options) => {
  const given = { redis: testRedisUrl(), prefix: testPrefix(), log: captureLog(), ...options };
  expect(() => createRegistryWorker(given as RegistryWorkerOptions)).toThrow(
    expect.objectContaining({ code: 'option_invalid', message: expect.stringMatching(new RegExp(`^${name}: give `)) }),
  );
});

test('what is right, or left open, is taken', async () => {
  const canaries = { '81.2.69.142': 'gb', '2001:630::1': 'UK' };
  const right = { mode: 'observe', anonymousNetwork: 'allow', databases: null, overrides: undefined, canaries };
  const worker = await start({ ...right, maxDatabaseAgeDays: 90_000 });
  release(() => worker.close({ force: true }));
  expect(worker.isRunning()).toBe(true);
});
