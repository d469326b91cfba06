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

test('a gate that was not told the name puts the held one beside nothing that the app has set', async () => {
  const prefix = testPrefix();
  const shop = await openShop(prefix);
  const redis = connect();
  const mallory = shop.browser();
  const { lid } = (await mallory.login('mallory')).json();
  const handle = sessionHandle(await mallory.sessionId());
  const signed = (await mallory.jar.getCookieString(shop.url)).slice('connect.sid='.length);
  const end = { lid: String(lid), handle, reason: 'country_changed', caseId: 'AAAA-BBBB-CCCC' } as const;
  await redisSessions(redis, keysFor(prefix), 1_000_000).revoke([{ ...end, atMs: Date.now() }]);
  await redisUndo(redis, keysFor(prefix)).lift({ lid: String(lid), handle, atMs: Date.now() });
  const visit = async (cookie: string) => {
    const { status, setCookie } = await shop.browser().get('/me', { cookie });
    return [status, setCookie.join()];
  };
  expect(await visit(`csrf-token=own; csrf-token.bouncer-held=${signed}`)).toEqual([200, '']);
  const unsigned = decodeURIComponent(signed).slice(2).split('.')[0];
  expect(await visit(`csrf-token.bouncer-held=${unsigned}`)).toEqual([200, '']);
  expect(shop.bouncer.stats().refused).toEqual({ 'id:malformed': 1 });
  const back = await visit(`cart.bouncer-held=3; connect.sid.bouncer-held=${signed}`);
  expect(back).toEqual([303, expect.stringMatching(/^connect\.sid=s%3A/)]);
});
