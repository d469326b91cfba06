/**
 * A slow request is under way with the old id while its session gets a new one, and its answer comes after the new id's
 * first use: whatever its `Set-Cookie` says, the browser that follows it stays logged in and raises no alarm.
 */
import { describe, expect, test } from '@jest/globals';
import { createBouncer } from '../../src/index.ts';
import { expressFrameworks } from '../contract/frameworks/express.ts';
import { fastify5 } from '../contract/frameworks/fastify.ts';
import { type AppOptions, type Framework, Held } from '../contract/frameworks/harness.ts';
import { hono } from '../contract/frameworks/hono.ts';
import { koaFrameworks } from '../contract/frameworks/koa.ts';
import { captureLog, release, testPrefix, testRedisUrl, until } from '../support/index.ts';
import { ADDRESS, Browser, openShop } from '../support/shop.ts';

const FRAMEWORKS = [...expressFrameworks, fastify5, ...koaFrameworks, hono];
const COOKIES: [string, AppOptions][] = [
  ['a cookie that lives on', { maxAgeMs: 6_000_000 }],
  ['a rolling cookie', { maxAgeMs: 6_000_000, eager: true }],
];
const SLOW = ['/slow-change', '/slow-read', '/slow-save'];

async function open(framework: Framework, app: AppOptions) {
  const time = { now: Date.now() };
  const log = captureLog();
  const held = new Held();
  const bouncer = createBouncer({
    redis: testRedisUrl(),
    prefix: testPrefix(),
    trustProxy: ['loopback'],
    log,
    clock: () => time.now,
  });
  const { url, close } = await framework.open(bouncer, held, app);
  release(async () => {
    held.release();
    await close();
    await bouncer.close();
  });
  const browser = new Browser(url, ADDRESS.london);
  await until(async () => (await browser.login('alice')).json().saved);
  return { url, browser, held, time, log, bouncer };
}

describe.each(FRAMEWORKS)('$name', (framework) => {
  for (const [cookie, app] of COOKIES) {
    test.each(SLOW)(`${cookie}: %s answers after the change`, async (path) => {
      const { browser, held, time, log } = await open(framework, app);
      const slow = browser.post(path);
      await held.arrived(1);
      expect((await browser.post('/regenerate')).json().user).toBe('alice');
      expect(await browser.user()).toBe('alice'); // the new id's first use
      held.release();
      expect((await slow).status).toBe(200);
      for (let i = 0; i < 3; i++) {
        time.now += 31_000;
        expect(await browser.user()).toBe('alice');
      }
      time.now += 600_000;
      expect(await browser.user()).toBe('alice');
      expect(log.text()).not.toContain('session_reused');
    });

    test(`${cookie}: a request in the tail does not give the old id back`, async () => {
      const { browser, url, time } = await open(framework, app);
      const old = await browser.jar.getCookieString(url);
      await browser.post('/regenerate');
      await browser.user();
      for (const path of ['/me', '/change']) {
        const answer = await fetch(url + path, { method: path === '/me' ? 'GET' : 'POST', headers: { cookie: old } });
        expect(await answer.json()).toMatchObject({ user: 'alice' });
        for (const line of answer.headers.getSetCookie()) await browser.jar.setCookie(line, url);
      }
      time.now += 31_000;
      expect(await browser.user()).toBe('alice');
      time.now += 31_000;
      expect(await browser.user()).toBe('alice');
    });
  }

  test('whoever holds the old id without such a request is found: the new id closes it again', async () => {
    const { browser, url, held, time, log } = await open(framework, { maxAgeMs: 6_000_000, eager: true });
    const old = await browser.jar.getCookieString(url);
    const slow = browser.post('/slow-change');
    await held.arrived(1);
    await browser.post('/regenerate');
    const named = await browser.jar.getCookieString(url);
    held.release();
    await slow;
    const withId = (cookie: string) => fetch(`${url}/me`, { headers: { cookie }, redirect: 'manual' });
    expect((await withId(named)).status).toBe(200); // the browser had got the new id last
    await until(async () => (await withId(named)).status === 200);
    time.now += 31_000;
    expect([303, 401]).toContain((await withId(old)).status);
    expect(log.text()).not.toContain('session_unavailable');
  });
});

test("express: a cookie of the app's own that holds the id goes out all the same", async () => {
  const session = { rolling: true, cookie: { maxAge: 6_000_000 } };
  const shop = await openShop(testPrefix(), {
    session,
    routes(app) {
      app.post('/regenerate', async (req, res) => {
        const { userId } = req.session as { userId?: string };
        await new Promise<void>((done) => req.session.regenerate(() => done()));
        Object.assign(req.session, { userId });
        res.end();
      });
      app.post('/mirror', (req, res) => {
        Object.assign(req.session, { visits: 1 });
        res.cookie('mirror', req.sessionID).end();
      });
    },
  });
  const browser = shop.browser();
  await until(async () => (await browser.login('alice')).json().saved);
  const cookie = await browser.jar.getCookieString(shop.url);
  await browser.post('/regenerate');
  expect(await browser.user()).toBe('alice');
  const answer = await fetch(`${shop.url}/mirror`, { method: 'POST', headers: { cookie } });
  const names = answer.headers.getSetCookie().map((line) => line.split('=')[0]);
  expect(names).toEqual(['mirror']);
});
