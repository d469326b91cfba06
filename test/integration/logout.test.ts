/** A logout ends the login, and not only the session id that it was said with. */
import { createServer } from 'node:http';
import { describe, expect, test } from '@jest/globals';
import express, { type Request } from 'express';
import session from 'express-session';
import { WebSocket, WebSocketServer } from 'ws';
import { createBouncer } from '../../src/index.ts';
import { redisSessions } from '../../src/redis/ender.ts';
import { keysFor } from '../../src/redis/keys.ts';
import { redisUndo } from '../../src/redis/undo.ts';
import { sessionHandle } from '../../src/web/handle.ts';
import { listening } from '../contract/frameworks/express.ts';
import { commandsDuring } from '../support/admin.ts';
import { captureLog, connect, release, testPrefix, testRedisUrl, until } from '../support/index.ts';
import { type Browser, openShop } from '../support/shop.ts';

const CASE = 'AAAA-BBBB-CCCC';
const DAY_MS = 86_400_000;

async function loggedIn(browser: Browser): Promise<string> {
  let lid = '';
  await until(async () => {
    const answer = (await browser.login('alice')).json();
    lid = String(answer.lid);
    return answer.saved === true;
  });
  return lid;
}

async function withSockets(unset?: 'destroy') {
  const prefix = testPrefix();
  const bouncer = createBouncer({ redis: testRedisUrl(), prefix, log: captureLog(), trustProxy: ['loopback'] });
  const app = express();
  const secret = 'a secret of the tests, forty letters long';
  const how = { secret, resave: false, saveUninitialized: false, ...(unset === undefined ? {} : { unset }) };
  const withSession = session({ store: bouncer.store(session), ...how });
  app.use(withSession);
  app.use(bouncer.gate());
  const waiting: (() => void)[] = [];
  app.post('/login', async (req, res) => {
    res.json(await bouncer.login(req, { userId: 'alice', data: { userId: 'alice' } }));
  });
  app.post('/logout', (req, res) => {
    if (unset === undefined) return void req.session.destroy(() => res.end('bye'));
    (req as { session: unknown }).session = null;
    res.end('bye');
  });
  app.post('/pay', async (req, res) => {
    await new Promise<void>((go) => waiting.push(go));
    const paid = await bouncer.assertNotRevoked(req).then(
      () => 'paid',
      (error: { code: string }) => error.code,
    );
    res.end(paid);
  });
  const server = createServer(app);
  const sockets = new WebSocketServer({ noServer: true });
  const guarded: boolean[] = [];
  server.on('upgrade', (incoming, tcp, head) => {
    const req = incoming as Request;
    const opened = async (socket: Parameters<typeof bouncer.guardSocket>[0]) => {
      guarded.push(await bouncer.guardSocket(socket, req));
    };
    withSession(req, {} as never, () => sockets.handleUpgrade(req, tcp, head, (socket) => void opened(socket)));
  });
  const { url, close } = await listening(server);
  release(async () => {
    await close();
    await bouncer.close();
  });
  const login = await fetch(`${url}/login`, { method: 'POST' });
  const { lid } = (await login.json()) as { lid: string };
  const cookie = login.headers.getSetCookie()[0]?.split(';')[0] ?? '';
  const post = (path: string) => fetch(url + path, { method: 'POST', headers: { cookie } });
  return { url, bouncer, lid, cookie, post, guarded, waiting };
}

describe.each([['destroy()', undefined] as const, ["unset: 'destroy'", 'destroy'] as const])(
  'by %s',
  (_name, unset) => {
    test('its sockets are closed, and a request that is still running learns of it', async () => {
      const { url, bouncer, lid, cookie, post, guarded, waiting } = await withSockets(unset);
      const told: unknown[] = [];
      bouncer.on('revoked', (notice) => told.push(notice));
      const socket = new WebSocket(url.replace('http', 'ws'), { headers: { cookie } });
      let code = 0;
      socket.on('close', (closedWith) => {
        code = closedWith;
      });
      await until(() => guarded.length === 1);
      const paying = post('/pay');
      await until(() => waiting.length === 1);
      const asked = { method: 'GET', target: '/', headers: {}, lid };
      expect(await bouncer.judge(asked)).toMatchObject({ action: 'pass', lid });
      expect(await (await post('/logout')).text()).toBe('bye');
      await until(() => code === 4401);
      for (const go of waiting) go();
      expect(await (await paying).text()).toBe('session_ended');
      // Plain logged out: no page for thieves.
      expect(await bouncer.judge(asked)).toEqual({ action: 'pass', lid: '', data: null });
      expect(told).toMatchObject([{ lid, reason: 'logout', caseId: 'NONE' }]);
    });
  },
);

