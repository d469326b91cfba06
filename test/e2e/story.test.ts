import { describe, expect, test } from '@jest/globals';
import type { Redis } from 'ioredis';
import { redisIncidents } from '../../src/redis/incidents.ts';
import { keysFor } from '../../src/redis/keys.ts';
import { connect, privateRedis, testPrefix, until } from '../support/index.ts';
import { ADDRESS, openShop } from '../support/shop.ts';
import { openWorker } from '../support/worker.ts';

function incidentsOf(redis: Redis, prefix: string) {
  return redisIncidents(redis, keysFor(prefix), 1e9);
}

/** Every key and value of the whole server, in every database, as text. */
async function keyspace(url: string): Promise<string> {
  const databases = [...(await connect(url).info('keyspace')).matchAll(/^db(\d+):/gm)].map(([, db]) => Number(db));
  return (await Promise.all(databases.map((db) => database(connect(url, { db }))))).join('\n');
}

async function database(redis: Redis): Promise<string> {
  const parts: string[] = [];
  for await (const keys of redis.scanStream({ count: 500 })) {
    for (const key of keys as string[]) {
      const type = await redis.type(key);
      const value =
        type === 'string'
          ? await redis.get(key)
          : type === 'hash'
            ? await redis.hgetall(key)
            : type === 'zset'
              ? await redis.zrange(key, '0', '-1')
              : type === 'list'
                ? await redis.lrange(key, 0, -1)
                : type === 'set'
                  ? await redis.smembers(key)
                  : await redis.xrange(key, '-', '+');
      parts.push(key, JSON.stringify(value));
    }
  }
  return parts.join('\n');
}

describe('the story', () => {
  test('a thief from another country is bounced, the owner never notices, and the incident says why', async () => {
    const prefix = testPrefix();
    const { url } = await privateRedis();
    const shop = await openShop(prefix, { bouncer: { redis: url } });
    const worker = await openWorker(prefix, { redis: url });
    const redis = connect(url);
    const alice = shop.browser(ADDRESS.london);
    const thief = shop.browser(ADDRESS.lagos);
    const pages: string[] = [];

    expect((await alice.login('alice')).json()).toMatchObject({ status: 'queued', saved: true });
    await until(async () => (await redis.get(keysFor(prefix).baseline('alice'))) !== null);
    await thief.login('alice');
    const thiefId = await thief.sessionId();
    const bounce = await until(async () => {
      const page = await thief.get('/me');
      pages.push(page.body);
      return page.status === 303 && page;
    });

    expect(bounce.location).toMatch(/^\/gotcha\?case=[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4}$/);
    expect(bounce.headers.get('cache-control')).toBe('no-store');
    expect(await thief.sessionId()).toBe(''); // the cookie is cleared
    const gotcha = await thief.get(bounce.location ?? '');
    pages.push(gotcha.body);
    expect(gotcha.status).toBe(200);
    expect(gotcha.body).toContain('signed out');
    // Without the case number: of 350 one has a group that ends with NG.
    const words = gotcha.body.replaceAll(bounce.location?.split('=')[1] ?? 'no case', '');
    expect(words.length).toBeLessThan(gotcha.body.length);
    expect(words).not.toMatch(/alice|country|Nigeria|NG\b|105\.112/);
    expect(await alice.user()).toBe('alice');

    const incidents = incidentsOf(redis, prefix);
    // The revoke comes before the record: the bounce may be a moment earlier.
    const incident = await until(async () => (await incidents.list({ userId: 'alice' }, 10)).incidents[0]);
    expect(incident).toMatchObject({
      userId: 'alice',
      action: 'revoke',
      reason: 'country_changed',
      outcome: 'revoked',
      status: 'open',
      sighting: { address: ADDRESS.lagos, candidates: ['NG'], agreed: true },
      baseline: { v4: { places: [{ countries: ['GB'] }] } },
    });
    await until(async () => (await incidents.get(incident?.id ?? ''))?.visitCount === 2);
    const seen = await incidents.get(incident?.id ?? '');
    expect(seen?.visits.map((visit) => [visit.kind, visit.path, visit.address])).toEqual([
      ['refused', '/me', ADDRESS.lagos],
      ['gotcha', '/gotcha', ADDRESS.lagos],
    ]);
    expect(seen?.firstRefusedAtMs).toBeGreaterThanOrEqual(seen?.revokedAtMs ?? Number.POSITIVE_INFINITY);

    // The raw session ids stand nowhere but in the cookies.
    const everything = [await keyspace(url), shop.log.text(), worker.log.text(), ...pages].join('\n');
    expect(everything).toContain(incident?.handle ?? 'no handle'); // the search does look where it should
    for (const id of [thiefId, await alice.sessionId()]) {
      expect(id).toHaveLength(32);
      expect(everything).not.toContain(id);
      expect(everything).not.toContain(encodeURIComponent(id));
    }
    expect(worker.log.entries.filter(({ fields }) => (fields as { event?: string }).event === 'incident')).toHaveLength(
      1,
    );
  });

  test('a script gets 401 with a code; the login route stays open, and a login from home works again', async () => {
    const prefix = testPrefix();
    const shop = await openShop(prefix);
    await openWorker(prefix);
    const redis = connect();
    await shop.browser(ADDRESS.london).login('bob');
    await until(async () => (await redis.get(keysFor(prefix).baseline('bob'))) !== null);
    const second = shop.browser(ADDRESS.paris);
    await second.login('bob');
    const refused = await until(async () => {
      const page = await second.get('/me', { accept: 'application/json' });
      return page.status === 401 && page;
    });
    expect(refused.json()).toMatchObject({ code: 'session_ended' });
    second.address = ADDRESS.londonElsewhere;
    expect((await second.login('bob')).json()).toMatchObject({ status: 'queued', saved: true });
    await until(async () => (await redis.hget(keysFor(prefix).counters(), 'reason:same_country')) === '1');
    expect(await second.user()).toBe('bob');
  });

  test('the same login reported three times makes one incident', async () => {
    const prefix = testPrefix();
    const shop = await openShop(prefix);
    await openWorker(prefix);
    const redis = connect();
    const base = { userId: 'carol', sessionId: 'x'.repeat(32) };
    await shop.bouncer.reportLogin({ ...base, address: ADDRESS.london, lid: 'A'.repeat(22) });
    await until(async () => (await redis.get(keysFor(prefix).baseline('carol'))) !== null);
    for (let i = 0; i < 3; i++) {
      await shop.bouncer.reportLogin({ ...base, address: ADDRESS.newYork, lid: 'B'.repeat(22) });
    }
    await until(async () => (await redis.hget(keysFor(prefix).counters(), 'logins')) === '4');
    const page = await incidentsOf(redis, prefix).list({}, 10);
    expect(page.incidents).toHaveLength(1);
    expect(await redis.zcard(keysFor(prefix).incidentsByUser('carol'))).toBe(1);
  });
});
