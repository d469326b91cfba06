/** `bouncer.logout` where no adapter is: a stock store, an app that keeps its sessions itself. Frameworks: see the contract. */
import { describe, expect, test } from '@jest/globals';
import type { Express, Request } from 'express';
import type { Redis } from 'ioredis';
import { type Bouncer, createBouncer } from '../../src/index.ts';
import { keysFor } from '../../src/redis/keys.ts';
import { sessionHandle } from '../../src/web/handle.ts';
import { startCluster } from '../support/cluster.ts';
import { captureLog, connect, privateRedis, release, testPrefix, testRedisUrl, until } from '../support/index.ts';
import { KINDS, openStockShop } from '../support/stock-shop.ts';

interface Mine {
  passport?: { user?: string };
  flash?: string;
}

/** What `req.logout` of Passport does, call for call. */
function passportLogout(req: Request, done: () => void): void {
  delete (req.session as Mine).passport?.user;
  req.session.save(() => req.session.regenerate(done));
}

const routes = (pause?: () => void) => (app: Express, bouncer: Bouncer) => {
  const flashed = (req: Request) => {
    if (req.query.flash) Object.assign(req.session, { flash: 'bye' });
  };
  app.post('/passport-login', (req, res, next) => {
    bouncer
      .login(req, { userId: 'alice', data: { userId: 'alice', passport: { user: 'alice' } } })
      .then((result) => res.json(result), next);
  });
  app.post('/sign-out', (req, res) => {
    pause?.();
    bouncer.logout(req).then(
      () => {
        flashed(req);
        res.json({ code: null });
      },
      (error: { code: string }) => res.json({ code: error.code }),
    );
  });
  app.post('/regenerate-and-sign-out', (req, res, next) => {
    req.session.regenerate(() => bouncer.logout(req).then(() => res.json({ code: null }), next));
  });
  app.post('/passport-logout', (req, res) => {
    passportLogout(req, () => {
      flashed(req);
      res.json({ code: null });
    });
  });
};

async function liveValues(redis: Redis, prefix: string): Promise<string[]> {
  const found: string[] = [];
  for await (const page of redis.scanStream({ match: `${keysFor(prefix).session('')}*`, count: 500 })) {
    const values = await Promise.all((page as string[]).map((key) => redis.get(key)));
    found.push(...values.filter((value): value is string => value?.includes('"k":"live"') ?? false));
  }
  return found;
}

describe.each(KINDS)('under a stock %s', (kind) => {
  test.each([
    ['/sign-out', 0],
    ['/sign-out?flash=1', 1],
    ['/regenerate-and-sign-out', 0],
    ['/passport-logout', 0],
    ['/passport-logout?flash=1', 1],
  ])('%s ends the login, and keeps what is put into the session after it', async (path, kept) => {
    const prefix = testPrefix();
    const shop = await openStockShop(kind, prefix, { routes: routes() });
    const browser = shop.browser();
    const { lid } = (await browser.post('/passport-login')).json();
    const cookie = await browser.jar.getCookieString(shop.url);
    expect((await shop.bouncer.sessions.list('alice')).length).toBe(1);
    expect((await browser.post(path)).json()).toEqual({ code: null });
    await until(async () => (await shop.bouncer.sessions.list('alice')).length === 0);
    expect(await shop.bouncer.sessions.isLive(String(lid))).toBe(false);
    const live = await liveValues(connect(), prefix);
    expect(live.map((value) => value.includes('"l":""') && value.includes('"flash":"bye"'))).toEqual(
      Array(kept).fill(true),
    );
    const page = await fetch(`${shop.url}/me`, { headers: { cookie } });
    expect(await page.json()).toEqual({ user: null, visits: 0 });
    expect(await browser.user()).toBe(null);
  });

  test('of somebody without a cookie it is none, and no end is found', async () => {
    const shop = await openStockShop(kind, testPrefix(), {
      routes: (app, bouncer) => {
        routes()(app, bouncer);
        app.post('/pay', (req, res) => {
          bouncer.assertNotRevoked(req).then(
            () => res.json({ code: null }),
            (error: { code: string }) => res.json({ code: error.code }),
          );
        });
      },
    });
    expect((await shop.browser().post('/sign-out')).json()).toEqual({ code: null });
    expect((await shop.browser().post('/pay')).json()).toEqual({ code: null });
    const browser = shop.browser();
    expect((await browser.post('/sign-out?flash=1')).json()).toEqual({ code: null });
    expect(await browser.sessionId()).not.toBe('');
  });

  test('while Redis is away it says so, and is done later', async () => {
    const server = await privateRedis();
    const prefix = testPrefix();
    const shop = await openStockShop(kind, prefix, {
      url: server.url,
      bouncer: { redisTimeoutMs: 300 },
      routes: routes(() => server.pause()),
    });
    const browser = shop.browser();
    const lid = await until(async () => {
      const login = (await browser.post('/passport-login')).json();
      return login.saved === true && login.lid;
    });
    expect((await browser.post('/sign-out')).json()).toEqual({ code: 'session_unavailable' });
    server.resume();
    await until(async () => !(await shop.bouncer.sessions.isLive(String(lid))));
  });
});