/** Two requests with one cookie regenerate at the same time: the login has two living ids. */
async function twoTabs() {
  const waiting: (() => void)[] = [];
  const prefix = testPrefix();
  const shop = await openShop(prefix, {
    routes(app) {
      app.post('/regenerate', async (req, res) => {
        await new Promise<void>((go) => waiting.push(go));
        const { userId } = req.session as { userId?: string };
        await new Promise<void>((done) => req.session.regenerate(() => done()));
        Object.assign(req.session, { userId });
        res.end();
      });
    },
  });
  const browser = shop.browser();
  const lid = await loggedIn(browser);
  const old = await browser.jar.getCookieString(shop.url);
  const send = async (method: string, path: string, cookie: string) => {
    const answer = await fetch(shop.url + path, { method, headers: { cookie } });
    const text = await answer.text();
    return { text, cookie: answer.headers.getSetCookie()[0]?.split(';')[0] ?? '' };
  };
  const both = Promise.all([send('POST', '/regenerate', old), send('POST', '/regenerate', old)]);
  await until(() => waiting.length === 2);
  for (const go of waiting) go();
  const [one, two] = await both;
  const user = async (cookie: string) => JSON.parse((await send('GET', '/me', cookie)).text).user as unknown;
  expect([await user(one.cookie), await user(two.cookie)]).toEqual(['alice', 'alice']);
  return { shop, prefix, lid, old, one: one.cookie, two: two.cookie, send, user };
}

test('of two ids of a login none lives on, and the old one leads nowhere', async () => {
  const { shop, old, one, two, send, user } = await twoTabs();
  await send('POST', '/logout', two);
  expect([await user(old), await user(one), await user(two)]).toEqual([null, null, null]);
  expect(await shop.bouncer.sessions.list('alice')).toEqual([]);
});

test('a login in its place logs the one before out, with all its ids', async () => {
  const { shop, lid, one, two, send, user } = await twoTabs();
  const again = await send('POST', '/login?user=alice', two);
  expect([await user(again.cookie), await user(one), await user(two)]).toEqual(['alice', null, null]);
  expect(await shop.bouncer.sessions.isLive(lid)).toBe(false);
  expect(await shop.bouncer.sessions.list('alice')).toHaveLength(1);
});

test('costs three commands behind the load', async () => {
  const prefix = testPrefix();
  const shop = await openShop(prefix);
  const browser = shop.browser();
  await loggedIn(browser);
  const sent = await commandsDuring(connect(), prefix, () => browser.post('/logout'));
  expect(sent.sort()).toEqual(['evalsha', 'evalsha', 'get', 'publish']); // express-session names no login: asked first
  const anonymous = await commandsDuring(connect(), prefix, () => browser.post('/logout'));
  expect(anonymous.length).toBeLessThan(3);
});

describe('a logout and another end of the same login', () => {
  const open = async () => {
    const prefix = testPrefix();
    const shop = await openShop(prefix);
    const browser = shop.browser();
    const lid = await loggedIn(browser);
    const id = await browser.sessionId();
    const cookie = await browser.jar.getCookieString(shop.url);
    const [redis, keys] = [connect(), keysFor(prefix)];
    const login = { lid, handle: sessionHandle(id) };
    const revoke = () =>
      redisSessions(redis, keys, 30 * DAY_MS).revoke([
        { ...login, reason: 'country_changed', caseId: CASE, atMs: Date.now() },
      ]);
    const lift = () => redisUndo(redis, keys).lift({ ...login, atMs: Date.now() + 1000 });
    const status = async () =>
      (await fetch(`${shop.url}/me`, { headers: { cookie, accept: 'application/json' } })).status;
    return { shop, browser, revoke, lift, status };
  };

  test('what is found out afterwards has its case, but is not given back', async () => {
    const { browser, revoke, lift, status } = await open();
    await browser.post('/logout');
    expect(await status()).toBe(200); // anonymous
    expect(await revoke()).toMatchObject([{ outcome: 'revoked', caseId: CASE }]);
    expect(await status()).toBe(401);
    expect(await lift()).toBe('blocked');
    expect(await status()).toBe(401);
  });

  test('what was given back is ended by a logout all the same', async () => {
    const { browser, revoke, lift, status } = await open();
    await revoke();
    expect(await lift()).toBe('given_back');
    expect(await status()).toBe(200);
    await browser.post('/logout');
    expect(await browser.user()).toBe(null);
    expect(await lift()).toBe('blocked');
  });
});
