/** An app whose sign-in regenerates by itself and then only reports the login, in a session that had a login already. */
import { expect, test } from '@jest/globals';
import { redisCounters } from '../../src/redis/counters.ts';
import { redisIncidents } from '../../src/redis/incidents.ts';
import { keysFor } from '../../src/redis/keys.ts';
import { redisUndo } from '../../src/redis/undo.ts';
import { connect, testPrefix, until } from '../support/index.ts';
import { ADDRESS, openShop } from '../support/shop.ts';
import { openWorker } from '../support/worker.ts';

const open = async () => {
  const prefix = testPrefix();
  const shop = await openShop(prefix, {
    routes: (app, bouncer) =>
      app.post('/own-sign-in', (req, res) => {
        req.session.regenerate(() => {
          Object.assign(req.session, { userId: String(req.query.user) });
          req.session.save(async () => {
            const address = String(req.headers['x-forwarded-for']);
            res.json(await bouncer.reportLogin({ userId: String(req.query.user), sessionId: req.sessionID, address }));
          });
        });
      }),
  });
  await openWorker(prefix);
  const redis = connect();
  const keys = keysFor(prefix);
  return { shop, redis, keys, incidents: redisIncidents(redis, keys, 1_000_000) };
};

test('the session that was signed in ends, though it goes on under the login it had before; and is given back', async () => {
  const { shop, redis, keys, incidents } = await open();
  await shop.browser().login('alice');
  // Until it has been learned, the other one would be the first.
  await until(async () => (await redisCounters(redis, keys).read()).logins === 1);
  const thief = shop.browser(ADDRESS.lagos);
  await thief.login('mallory');
  const old = await thief.jar.getCookieString(shop.url);
  expect(await thief.user()).toBe('mallory');
  const { lid } = (await thief.post('/own-sign-in?user=alice')).json();
  const cookie = await thief.jar.getCookieString(shop.url);
  expect(cookie).not.toBe(old);
  const [incident] = await until(async () => {
    const page = await incidents.list({ userId: 'alice' }, 5);
    return page.incidents.length > 0 && page.incidents;
  });
  expect(incident).toMatchObject({ lid, reason: 'country_changed', outcome: 'revoked' });
  expect(await thief.user()).toBe('status 303');
  for (const each of [cookie, old]) {
    const again = await fetch(`${shop.url}/me`, { headers: { cookie: each }, redirect: 'manual' });
    expect(again.status).toBe(401); // no page was asked for
  }
  const lifted = { lid: String(lid), handle: incident?.handle ?? '', atMs: Date.now() };
  expect(await redisUndo(redis, keys).lift(lifted)).toBe('given_back');
  const back = await fetch(`${shop.url}/me`, { headers: { cookie }, redirect: 'manual' });
  expect(await back.json()).toMatchObject({ user: 'alice' });
});
