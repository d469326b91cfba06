/** Logouts while Redis is away: the app is told, and none is lost. What each framework says is in the contract. */
import { describe, expect, jest, test } from '@jest/globals';
import type { Express, NextFunction, Request, Response } from 'express';
import type { Bouncer } from '../../src/index.ts';
import { keysFor } from '../../src/redis/keys.ts';
import { sessionHandle } from '../../src/web/handle.ts';
import { LateEnds } from '../../src/web/late-ends.ts';
import { WebTier } from '../support/admin.ts';
import { captureLog, connect, privateRedis, release, testPrefix, until } from '../support/index.ts';
import { openShop, type Shop } from '../support/shop.ts';
import { KINDS, openStockShop } from '../support/stock-shop.ts';

const BODY = 'x'.repeat(300_000);

async function ended(url: string, prefix: string, sessionId: string): Promise<void> {
  const redis = connect(url);
  const key = keysFor(prefix).session(sessionHandle(sessionId));
  await until(async () => (await redis.get(key))?.includes('"k":"logout"'));
}

describe('a logout while Redis is away', () => {
  test('from a session that was loaded before: told, not lost; a login in place of it is told nothing', async () => {
    const server = await privateRedis();
    const prefix = testPrefix();
    const shop = await openShop(prefix, {
      bouncer: { redis: server.url, redisTimeoutMs: 300 },
      routes: (app) =>
        app.post('/leave', (req, res) => {
          server.pause();
          req.session.destroy((error: { code?: string } | null) => res.json({ code: error?.code ?? null }));
        }),
    });
    const [alice, bob] = [shop.browser(), shop.browser()];
    // The connection may only just be opening.
    await until(async () => (await alice.login('alice')).json().saved === true);
    await until(async () => (await bob.login('bob')).json().saved === true);
    const [id, cookie] = [await alice.sessionId(), await alice.jar.getCookieString(shop.url)];
    expect((await alice.post('/leave')).json()).toEqual({ code: 'session_unavailable' });
    expect((await bob.login('bob')).json()).toMatchObject({ saved: false });
    server.resume();
    await ended(server.url, prefix, id);
    const page = await fetch(`${shop.url}/me`, { headers: { cookie } });
    expect(await page.json()).toEqual({ user: null, visits: 0 });
  });

  test("by unset: 'destroy', after the headers have gone: the answer is whole, nobody gets an error", async () => {
    const server = await privateRedis();
    const prefix = testPrefix();
    const seen = cutAnswers(server);
    const shop = await openShop(prefix, {
      session: { unset: 'destroy' },
      bouncer: { redis: server.url, redisTimeoutMs: 300 },
      routes: seen.routes,
    });
    await leave(shop, server.url, prefix, seen);
  });

  test.each(KINDS)("%s: destroy is told, and unset: 'destroy' leaves the answer whole", async (kind) => {
    const server = await privateRedis();
    const prefix = testPrefix();
    const seen = cutAnswers(server);
    const shop = await openStockShop(kind, prefix, {
      url: server.url,
      session: { unset: 'destroy' },
      bouncer: { redisTimeoutMs: 300 },
      routes: seen.routes,
    });
    await leave(shop, server.url, prefix, seen);
    const browser = shop.browser();
    await until(async () => (await browser.login('alice')).json().saved === true);
    const id = await browser.sessionId();
    expect((await browser.post('/leave-told')).json()).toEqual({ code: 'session_unavailable' });
    server.resume();
    await ended(server.url, prefix, id);
    const other = shop.browser();
    await until(async () => (await other.login('alice')).json().saved === true);
    const before = await other.sessionId();
    const login = await other.post('/enter');
    expect([login.status, login.json().saved]).toEqual([200, false]);
    server.resume();
    await ended(server.url, prefix, before);
  });
});

