/** Options of the web tier and what it says about wrong use, through a whole app. */
import { createServer } from 'node:http';
import cookie from '@fastify/cookie';
import fastifySession from '@fastify/session';
import { describe, expect, test } from '@jest/globals';
import express from 'express';
import session from 'express-session';
import fastify from 'fastify';
import { type BouncerOptions, createBouncer } from '../../src/index.ts';
import { redisSessions } from '../../src/redis/ender.ts';
import { keysFor } from '../../src/redis/keys.ts';
import { sessionHandle } from '../../src/web/handle.ts';
import { listening } from '../contract/frameworks/express.ts';
import { captureLog, connect, privateRedis, release, testPrefix, testRedisUrl, until } from '../support/index.ts';
import { type Browser, openShop, type ShopOptions } from '../support/shop.ts';

const CASE = 'AAAA-BBBB-CCCC';

/** A browser whose session has been revoked. */
async function revoked(bouncer: Partial<BouncerOptions>, routes?: ShopOptions['routes']): Promise<Browser> {
  const prefix = testPrefix();
  const shop = await openShop(prefix, { bouncer, ...(routes ? { routes } : {}) });
  const browser = shop.browser();
  const { lid } = (await browser.login('alice')).json();
  const handle = sessionHandle(await browser.sessionId());
  const end = { handle, lid: String(lid), reason: 'country_changed', caseId: CASE, atMs: Date.now() } as const;
  await redisSessions(connect(), keysFor(prefix), 1e9).revoke([end]);
  return browser;
}

function events(log: ReturnType<typeof captureLog>, event: string): unknown[] {
  return log.entries.filter(({ fields }) => (fields as { event?: string }).event === event);
}

