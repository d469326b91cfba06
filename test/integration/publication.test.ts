import { describe, expect, test } from '@jest/globals';
import type { Redis } from 'ioredis';
import type { Revocation, RevocationNotice, Sessions } from '../../src/ports.ts';
import { openWebRedis } from '../../src/redis/connection.ts';
import { redisSessions } from '../../src/redis/ender.ts';
import { type Keys, keysFor } from '../../src/redis/keys.ts';
import { type RevocationFeed, revocationFeed } from '../../src/redis/subscriber.ts';
import { sessionHandle } from '../../src/web/handle.ts';
import { captureLog, connect, privateRedis, release, testPrefix, testRedisUrl, until } from '../support/index.ts';
import { startProxy } from '../support/proxy.ts';
import { openShop } from '../support/shop.ts';

let serial = 0;

function revocation(overrides: Partial<Revocation> = {}): Revocation {
  serial += 1;
  const lid = `lid-${String(serial).padStart(18, '0')}`;
  const handle = lid.padEnd(43, 'h');
  return { lid, handle, reason: 'country_changed', caseId: 'AAAA-BBBB-CCCC', atMs: Date.now(), ...overrides };
}

interface World {
  readonly redis: Redis;
  readonly keys: Keys;
  readonly ender: Sessions;
  feed(url?: string): { feed: RevocationFeed; log: ReturnType<typeof captureLog> };
}

function world(url = testRedisUrl()): World {
  const redis = connect(url);
  const keys = keysFor(testPrefix());
  return {
    redis,
    keys,
    ender: redisSessions(redis, keys, 1e7),
    feed(through = url) {
      const log = captureLog();
      const web = openWebRedis(through, 1000, log);
      release(() => web.disconnect());
      const feed = revocationFeed(web, keys, { log });
      release(() => feed.close());
      return { feed, log };
    },
  };
}

async function hear(feed: RevocationFeed, watching?: () => Iterable<string>): Promise<RevocationNotice[]> {
  const heard: RevocationNotice[] = [];
  feed.listen((notice) => heard.push(notice), watching);
  await feed.hearing();
  return heard;
}

describe('options that an app has chosen for its own connection', () => {
  test('a lazy one: the news is heard all the same', async () => {
    const { keys, ender } = world();
    const log = captureLog();
    const web = openWebRedis(connect(testRedisUrl(), { lazyConnect: true }), 1000, log);
    release(() => web.disconnect());
    const feed = revocationFeed(web, keys, { log, pingMs: 3_600_000 }); // a ping would connect it
    release(() => feed.close());
    const heard = await hear(feed);
    const end = revocation();
    await ender.revoke([end]);
    await until(() => heard.some(({ lid }) => lid === end.lid));
  });

  test('one that pipelines by itself: logins are queued, and nothing is thrown where nobody can catch it', async () => {
    const log = captureLog();
    const redis = connect(testRedisUrl(), { enableAutoPipelining: true });
    const patient = { redisTimeoutMs: 20_000, enqueueTimeoutMs: 20_000 };
    const shop = await openShop(testPrefix(), { bouncer: { redis, log, ...patient } });
    for (const user of ['alice', 'bob'])
      expect((await shop.browser().login(user)).json()).toMatchObject({ status: 'queued', saved: true });
    expect(log.text()).not.toContain('enqueue_failing');
  });
});

describe('bouncer.on("revoked")', () => {
  test('every web process hears of an ended login: its lid, handles, reason, case and time, and nothing else', async () => {
    const prefix = testPrefix();
    const [one, two] = [await openShop(prefix), await openShop(prefix)];
    const heard: RevocationNotice[] = [];
    for (const { bouncer } of [one, two]) bouncer.on('revoked', (notice) => void heard.push(notice));
    const browser = one.browser();
    const { lid } = (await browser.login('alice')).json() as { lid: string };
    const redis = connect();
    const keys = keysFor(prefix);
    await until(async () => ((await redis.pubsub('NUMSUB', keys.revokedChannel())) as [string, number])[1] === 2);
    const handle = sessionHandle(await browser.sessionId());
    const atMs = Date.now();
    const ended = { lid, reason: 'country_changed', caseId: 'AAAA-BBBB-CCCC', atMs } as const;
    await redisSessions(redis, keys, 1e7).revoke([{ ...ended, handle }]);
    await until(() => heard.length === 2);
    expect(heard).toEqual([
      { ...ended, handles: [handle] },
      { ...ended, handles: [handle] },
    ]);
    expect(JSON.stringify(heard)).not.toContain(await browser.sessionId());
  });

  test('a process without listeners opens no connection for them; closing ends it', async () => {
    const server = await privateRedis();
    const redis = connect(server.url);
    const named = async () => String(await redis.client('LIST')).match(/name=session-bouncer-news/g)?.length ?? 0;
    const shop = await openShop(testPrefix(), { bouncer: { redis: server.url } });
    await shop.browser().login('alice');
    expect(await named()).toBe(0);
    shop.bouncer.on('revoked', () => {});
    shop.bouncer.on('revoked', () => {});
    await until(async () => (await named()) === 1);
    await shop.close();
    await until(async () => (await named()) === 0);
  });
});