function open(redis: Parameters<typeof createBouncer>[0]['redis']): Bouncer {
  const bouncer = createBouncer({ redis, prefix: testPrefix(), log: captureLog() });
  release(() => bouncer.close());
  return bouncer;
}

async function reported(bouncer: Bouncer): Promise<string> {
  const report = { userId: 'alice', sessionId: 's'.repeat(32), address: null, list: true };
  return until(async () => {
    const { lid, status } = await bouncer.reportLogin(report);
    return status === 'queued' && lid;
  });
}

describe('of an app that keeps its sessions itself', () => {
  test.each([
    ['one server', false],
    ['a Cluster', true],
  ])(
    'by the login id: its mark ends it, on %s',
    async (_name, isCluster) => {
      const bouncer = open(isCluster ? (await startCluster()).client : testRedisUrl());
      const lid = await reported(bouncer);
      const told: unknown[] = [];
      bouncer.on('revoked', (notice) => told.push(notice), { watching: () => [lid] });
      const asked = { method: 'GET', target: '/', headers: {}, lid };
      expect(await bouncer.judge(asked)).toMatchObject({ action: 'pass', lid });
      for (let i = 0; i < 2; i++) await bouncer.logout({ lid });
      expect(await bouncer.judge(asked)).toEqual({ action: 'pass', lid: '', data: null });
      expect(await bouncer.sessions.isLive(lid)).toBe(false);
      await until(() => told.length > 0);
      expect(told[0]).toMatchObject({ lid, reason: 'logout', caseId: 'NONE' });
    },
    30_000,
  );

  test('by the login id, while Redis is away: told, and done later', async () => {
    const server = await privateRedis();
    const bouncer = createBouncer({ redis: server.url, prefix: testPrefix(), log: captureLog(), redisTimeoutMs: 300 });
    release(() => bouncer.close());
    const lid = await reported(bouncer);
    server.pause();
    await expect(bouncer.logout({ lid })).rejects.toMatchObject({ code: 'session_unavailable', statusCode: 503 });
    server.resume();
    const asked = { method: 'GET', target: '/', headers: {}, lid };
    await until(async () => {
      const verdict = await bouncer.judge(asked);
      return verdict.action === 'pass' && verdict.lid === '';
    });
  });

  test('by the login id, while Redis refuses it: this process serves it no more, nor a session of it', async () => {
    const { url } = await privateRedis();
    const bouncer = open(url);
    const lid = await reported(bouncer);
    const raw = connect(url);
    const asked = { method: 'GET', target: '/', headers: {}, lid };
    expect(await bouncer.judge(asked)).toMatchObject({ action: 'pass', lid });
    await raw.config('SET', 'min-replicas-to-write', '1');
    await expect(bouncer.logout({ lid })).rejects.toMatchObject({ code: 'session_unavailable' });
    expect(await bouncer.judge(asked)).toEqual({ action: 'pass', lid: '', data: null });
    await raw.config('SET', 'min-replicas-to-write', '0');
    await until(async () => !(await bouncer.sessions.isLive(lid)));
    expect(await bouncer.judge(asked)).toEqual({ action: 'pass', lid: '', data: null });
  });

  test('by the session id; of one that nobody issued nothing is written', async () => {
    const prefix = testPrefix();
    const shop = await openStockShop(KINDS[0], prefix, { routes: routes() });
    const browser = shop.browser();
    await browser.post('/passport-login');
    const sessionId = await browser.sessionId();
    await shop.bouncer.logout({ sessionId });
    expect(await browser.user()).toBe(null);
    expect(await shop.bouncer.sessions.list('alice')).toEqual([]);
    const redis = connect();
    for (const bad of ['', 'deleted', '../../etc/passwd', 'x'.repeat(600)]) {
      await shop.bouncer.logout({ sessionId: bad });
      expect(await redis.exists(keysFor(prefix).session(sessionHandle(bad)))).toBe(0);
    }
  });

  test('who is not logged in, a login id that is none, a request without a session', async () => {
    const bouncer = open(testRedisUrl());
    await expect(bouncer.logout({ lid: '' })).resolves.toBeUndefined();
    await expect(bouncer.logout({ lid: 'a b' })).rejects.toMatchObject({ code: 'option_invalid' });
    await expect(bouncer.logout({})).rejects.toMatchObject({ code: 'session_missing' });
  });
});
