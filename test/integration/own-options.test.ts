/** An app hands over its own ioredis instance, with whatever it has chosen for its own use. */
import { expect, test } from '@jest/globals';
import type { RedisOptions } from 'ioredis';
import { openWorkerRedis } from '../../src/redis/connection.ts';
import { captureLog, connect, release, testPrefix, testRedisUrl, until } from '../support/index.ts';
import { ADDRESS, openShop } from '../support/shop.ts';
import { openWorker } from '../support/worker.ts';

test.each<RedisOptions>([{ stringNumbers: true }, { lazyConnect: true }, { keyPrefix: 'app:' }])(
  'a worker by %j ends what it has to end',
  async (options) => {
    const prefix = testPrefix();
    const shop = await openShop(prefix, { bouncer: { redisTimeoutMs: 20_000, enqueueTimeoutMs: 20_000 } });
    const [owner, thief] = [shop.browser(ADDRESS.london), shop.browser(ADDRESS.lagos)];
    await owner.login('alice');
    await thief.login('alice');
    await openWorker(prefix, { redis: connect(testRedisUrl(), options) });
    await until(async () => (await thief.get('/me')).location?.startsWith('/gotcha?case='));
    expect(await owner.user()).toBe('alice');
  },
);

test.each(['lazyConnect=true', 'keyPrefix=app:', 'stringNumbers=true&family=0'])(
  'a worker by a URL with ?%s ends what it has to end',
  async (query) => {
    const prefix = testPrefix();
    const shop = await openShop(prefix, { bouncer: { redisTimeoutMs: 20_000, enqueueTimeoutMs: 20_000 } });
    const [owner, thief] = [shop.browser(ADDRESS.london), shop.browser(ADDRESS.lagos)];
    await owner.login('alice');
    await thief.login('alice');
    await openWorker(prefix, { redis: `${testRedisUrl()}?${query}` });
    await until(async () => (await thief.get('/me')).location?.startsWith('/gotcha?case='));
    expect(await owner.user()).toBe('alice');
  },
);

test('a URL of the app: what we choose ourselves is ours, and the rest is as it says', () => {
  const url = `${testRedisUrl()}?commandTimeout=20&lazyConnect=true&family=0`;
  const redis = openWorkerRedis(url, captureLog());
  release(() => redis.disconnect());
  const { commandTimeout, lazyConnect, family } = redis.options;
  expect({ commandTimeout, lazyConnect, family }).toEqual({ commandTimeout: undefined, lazyConnect: false, family: 0 });
});

test('an app that gives commands up soon: what the worker waits for is not given up', async () => {
  const redis = openWorkerRedis(connect(testRedisUrl(), { commandTimeout: 20 }), captureLog());
  release(() => redis.disconnect());
  expect(await redis.blpop(`${testPrefix()}:nothing`, 1)).toBeNull();
});
