import { expect, test } from '@jest/globals';
import { redisBaselines } from '../../src/redis/baselines.ts';
import { redisCounters } from '../../src/redis/counters.ts';
import { redisIncidents } from '../../src/redis/incidents.ts';
import { keysFor } from '../../src/redis/keys.ts';
import { captureLog, connect, testPrefix, until } from '../support/index.ts';
import { ADDRESS, openShop } from '../support/shop.ts';
import { openWorker } from '../support/worker.ts';

const SPECIAL = [
  '10.1.2.3',
  '192.168.0.7',
  '127.0.0.1',
  '::1',
  '203.0.113.9',
  '2001:db8::1',
  '100.64.0.1',
  'fd00::1',
  '0.0.0.0',
];

test('a private, loopback or documentation address never flags and never becomes a baseline; nor does one /24 or /48', async () => {
  const prefix = testPrefix();
  const keys = keysFor(prefix);
  const shop = await openShop(prefix);
  await openWorker(prefix);
  const redis = connect();
  let sent = 0;
  const report = async (userId: string, address: string) => {
    sent += 1;
    await shop.bouncer.reportLogin({ userId, address, sessionId: `session-${sent}` });
    await until(async () => (await redisCounters(redis, keys).read()).logins === sent);
  };
  for (const address of SPECIAL) await report('alice', address);
  const baselines = redisBaselines(redis, keys, 1e9, captureLog());
  expect((await baselines.load(['alice']))[0]?.revision).toBe(0);

  await report('alice', ADDRESS.london);
  for (const address of SPECIAL) await report('alice', address);
  const [alice] = await baselines.load(['alice']);
  expect(alice?.baseline.v4.networks.map(({ network }) => network)).toEqual(['81.2.69.0/24']);
  expect(alice?.baseline.v6).toEqual({ places: [], networks: [] });

  await report('alice', '81.2.69.250');
  await report('bob', ADDRESS.parisV6);
  await report('bob', `${ADDRESS.parisV6.replace(/::1$/, '')}:beef::5`);
  expect((await redisIncidents(redis, keys, 1e9).list({}, 10)).incidents).toEqual([]);
  expect(await redisCounters(redis, keys).read()).toMatchObject({
    'reason:special_address': 2 * SPECIAL.length,
    'why:special_address': 2 * SPECIAL.length,
    'reason:same_network': 2,
    'reason:first_login': 2,
  });
});