describe('the gate does as it is told', () => {
  test('gotcha.url: a page of the app, with the case number in its query; ours is not served then', async () => {
    const browser = await revoked({ gotcha: { url: 'https://help.example/ended?lang=en' } });
    const page = await browser.get('/me');
    expect([page.status, page.location]).toEqual([303, `https://help.example/ended?lang=en&case=${CASE}`]);
    expect((await browser.get('/gotcha')).status).toBe(404);
  });

  test('gotcha.path, render and loginUrl', async () => {
    const render = ({ caseNumber, loginUrl }: { caseNumber: string | null; loginUrl: string }) =>
      `<p>ours: ${caseNumber} ${loginUrl}</p>`;
    const browser = await revoked({ gotcha: { path: '/bye', render, loginUrl: '/enter' } });
    const page = await browser.get('/me');
    expect(page.location).toBe(`/bye?case=${CASE}`);
    const gotcha = await browser.get(page.location ?? '');
    expect([gotcha.status, gotcha.body]).toEqual([200, `<p>ours: ${CASE} /enter</p>`]);
    expect((await browser.get('/bye?case=<script>')).body).toBe('<p>ours: null /enter</p>');
  });

  test.each([
    [
      'throws',
      () => {
        throw new Error('no template for {secret}');
      },
    ],
    ['is async', async () => '<p>too late</p>'],
    [
      'is async and fails',
      async () => {
        throw new Error('no template');
      },
    ],
    ['gives nothing', () => undefined],
  ])('a render that %s: ours is shown, and the process lives', async (_what, render) => {
    const log = captureLog();
    const browser = await revoked({ gotcha: { render: render as never }, log, redisTimeoutMs: 20_000 });
    const { location } = await browser.get('/me'); // from here on it has only the cookie of what was held
    const page = await browser.get(location ?? '');
    expect([page.status, page.body]).toEqual([200, expect.stringContaining(CASE)]);
    expect(page.body).toContain('You have been signed out');
    await browser.get(location ?? ''); // told once: anybody may ask for it
    expect(events(log, 'gotcha_render_failed')).toHaveLength(1);
    expect(log.text()).not.toContain('no template');
    expect((await browser.get('/me')).status).toBe(200);
  });

  test('a render that gives a file as it was read: its text', async () => {
    const log = captureLog();
    const browser = await revoked({ gotcha: { render: (() => Buffer.from('<p>schön</p>')) as never }, log });
    expect((await browser.get('/gotcha')).body).toBe('<p>schön</p>');
    expect(events(log, 'gotcha_render_failed')).toEqual([]);
  });

  test('openPaths: reachable with a revoked session, on a fresh one; nothing beside them is', async () => {
    const asked = async (path: string) => {
      const browser = await revoked({ openPaths: ['/about', '/public/'] }, (app) =>
        app.use((req, res) => void res.json({ user: (req.session as { userId?: string }).userId ?? null })),
      );
      const page = await browser.get(path);
      return page.status === 200 ? page.json() : page.status;
    };
    for (const path of ['/about', '/public/', '/public/a/b', '/login'])
      expect(await asked(path)).toEqual({ user: null });
    for (const path of ['/about/us', '/publicity']) expect(await asked(path)).toBe(303);
  });

  const readsSession = (request: object) => (request as { session: { userId?: string } }).session.userId === undefined;
  test.each([
    ['throws', readsSession],
    ['is async and fails', async (request: object) => readsSession(request)],
  ])('a needsUser that %s: 503 for what it was asked about, and nothing else suffers', async (_what, given) => {
    const server = await privateRedis();
    const log = captureLog();
    const needsUser = given as BouncerOptions['needsUser'];
    const shop = await openShop(testPrefix(), { bouncer: { redis: server.url, redisTimeoutMs: 300, needsUser, log } });
    const browser = shop.browser();
    await until(async () => (await browser.login('alice')).json().saved);
    server.pause();
    for (let i = 0; i < 2; i++) {
      const page = await browser.get('/me');
      expect([page.status, page.json()]).toEqual([503, { code: 'session_unavailable' }]);
    }
    expect(events(log, 'needs_user_failed')).toHaveLength(1);
    server.resume();
    await until(async () => (await browser.user()) === 'alice');
  });

  test('needsUser: 503 with Retry-After while Redis is away, and only there', async () => {
    const server = await privateRedis();
    const shop = await openShop(testPrefix(), {
      bouncer: { redis: server.url, redisTimeoutMs: 300, needsUser: ({ path }) => path === '/me' },
    });
    const browser = shop.browser();
    await until(async () => (await browser.login('alice')).json().saved === true);
    server.pause();
    const page = await browser.get('/me');
    expect([page.status, page.headers.get('retry-after')]).toEqual([503, '5']);
    expect(page.json()).toEqual({ code: 'session_unavailable' });
    expect((await browser.post('/change')).status).toBe(200);
    server.resume();
    await until(async () => (await browser.user()) === 'alice');
  });
});

