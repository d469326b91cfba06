import { expect, test } from '@jest/globals';
import { redisCounters } from '../../src/redis/counters.ts';
import { redisIncidents } from '../../src/redis/incidents.ts';
import { keysFor } from '../../src/redis/keys.ts';
import { connect, privateRedis, testPrefix, until } from '../support/index.ts';
import { ADDRESS, openShop } from '../support/shop.ts';
import { openWorker } from '../support/worker.ts';

/** Every command, of scripts too, that names a session key; by MONITOR. */
test('observe mode decides and records the same, and no command of the worker names a session key', async () => {
  const server = await privateRedis();
  const prefix = testPrefix();
  const shop = await openShop(prefix, { bouncer: { redis: server.url } });
  const redis = connect(server.url);
  const thief = shop.browser(ADDRESS.lagos);
  await shop.browser(ADDRESS.london).login('alice');
  await thief.login('alice');
  // Only the worker is at work from here on: the jobs wait for it.
  const monitor = await connect(server.url).monitor();
  const touched: string[] = [];
  const all: string[] = [];
  monitor.on('monitor', (_time: string, args: string[]) => {
    all.push(args[0] ?? '');
    if (args.some((arg) => arg.includes(`${prefix}:session:`))) touched.push(args.join(' '));
  });
  await openWorker(prefix, { redis: server.url, mode: 'observe' });
  await until(async () => (await redisCounters(redis, keysFor(prefix)).read()).logins === 2);
  monitor.disconnect();

  expect(all.length).toBeGreaterThan(10);
  expect(touched).toEqual([]);
  const { incidents } = await redisIncidents(redis, keysFor(prefix), 1e9).list({}, 10);
  expect(incidents).toMatchObject([
    { action: 'revoke', reason: 'country_changed', mode: 'observe', outcome: 'observed' },
  ]);
  expect(await thief.user()).toBe('alice');
});
