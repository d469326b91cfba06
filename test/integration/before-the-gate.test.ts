/** Between express-session and the gate an app may do as it likes with the session, also in a request that is to rotate. */
import { createServer } from 'node:http';
import { expect, test } from '@jest/globals';
import express, { type RequestHandler } from 'express';
import session from 'express-session';
import { type Bouncer, createBouncer } from '../../src/index.ts';
import { redisSessions } from '../../src/redis/ender.ts';
import { keysFor } from '../../src/redis/keys.ts';
import { redisUndo } from '../../src/redis/undo.ts';
import { sessionHandle } from '../../src/web/handle.ts';
import { listening } from '../contract/frameworks/express.ts';
import { captureLog, connect, release, testPrefix, testRedisUrl, until } from '../support/index.ts';
import { ADDRESS, Browser, PATIENCE } from '../support/shop.ts';

type Mine = { userId?: string; visits?: number };

async function open(
  rotate: boolean,
  between: (bouncer: Bouncer) => RequestHandler = () => (_req, _res, next) => next(),
) {
  const prefix = testPrefix();
  const time = { now: Date.now() };
  const bouncer = createBouncer({
    redis: testRedisUrl(),
    prefix,
    log: captureLog(),
    trustProxy: ['loopback'],
    clock: () => time.now,
    ...PATIENCE,
    ...(rotate ? { rotate: { everyRequests: 1 } } : {}),
  });
  const app = express();
  const store = bouncer.store(session);
  app.use(session({ store, secret: 'not a secret in a test', resave: false, saveUninitialized: false }));
  app.post('/login', async (req, res) => {
    res.json(await bouncer.login(req, { userId: 'alice', data: { userId: 'alice' } }));
  });
  app.use(between(bouncer));
  app.use(bouncer.gate());
  app.get('/me', (req, res) => void res.json({ user: (req.session as Mine).userId ?? null }));
  app.post('/logout', (req, res) => req.session.destroy(() => res.end()));
  app.post('/soft', (req, res) => {
    Reflect.deleteProperty(req.session, 'userId');
    (req.session as Mine).visits = 9;
    res.end();
  });
  const { url, close } = await listening(createServer(app));
  release(async () => {
    await close();
    await bouncer.close();
  });
  const browser = new Browser(url, ADDRESS.london);
  const { lid } = await until(async () => {
    const answer = (await browser.login('alice')).json();
    return answer.saved === true && answer;
  });
  time.now += 31_000; // its id may rotate now
  const cookie = await browser.jar.getCookieString(url);
  return { bouncer, prefix, time, url, browser, cookie, lid: String(lid) };
}

const when = (name: string, does: RequestHandler): RequestHandler => {
  return (req, res, next) => (req.query[name] === undefined ? next() : does(req, res, next));
};

test('no session any more: the request is answered, and nothing is thrown away', async () => {
  const gone = when('gone', (req, _res, next) => {
    Reflect.set(req, 'session', null);
    next();
  });
  const { browser } = await open(true, () => gone);
  expect((await browser.get('/other?gone=1')).status).toBe(404);
  expect(await browser.user()).toBe('alice');
});

test('a regenerated one goes on', async () => {
  const renew = when('renew', (req, _res, next) => {
    const { userId } = req.session as Mine;
    req.session.regenerate(() => {
      Object.assign(req.session, { userId });
      next();
    });
  });
  const { browser, bouncer, lid } = await open(true, () => renew);
  expect((await browser.get('/me?renew=1')).json()).toEqual({ user: 'alice' });
  expect(await browser.user()).toBe('alice');
  expect(await bouncer.sessions.isLive(lid)).toBe(true);
});

test('a login goes on', async () => {
  const relogin = (bouncer: Bouncer) =>
    when('relogin', (req, _res, next) => {
      bouncer.login(req, { userId: 'alice', data: { userId: 'alice' } }).then(() => next(), next);
    });
  const { browser } = await open(true, relogin);
  expect((await browser.get('/me?relogin=1')).json()).toEqual({ user: 'alice' });
  expect(await browser.user()).toBe('alice');
});

test('a rotation brings nothing back that another request took out in between', async () => {
  const waiting: (() => void)[] = [];
  const slow = when('slow', (_req, _res, next) => waiting.push(() => next()));
  const { url, cookie, time } = await open(true, () => slow);
  const running = fetch(`${url}/me?slow=1`, { headers: { cookie } });
  await until(() => waiting.length === 1);
  time.now -= 31_000; // the other tab's request does not rotate
  expect((await fetch(`${url}/soft`, { method: 'POST', headers: { cookie } })).status).toBe(200);
  time.now += 31_000;
  for (const go of waiting) go();
  const answer = await running;
  expect(await answer.json()).toEqual({ user: null });
  const next = answer.headers.getSetCookie()[0]?.split(';')[0] ?? cookie;
  for (const each of [next, cookie]) {
    expect(await (await fetch(`${url}/me`, { headers: { cookie: each } })).json()).toEqual({ user: null });
  }
});

test('an end that was lifted does not come back over a logout', async () => {
  const { prefix, time, url, browser, cookie, lid } = await open(false);
  const [redis, keys] = [connect(), keysFor(prefix)];
  const handle = sessionHandle(await browser.sessionId());
  const atMs = time.now;
  const end = { lid, handle, reason: 'country_changed', caseId: 'AAAA-BBBB-CCCC', atMs, loginAtMs: atMs } as const;
  const sessions = redisSessions(redis, keys, 1_000_000);
  await sessions.revoke([end]);
  expect(await redisUndo(redis, keys).lift({ lid, handle, atMs: atMs + 1000 })).toBe('given_back');
  time.now += 2000;
  const me = async () => (await fetch(`${url}/me`, { headers: { cookie, accept: 'application/json' } })).status;
  expect(await me()).toBe(200);
  await fetch(`${url}/logout`, { method: 'POST', headers: { cookie } });
  for (const again of [true, false]) {
    await sessions.revoke([{ ...end, again }]);
    expect(await me()).toBe(200); // nobody's, and not bounced
    expect(await redis.get(keys.loginEnd(lid))).toContain('"reason":"logout"');
  }
});