describe('wrong use is told', () => {
  test('reserved_name: a member with the name of our mark is not stored, and harms nothing', async () => {
    const shop = await openShop(testPrefix(), {
      routes: (app) =>
        app.post('/forge', (req, res) => {
          Object.assign(req.session, { __bouncer: { k: 'live', l: 'another login' } });
          res.json({ whole: true });
        }),
    });
    const browser = shop.browser();
    await browser.login('alice');
    const page = await browser.post('/forge');
    expect([page.status, page.json()]).toEqual([200, { whole: true }]);
    expect(shop.bouncer.stats().refused).toEqual({ 'save:reserved_name': 1 });
    expect(await browser.user()).toBe('alice');
  });

  test.each([[['0.0.0.0/0', '::/0']], [['::/0', 'loopback', '0.0.0.0/0']]])(
    'trusts_all_proxies is warned of once: %j',
    async (trustProxy) => {
      const shop = await openShop(testPrefix(), { bouncer: { trustProxy } });
      for (let i = 0; i < 3; i++) await shop.browser().login('alice');
      expect(events(shop.log, 'trusts_all_proxies')).toHaveLength(1);
      expect(shop.bouncer.clientAddress({ peer: '1.2.3.4', headers: {} })).toBe('1.2.3.4');
    },
  );

  test('session_missing: a login on a request without a session', async () => {
    const bouncer = createBouncer({ redis: testRedisUrl(), prefix: testPrefix(), log: captureLog() });
    release(() => bouncer.close());
    const bare = { method: 'POST', url: '/login', headers: {}, socket: { remoteAddress: '1.2.3.4' } };
    for (const req of [bare, { ...bare, session: null }, { ...bare, session: {} }]) {
      await expect(bouncer.login(req, { userId: 'alice' })).rejects.toMatchObject({ code: 'session_missing' });
    }
    expect(bouncer.stats()).toMatchObject({ queued: 0, waiting: 0 });
  });

  test('store_foreign: a login in another store is reported all the same, and one line says what is wrong', async () => {
    const how = { session: { store: new session.MemoryStore() }, bouncer: { enqueueTimeoutMs: 10_000 } };
    const shop = await openShop(testPrefix(), how);
    const browser = shop.browser();
    for (let i = 0; i < 2; i++) expect((await browser.login('alice')).json()).toMatchObject({ status: 'queued' });
    expect(await browser.user()).toBe('alice');
    expect(events(shop.log, 'store_foreign')).toEqual([
      expect.objectContaining({ level: 'error', fields: { event: 'store_foreign', code: 'store_foreign' } }),
    ]);
  });
});

describe('what is easily left out', () => {
  const option = (message: string) => expect.objectContaining({ code: 'option_invalid', message });

  test('express-session itself: the call is named', async () => {
    const bouncer = createBouncer({ redis: testRedisUrl(), prefix: testPrefix(), log: captureLog() });
    release(() => bouncer.close());
    const noModule = undefined as unknown as typeof session;
    expect(() => bouncer.store(noModule)).toThrow(
      option("store: give express-session's own function: bouncer.store(session)"),
    );
    expect(() => bouncer.express({} as typeof session, { secret: 's' })).toThrow(
      option("express: give express-session's own function: bouncer.express(session)"),
    );
  });

  test("the gate's own brackets: an error, and no request that waits for ever", async () => {
    const bouncer = createBouncer({ redis: testRedisUrl(), prefix: testPrefix(), log: captureLog() });
    release(() => bouncer.close());
    const app = express();
    app.use(bouncer.gate as unknown as express.RequestHandler);
    app.use((error: unknown, _req: unknown, res: express.Response, _next: unknown) => {
      res.status(500).json(error);
    });
    const { url, close } = await listening(createServer(app));
    release(close);
    const answer = await fetch(url);
    expect([answer.status, await answer.json()]).toEqual([500, expect.objectContaining({ code: 'option_invalid' })]);
  });

  test('who has logged in', async () => {
    const bouncer = createBouncer({ redis: testRedisUrl(), prefix: testPrefix(), log: captureLog() });
    release(() => bouncer.close());
    await expect(bouncer.login({}, undefined as never)).rejects.toThrow(
      option('login: give the request and an object with at least `userId`'),
    );
  });

  test.each([
    [true, /^trustProxy: give a list such as /],
    [['10.0.0.0/8', 'nginx'], /^trustProxy: entry 2 is not an IP address/],
    [-1, /^trustProxy: give a whole number of proxies from 0 to 64/],
  ])('trustProxy: %j is refused by its name', (trustProxy, message) => {
    expect(() => createBouncer({ redis: testRedisUrl(), trustProxy: trustProxy as never })).toThrow(message);
  });

  test('the proxy in front: told once, of a private peer whose header is not believed', async () => {
    const shop = await openShop(testPrefix(), { bouncer: { trustProxy: [] } });
    for (const user of ['alice', 'bob']) await shop.browser().login(user);
    expect(events(shop.log, 'proxy_untrusted')).toEqual([
      expect.objectContaining({ level: 'warn', fields: { event: 'proxy_untrusted', header: 'x-forwarded-for' } }),
    ]);
    const known = await openShop(testPrefix());
    await known.browser().login('alice');
    expect(events(known.log, 'proxy_untrusted')).toEqual([]);
  });
});

