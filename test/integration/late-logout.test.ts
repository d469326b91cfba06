/** Logouts while Redis is away: the app is told, and none is lost. What each framework says is in the contract. */
import { describe, expect, test } from '@jest/globals';
import type { Express, NextFunction, Request, Response } from 'express';
import type { Bouncer } from '../../src/index.ts';
import { keysFor } from '../../src/redis/keys.ts';
import { sessionHandle } from '../../src/web/handle.ts';
import { LateEnds } from '../../src/web/late-ends.ts';
import { captureLog, connect, privateRedis, testPrefix, until } from '../support/index.ts';
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
    await alice.login('alice');
    await bob.login('bob');
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
  await browser.login('alice');
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
