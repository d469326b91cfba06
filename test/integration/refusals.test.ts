/** A Redis that is there and refuses: said once, and left for another where it has become a replica. */
import { describe, expect, jest, test } from '@jest/globals';
import { Cluster, Redis } from 'ioredis';
import { reconnectOnErrorOf, watchRefusals } from '../../src/redis/refusals.ts';
import { captureLog, connect, privateRedis, testPrefix, until } from '../support/index.ts';
import { startProxy } from '../support/proxy.ts';
import { openShop } from '../support/shop.ts';
import { openWorker } from '../support/worker.ts';

type CapturedLog = ReturnType<typeof captureLog>;

function told(log: CapturedLog): unknown[] {
  const entries = log.entries.filter(({ fields }) => 'event' in fields && fields.event === 'redis_refuses');
  return entries.map(({ level, fields }) => [level, fields]);
}

describe('writes that Redis refuses', () => {
  test.each([
    ['OOM', 'maxmemory', '100kb'],
    ['NOREPLICAS', 'min-replicas-to-write', '1'],
  ])('%s: one line, in the web tier', async (reply, name, value) => {
    const { url } = await privateRedis();
    const shop = await openShop(testPrefix(), { bouncer: { redis: url } });
    const alice = shop.browser();
    await until(async () => (await alice.login('alice')).json().saved);
    await connect(url).config('SET', name, value);
    await alice.post('/change');
    await alice.post('/change');
    expect((await shop.browser().login('bob')).json()).toMatchObject({ saved: false });
    expect(await alice.user()).toBe('alice');
    expect(told(shop.log)).toEqual([['warn', { event: 'redis_refuses', connection: 'session-bouncer-web', reply }]]);
  });

  test('a server that has become a replica is left, by web tier and worker, for the one that its name leads to now', async () => {
    const [old, promoted] = [await privateRedis(), await privateRedis()];
    const proxy = await startProxy(old.port);
    const prefix = testPrefix();
    const shop = await openShop(prefix, { bouncer: { redis: proxy.url } });
    const worker = await openWorker(prefix, { redis: proxy.url });
    const alice = shop.browser();
    await until(async () => (await alice.login('alice')).json().saved);
    const [before, after] = [connect(old.url), connect(promoted.url)];
    proxy.open(promoted.port); // those that stand stay where they are
    await before.replicaof('127.0.0.1', promoted.port);
    await until(async () => (await shop.browser().login('bob')).json().saved);
    await until(async () => String(await after.client('LIST')).includes('name=session-bouncer-worker'));
    await until(async () => (await after.keys(`*${prefix}*baseline:bob`)).length === 1);
    const fields = { event: 'redis_refuses', reply: 'READONLY' };
    expect(told(shop.log)).toEqual([['warn', { ...fields, connection: 'session-bouncer-web' }]]);
    expect(told(worker.log)).toEqual([['warn', { ...fields, connection: 'session-bouncer-worker' }]]);
  });
});

describe('watchRefusals', () => {
  const error = (message: string) => Object.assign(new Error(message), { name: 'ReplyError' });

  test('reconnects less and less often while it does not help, and says it anew after a minute of silence', () => {
    let now = 1000;
    const clock = jest.spyOn(performance, 'now').mockImplementation(() => now);
    try {
      const log = captureLog();
      const refused = watchRefusals('web', log);
      const at = (ms: number) => {
        now = 1000 + ms;
        return refused(error("READONLY You can't write against a read only replica."));
      };
      expect([0, 10, 999, 1000, 2999, 3000, 6000, 7000].map(at)).toEqual([
        true,
        false,
        false,
        true,
        false,
        true,
        false,
        true,
      ]);
      expect(told(log)).toHaveLength(1);
      expect([at(70_000), at(70_500), at(71_000)]).toEqual([true, false, true]);
      expect(told(log)).toHaveLength(2);
    } finally {
      clock.mockRestore();
    }
  });

  test.each([
    [
      "ERR Error running script (call to f_ab): @user_script:35: @user_script: 35: -READONLY You can't write",
      'READONLY',
      true,
    ],
    ['OOM command not allowed when used memory > maxmemory. script: ab, on @user_script:9.', 'OOM', false],
    ['NOSCRIPT No matching script. Please use EVAL.', null, false],
    ['ERR wrong number of arguments: READONLYalice', null, false],
  ])('%s', (message, reply, reconnects) => {
    const log = captureLog();
    expect(watchRefusals('web', log)(error(message))).toBe(reconnects);
    expect(told(log)).toEqual(reply === null ? [] : [['warn', { event: 'redis_refuses', connection: 'web', reply }]]);
  });

  test("the app's own is found on options, a connection, and a Cluster", () => {
    const own = () => false;
    const redis = new Redis({ lazyConnect: true, reconnectOnError: own });
    const cluster = new Cluster(['127.0.0.1'], { lazyConnect: true, redisOptions: { reconnectOnError: own } });
    expect([{ reconnectOnError: own }, redis, cluster].map(reconnectOnErrorOf)).toEqual([own, own, own]);
    expect(['redis://localhost', {}, null, undefined].map((one) => reconnectOnErrorOf(one) ?? null)).toEqual(
      Array(4).fill(null),
    );
  });

  test("what the app's own connection says of an error counts first", () => {
    const refused = watchRefusals('web', captureLog(), (one) => (one.message.startsWith('OOM') ? 2 : false));
    expect(refused(error('OOM command not allowed'))).toBe(2);
    expect(refused(error("READONLY You can't write"))).toBe(true);
    expect(refused(error('NOSCRIPT No matching script'))).toBe(false);
  });
});
