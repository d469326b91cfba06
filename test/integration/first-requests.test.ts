/** The first requests of a process come before its connection to Redis stands. */
import { createServer, type Socket } from 'node:net';
import { describe, expect, test } from '@jest/globals';
import { Hono } from 'hono';
import { type Bouncer, type BouncerOptions, type CookieSession, createBouncer } from '../../src/index.ts';
import { startCluster } from '../support/cluster.ts';
import { captureLog, privateRedis, release, stopwatch, testPrefix, testRedisUrl, until } from '../support/index.ts';

const SECRET = 'a secret of the tests, forty letters long';
const LIMIT_MS = 400;
/** Of a busy machine. */
const SLACK_MS = 300;
/** Where the limit is not what is looked at: whatever would have to wait for it waits for seconds. */
const LONG_MS = 5000;

/** Not a tick passes between the opening of the connection and the first request: no socket is in between. */
function open(prefix: string, options: Partial<BouncerOptions> = {}) {
  const bouncer: Bouncer = createBouncer({
    redis: testRedisUrl(),
    prefix,
    redisTimeoutMs: LIMIT_MS,
    log: captureLog(),
    ...options,
  });
  release(() => bouncer.close());
  const app = new Hono<{ Variables: { session: CookieSession } }>();
  app.use(bouncer.hono({ secret: SECRET }));
  app.post('/login', async (c) => c.json(await bouncer.login(c, { userId: 'alice', data: { userId: 'alice' } })));
  app.get('/me', (c) => c.json(c.get('session').data));
  const ask = (path: string, cookie = '', method = 'GET') =>
    app.request(`https://shop.example${path}`, { method, headers: { cookie } });
  return { bouncer, ask };
}

function cookieOf(response: Response): string {
  return response.headers.getSetCookie()[0]?.split(';')[0] ?? '';
}

describe('the very first request', () => {
  test('a login is saved, and in the next process its cookie is known', async () => {
    const prefix = testPrefix();
    const login = await open(prefix, { redisTimeoutMs: LONG_MS }).ask('/login', '', 'POST');
    expect(await login.json()).toMatchObject({ saved: true });
    const next = open(prefix, { redisTimeoutMs: LONG_MS });
    const pages = await Promise.all([next.ask('/me', cookieOf(login)), next.ask('/me', cookieOf(login))]);
    expect(await Promise.all(pages.map((page) => page.json()))).toEqual([{ userId: 'alice' }, { userId: 'alice' }]);
    expect(next.bouncer.stats().refused).toEqual({});
  });

  test('on a Cluster too', async () => {
    const { client } = await startCluster();
    const prefix = testPrefix();
    const login = await open(prefix, { redis: client, redisTimeoutMs: LONG_MS }).ask('/login', '', 'POST');
    expect(await login.json()).toMatchObject({ saved: true });
    const page = await open(prefix, { redis: client, redisTimeoutMs: LONG_MS }).ask('/me', cookieOf(login));
    expect(await page.json()).toEqual({ userId: 'alice' });
  });
});

describe('Redis away at the start', () => {
  const id = 'k'.repeat(32);

  test.each(['refused', 'silent', 'loading'] as const)('%s: requests answer within the limit', async (how) => {
    const redis = how === 'refused' ? 'redis://127.0.0.1:1' : await fakeServer(how === 'loading');
    const { bouncer } = open(testPrefix(), { redis, needsUser: () => true });
    for (let round = 0; round < 3; round++) {
      const ms = stopwatch();
      const judged = await Promise.all(
        [1, 2, 3].map(() => bouncer.judge({ sessionId: id, method: 'GET', target: '/', headers: {} })),
      );
      expect(judged.map((one) => one.action === 'answer' && one.status)).toEqual([503, 503, 503]);
      expect(ms()).toBeLessThan(LIMIT_MS + SLACK_MS);
    }
  });

  test('once it is there all is well, and a later outage fails fast', async () => {
    const server = await privateRedis();
    await server.kill();
    const { bouncer, ask } = open(testPrefix(), {
      redis: server.url,
      redisTimeoutMs: LONG_MS,
      needsUser: () => true,
    });
    await ask('/me');
    await server.restart();
    const login = await until(async () => {
      const answer = await ask('/login', '', 'POST');
      return ((await answer.clone().json()) as { saved: boolean }).saved && answer;
    });
    expect((await ask('/me', cookieOf(login))).status).toBe(200);
    await server.kill();
    await until(async () => (await ask('/me', cookieOf(login))).status === 503);
    const ms = stopwatch();
    await bouncer.judge({ sessionId: id, method: 'GET', target: '/', headers: {} });
    expect(ms()).toBeLessThan(LONG_MS / 5);
  });
});

/** Takes connections and says nothing; or, like a server that reads a large file, only that it is not ready. */
async function fakeServer(isLoading: boolean): Promise<string> {
  const sockets = new Set<Socket>();
  const info = 'loading:1\r\nloading_eta_seconds:1\r\n';
  const server = createServer((socket) => {
    sockets.add(socket.on('error', () => {}));
    socket.on('data', (text) => {
      const names = [...String(text).matchAll(/^\*\d+\r\n\$\d+\r\n(\w+)/gm)].map(([, name = '']) => name.toLowerCase());
      const replies = names.map((name) =>
        name === 'hello'
          ? "-ERR unknown command 'HELLO'\r\n"
          : name === 'info'
            ? `$${info.length}\r\n${info}\r\n`
            : '+OK\r\n',
      );
      if (isLoading) socket.write(replies.join(''));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  release(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  return `redis://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`;
}
