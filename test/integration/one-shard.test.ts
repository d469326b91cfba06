/**
 * A Cluster of one shard, with a plain URL: what managed services give for "cluster mode enabled" with one shard. All slots are on
 * the one server, and yet it refuses a script that names two of them; no client can see that beforehand.
 */
import { beforeAll, describe, expect, test } from '@jest/globals';
import { sessionHandle } from '../../src/web/handle.ts';
import { Hooks, hookUp } from '../support/hooked-redis.ts';
import { connect, freePort, privateRedis, testPrefix, until } from '../support/index.ts';
import { ADDRESS, openShop, type ShopOptions } from '../support/shop.ts';
import { openWorker } from '../support/worker.ts';

let url: string;

beforeAll(async () => {
  const bus = await freePort();
  ({ url } = await privateRedis({ args: ['--cluster-enabled', 'yes', '--cluster-port', String(bus)] }));
  const server = connect(url);
  await server.call('CLUSTER', 'ADDSLOTSRANGE', '0', '16383');
  await until(async () => /cluster_state:ok/.test(String(await server.call('CLUSTER', 'INFO'))));
});

async function openAt(options: ShopOptions = {}) {
  const hooks = new Hooks();
  const prefix = testPrefix();
  const bouncer = { redis: hookUp(connect(url), hooks), ...options.bouncer };
  const shop = await openShop(prefix, { ...options, bouncer });
  const sent = (name: string) => hooks.sent.filter((command) => command.name === name).length;
  return { ...shop, prefix, sent };
}
const why = { by: 'ann', why: 'to see' };

describe('a Cluster of one shard, with a plain URL', () => {
  test('login, list, logout, end: what was refused once is not sent again', async () => {
    const { browser, bouncer, sent, log } = await openAt();
    const [first, second] = [browser(), browser()];
    // The first one, too: nobody is turned away to find out.
    expect((await first.login('alice')).json()).toMatchObject({ saved: true });
    expect((await second.login('alice')).json()).toMatchObject({ saved: true });
    expect([await first.user(), await second.user()]).toEqual(['alice', 'alice']);
    expect(sent('enter')).toBe(1);
    await until(async () => (await bouncer.sessions.list('alice')).length === 2);
    await first.post('/logout');
    expect([await first.user(), await second.user()]).toEqual([null, 'alice']);
    const [left] = await until(async () => {
      const logins = await bouncer.sessions.list('alice');
      return logins.length === 1 && logins;
    });
    expect(await bouncer.sessions.end(left?.lid ?? '', why)).toBe('ended');
    expect(await second.user()).toBe(null);
    expect(bouncer.stats().refused['save:unavailable']).toBeUndefined();
    expect(log.text()).not.toMatch(/CROSSSLOT|ReplyError/);
  });

  test('rotation: the new id and its first use', async () => {
    const { browser, bouncer, log, sent } = await openAt({ bouncer: { rotate: { everyRequests: 1 } } });
    const alice = browser();
    await alice.login('alice');
    const old = await alice.sessionId();
    expect(await alice.user()).toBe('alice');
    expect(await alice.sessionId()).not.toBe(old);
    expect(await alice.user()).toBe('alice');
    await until(() => sent('arrive') > 0);
    expect([sent('enter'), sent('first-use')]).toEqual([1, 0]);
    expect(bouncer.stats().refused).toEqual({});
    expect(log.text()).not.toMatch(/CROSSSLOT|ReplyError/);
  });

  test('a worker ends a login there', async () => {
    const { browser, prefix, bouncer } = await openAt();
    await openWorker(prefix, { redis: url });
    const [alice, mallory] = [browser(), browser(ADDRESS.lagos)];
    expect((await alice.login('alice')).json()).toMatchObject({ saved: true });
    const known = sessionHandle(await alice.sessionId());
    await until(
      async () => (await bouncer.sessions.list('alice')).find((one) => one.handle === known)?.countries.length,
    );
    await mallory.login('alice');
    await until(async () => (await mallory.get('/me')).status === 303);
    expect(await alice.user()).toBe('alice');
  });
});