describe('ids of your own making', () => {
  const counted = () => {
    let made = 0;
    return () => `shop.${++made}.${'x'.repeat(20)}`;
  };

  test('of a shape that is refused: told once, not with every visitor', async () => {
    const shop = await openShop(testPrefix(), { session: { genid: counted() } });
    for (const user of ['alice', 'bob']) {
      const browser = shop.browser();
      expect((await browser.get('/me')).status).toBe(200);
      expect((await browser.login(user)).json()).toMatchObject({ saved: true });
      expect(await browser.user()).toBeNull();
    }
    expect(events(shop.log, 'session_id_malformed')).toHaveLength(1);
    expect(shop.log.text()).not.toContain('shop.');
  });

  test('with their idPattern: nothing is told; one that rotation cannot keep keeps its id', async () => {
    const own = { session: { idPattern: /^shop\.\d+\.x+$/ }, rotate: { everyRequests: 1 } };
    const shop = await openShop(testPrefix(), { session: { genid: counted() }, bouncer: own });
    const browser = shop.browser();
    await browser.login('alice');
    expect(events(shop.log, 'session_id_malformed')).toEqual([]);
    for (let visit = 0; visit < 3; visit++) expect(await browser.user()).toBe('alice');
    expect(events(shop.log, 'session_id_malformed')).toHaveLength(1);
  });
});

describe('login with data that the session keeps a name of for itself', () => {
  const patient = { redisTimeoutMs: 20_000 };
  const taken = ['id', 'cookie', 'save', '__proto__'];
  const dataOf = (name: unknown) => JSON.parse(`{"userId":"mallory","${name}":7}`) as Record<string, unknown>;

  test('Express: a coded error that names it, and the session goes on as it was', async () => {
    const shop = await openShop(testPrefix(), {
      bouncer: patient,
      routes: (app, bouncer) =>
        app.post('/as', async (req, res) => {
          const done = bouncer.login(req, { userId: 'mallory', data: dataOf(req.query.name) });
          res.json(await done.catch(({ code, message }) => ({ code, message })));
        }),
    });
    const browser = shop.browser();
    await browser.login('alice');
    for (const name of taken) {
      const said = (await browser.post(`/as?name=${name}`)).json();
      expect(said).toEqual({ code: 'option_invalid', message: expect.stringContaining(` ${name} `) });
    }
    expect((await browser.post('/as?name=role')).json()).toMatchObject({ saved: true });
    expect(await browser.user()).toBe('mallory');
  });

  test('Fastify: the same', async () => {
    const bouncer = createBouncer({ redis: testRedisUrl(), prefix: testPrefix(), log: captureLog(), ...patient });
    const app = fastify();
    app.register(cookie);
    app.register(bouncer.fastify(fastifySession), { secret: 's'.repeat(32), cookie: { secure: false } });
    app.post('/as', (request) =>
      bouncer.login(request, { userId: 'mallory', data: request.body as Record<string, unknown> }),
    );
    release(async () => {
      await app.close();
      await bouncer.close();
    });
    const url = await app.listen({ port: 0, host: '127.0.0.1' });
    const said = async (name: string) => {
      const headers = { 'content-type': 'application/json' };
      const answer = await fetch(`${url}/as`, { method: 'POST', headers, body: JSON.stringify({ [name]: 7 }) });
      return answer.json();
    };
    for (const name of ['cookie', 'save', 'sessionId'])
      expect(await said(name)).toMatchObject({ code: 'option_invalid' });
    expect(await said('id')).toMatchObject({ saved: true });
  });
});
