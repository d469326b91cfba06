import { describe, expect, test } from '@jest/globals';
import { redisIncidents } from '../../src/redis/incidents.ts';
import { keysFor } from '../../src/redis/keys.ts';
import { connect, testPrefix, until } from '../support/index.ts';
import { ADDRESS, openShop } from '../support/shop.ts';
import { openWorker } from '../support/worker.ts';

const MINUTE_MS = 60_000;

async function reused(address: string) {
  const prefix = testPrefix();
  const time = { now: Date.now() };
  const clock = () => time.now;
  const shop = await openShop(prefix, { bouncer: { clock, rotate: { everyRequests: 1 } } });
  await openWorker(prefix);
  const owner = shop.browser(ADDRESS.london);
  // The connection may only just be opening.
  await until(async () => (await owner.login('alice')).json().saved);
  const thief = shop.browser(address);
  for (const cookie of await owner.jar.getCookies(shop.url)) await thief.jar.setCookie(cookie, shop.url);
  await owner.user(); // a new id
  await owner.user(); // its first use: the old one's tail begins
  const incidents = redisIncidents(connect(), keysFor(prefix), 1e9);
  await until(async () => (await shop.bouncer.sessions.list('alice')).some(({ address }) => address !== null));
  time.now += MINUTE_MS;
  const page = await thief.get('/me');
  const found = await until(async () => (await incidents.list({ userId: 'alice' }, 10)).incidents[0]);
  return { shop, owner, thief, page, found, incidents, prefix };
}

describe('an old id that comes back after its tail', () => {
  test('ends the whole login and makes one incident, with the address that brought it', async () => {
    const { shop, owner, thief, page, found, incidents } = await reused(ADDRESS.lagos);
    expect([page.status, page.location]).toEqual([303, `/gotcha?case=${found.id}`]);
    expect((await owner.get('/me')).status).toBe(303);
    expect(found).toMatchObject({
      reason: 'session_reused',
      action: 'revoke',
      outcome: 'revoked',
      userId: 'alice',
      sighting: { kind: 'located', address: ADDRESS.lagos, candidates: ['NG'] },
      baseline: { v4: { places: [{ countries: ['GB'] }] } },
    });
    await thief.get('/me');
    await until(async () => ((await incidents.get(found.id))?.visitCount ?? 0) >= 2);
    expect((await incidents.list({ userId: 'alice' }, 10)).incidents).toHaveLength(1);
    expect(await shop.bouncer.sessions.list('alice')).toEqual([]);
  });

  test('from the same country too, and from an address that nobody can locate', async () => {
    expect((await reused(ADDRESS.londonElsewhere)).found).toMatchObject({ reason: 'session_reused' });
    const { found, incidents } = await reused('10.1.2.3');
    expect(found).toMatchObject({
      reason: 'session_reused',
      sighting: { kind: 'unlocatable', why: 'special_address' },
    });
    expect((await incidents.list({ address: '10.1.2.3' }, 10)).incidents).toHaveLength(1);
  });
});
