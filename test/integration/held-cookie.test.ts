/** express-session sets cookies of its own for anonymous visitors: the one that is given back must win. */
import { expect, test } from '@jest/globals';
import { redisSessions } from '../../src/redis/ender.ts';
import { keysFor } from '../../src/redis/keys.ts';
import { redisUndo } from '../../src/redis/undo.ts';
import { sessionHandle } from '../../src/web/handle.ts';
import { connect, testPrefix } from '../support/index.ts';
import { openShop } from '../support/shop.ts';

test.each([
  { saveUninitialized: true },
  { saveUninitialized: true, rolling: true, resave: true, cookie: { maxAge: 600_000 } },
  { unset: 'destroy' as const, rolling: true },
])('%j', async (session) => {
  const prefix = testPrefix();
  const shop = await openShop(prefix, { session });
  const redis = connect();
  const browser = shop.browser();
  const { lid } = (await browser.login('alice')).json();
  const cookie = (await browser.jar.getCookies(shop.url)).find(({ key }) => key === 'connect.sid');
  const handle = sessionHandle(
    decodeURIComponent(cookie?.value ?? '')
      .slice(2)
      .split('.')[0] ?? '',
  );
  const end = {
    lid: String(lid),
    handle,
    reason: 'country_changed',
    caseId: 'AAAA-BBBB-CCCC',
    atMs: Date.now(),
  } as const;
  await redisSessions(redis, keysFor(prefix), 1_000_000).revoke([end]);
  expect((await browser.get('/me')).location).toBe('/gotcha?case=AAAA-BBBB-CCCC');
  await browser.get('/gotcha?case=AAAA-BBBB-CCCC');
  await browser.post('/change'); // a session of nobody's, stored
  expect((await browser.get('/me')).json()).toEqual({ user: null, visits: 1 });
  const lifted = { lid: String(lid), handle, atMs: Date.now() };
  expect(await redisUndo(redis, keysFor(prefix)).lift(lifted)).toBe('given_back');
  const back = await browser.get('/me');
  expect([back.status, back.location]).toEqual([303, '/me']);
  expect(await browser.user()).toBe('alice');
  expect(await browser.user()).toBe('alice');
});