describe('a logout that Redis refuses', () => {
  test('is over in this process at once, and everywhere when Redis takes writes again, on the same connection', async () => {
    const { url } = await privateRedis();
    const prefix = testPrefix();
    const [here, elsewhere] = [
      await openShop(prefix, { bouncer: { redis: url } }),
      await openShop(prefix, { bouncer: { redis: url } }),
    ];
    const alice = here.browser();
    await until(async () => (await alice.login('alice')).json().saved);
    const cookie = await alice.jar.getCookieString(here.url);
    const user = async (at: string) =>
      ((await (await fetch(`${at}/me`, { headers: { cookie } })).json()) as { user: unknown }).user;
    expect([await user(here.url), await user(elsewhere.url)]).toEqual(['alice', 'alice']);
    const redis = connect(url);
    const connections = async () => /total_connections_received:(\d+)/.exec(await redis.info('stats'))?.[1];
    const before = await connections();
    await redis.config('SET', 'min-replicas-to-write', '1');
    await alice.post('/logout');
    expect([await user(here.url), await user(elsewhere.url)]).toEqual([null, 'alice']);
    await redis.config('SET', 'min-replicas-to-write', '0');
    await until(async () => (await user(elsewhere.url)) === null);
    expect(await connections()).toBe(before);
    expect(here.bouncer.stats().refused).toEqual({ 'destroy:unavailable': 1 });
  });

  test('of a moved id: nobody is forwarded to it', async () => {
    const { url } = await privateRedis();
    const web = new WebTier(testPrefix(), connect(url));
    const engine = web.engine({ rotateEvery: 1 });
    const { id } = await web.login('alice', engine);
    const rotated = await engine.open(id);
    if (rotated.kind !== 'live' || rotated.forwardTo === null) throw new Error(rotated.kind);
    await web.redis.config('SET', 'min-replicas-to-write', '1');
    await expect(engine.logout(sessionHandle(rotated.forwardTo))).rejects.toMatchObject({
      code: 'session_unavailable',
    });
    expect([(await engine.open(rotated.forwardTo)).kind, (await engine.open(id)).kind]).toEqual([
      'anonymous',
      'anonymous',
    ]);
    expect(await engine.hasEnded(rotated.entry)).toBe(true);
    await web.redis.config('SET', 'min-replicas-to-write', '0');
    await until(async () =>
      (await web.redis.get(web.keys.session(sessionHandle(rotated.forwardTo ?? ''))))?.includes('"k":"logout"'),
    );
    await engine.close();
  });

  test('when the process goes down: tried once more', async () => {
    const web = new WebTier(testPrefix(), connect((await privateRedis()).url));
    const engine = web.engine();
    const { id } = await web.login('alice', engine);
    await web.redis.config('SET', 'min-replicas-to-write', '1');
    await expect(engine.logout(sessionHandle(id))).rejects.toMatchObject({ code: 'session_unavailable' });
    await web.redis.config('SET', 'min-replicas-to-write', '0');
    await engine.close();
    expect(await web.lives(id)).toBe(false);
  });
});

function cutAnswers(server: { pause(): void; resume(): void }) {
  const errors: unknown[] = [];
  const routes = (app: Express, bouncer: Bouncer) => {
    app.post('/enter', (req, res, next) => {
      server.pause();
      bouncer.login(req, { userId: 'bob' }).then((result) => res.json(result), next);
    });
    app.post('/leave', (req, res) => {
      server.pause();
      Object.assign(req, { session: null });
      res.send(BODY);
    });
    app.post('/leave-told', (req, res) => {
      server.pause();
      req.session.destroy((error: { code?: string } | null) => res.json({ code: error?.code ?? null }));
    });
    app.use((error: unknown, _req: Request, _res: Response, next: NextFunction) => {
      errors.push(error);
      next(error);
    });
  };
  return { errors, routes, resume: () => server.resume() };
}

async function leave(
  shop: Pick<Shop, 'browser'>,
  url: string,
  prefix: string,
  { errors, resume }: ReturnType<typeof cutAnswers>,
): Promise<void> {
  const browser = shop.browser();
  await until(async () => (await browser.login('alice')).json().saved === true);
  const id = await browser.sessionId();
  const page = await browser.post('/leave');
  expect([page.status, page.body.length]).toEqual([200, BODY.length]);
  resume();
  await ended(url, prefix, id);
  expect(errors).toEqual([]);
}

test('no more than a thousand wait, and one line says that older ones are lost', () => {
  const log = captureLog();
  const late = new LateEnds(log);
  for (let i = 0; i < 1010; i++) late.add(`handle-${i}`);
  expect(late.all()).toHaveLength(1000);
  expect(late.all()[0]?.handle).toBe('handle-10');
  expect(log.entries.map(({ fields }) => fields)).toEqual([{ event: 'logouts_lost' }]);
  for (const { handle } of late.all()) late.delete(handle);
  expect(late.all()).toEqual([]);
});

test('stopped while a try is under way: what that puts back is not tried again', async () => {
  let tries = 0;
  let fail!: () => void;
  const failed = new Promise<void>((resolve) => {
    fail = resolve;
  });
  const late: LateEnds = new LateEnds(captureLog(), async () => {
    tries += 1;
    await failed;
    late.add('handle');
  });
  late.add('handle');
  await until(() => tries === 1);
  const timers = jest.spyOn(globalThis, 'setTimeout');
  release(async () => timers.mockRestore());
  late.stop();
  fail();
  await until(() => late.has('handle'));
  await Promise.resolve(); // behind the try
  expect(timers.mock.calls.filter(([, ms]) => ms === 1000)).toEqual([]);
});