describe('the feed', () => {
  test('a listener that throws or rejects is logged; the others hear all the same, and so do later news', async () => {
    const { feed: open, ender } = world();
    const { feed, log } = open();
    feed.listen(() => {
      throw new TypeError('secret text of the app');
    });
    feed.listen(() => Promise.reject(new Error('secret text of the app')));
    const heard = await hear(feed);
    await ender.revoke([revocation()]);
    await ender.revoke([revocation()]);
    await until(() => heard.length === 2);
    const failures = log.entries.filter(({ fields }) => 'event' in fields && fields.event === 'listener_failed');
    expect(failures).toHaveLength(4);
    expect(log.text()).not.toContain('secret text');
  });

  test('stops at once for a listener that is taken away', async () => {
    const { feed: open, ender } = world();
    const { feed } = open();
    const gone: RevocationNotice[] = [];
    const stop = feed.listen((notice) => gone.push(notice));
    const heard = await hear(feed);
    stop();
    await ender.revoke([revocation()]);
    await until(() => heard.length === 1);
    expect(gone).toEqual([]);
  });

  test('what was published while the connection was away is found by the marks of the watched logins', async () => {
    const { port } = new URL(testRedisUrl());
    const proxy = await startProxy(Number(port));
    const { feed: open, ender } = world();
    const { feed } = open(proxy.url);
    const [missed, alive, unwatched] = [revocation(), revocation(), revocation()];
    const heard = await hear(feed, () => [missed.lid, alive.lid]);
    proxy.cut();
    await ender.revoke([missed, unwatched]);
    proxy.open();
    await until(() => heard.length > 0);
    await feed.hearing();
    const { lid, reason, caseId, atMs } = missed;
    // The handle was never enrolled here, so the login's index does not know it.
    expect(heard).toEqual([{ lid, reason, caseId, atMs, handles: [] }]);
    await ender.revoke([alive]);
    await until(() => heard.length === 2); // and news is heard again
  });

  test('a re-check that repeats the news is heard by those who missed it, not by those who did not', async () => {
    const { feed: open, ender } = world();
    const { feed } = open();
    const heard = await hear(feed);
    const one = revocation();
    await ender.revoke([one]);
    const late = await hear(open().feed);
    await ender.revoke([{ ...one, repeat: true }]);
    await ender.revoke([{ ...one, repeat: false }]); // it had been lost: everybody must hear
    await until(() => late.length === 2);
    await until(() => heard.length === 2);
    const other = revocation();
    await ender.revoke([other]);
    await until(() => heard.length === 3);
    expect(heard.map(({ lid }) => lid)).toEqual([one.lid, one.lid, other.lid]);
  });

  test('what others write to the channel is ignored, and not logged', async () => {
    const { feed: open, ender, redis, keys } = world();
    const { feed, log } = open();
    const heard = await hear(feed);
    const whole = { ...revocation(), handles: [] };
    const messages = ['', 'null', '{"lid":"<b>"}', JSON.stringify({ ...whole, lid: 'x y' }), 'x'.repeat(200_000)];
    for (const message of messages) await redis.publish(keys.revokedChannel(), message);
    await ender.revoke([revocation()]);
    await until(() => heard.length === 1);
    expect(log.entries.map(({ fields }) => (fields as { event: string }).event)).toEqual(
      messages.map(() => 'news_malformed'),
    );
  });

  test('a frozen server is noticed by the ping, and the gap is closed', async () => {
    const server = await privateRedis();
    const { ender, keys } = world(server.url);
    const log = captureLog();
    const web = openWebRedis(server.url, 200, log);
    release(() => web.disconnect());
    const feed = revocationFeed(web, keys, { log, pingMs: 50 });
    release(() => feed.close());
    const one = revocation();
    const heard = await hear(feed, () => [one.lid]);
    server.pause();
    await until(() => feedIsDeaf(feed));
    server.resume();
    await feed.hearing();
    await ender.revoke([one]);
    await until(() => heard.some(({ lid }) => lid === one.lid));
  });
});

/** `hearing()` is pending again once the connection was given up. */
async function feedIsDeaf(feed: RevocationFeed): Promise<boolean> {
  const deaf = Symbol('deaf');
  return (await Promise.race([feed.hearing(), Promise.resolve(deaf)])) === deaf;
}
