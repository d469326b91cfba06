import { beforeAll, describe, expect, test } from '@jest/globals';
import type { Redis } from 'ioredis';
import { redisSessions } from '../../src/redis/ender.ts';
import { redisIncidents } from '../../src/redis/incidents.ts';
import { keysFor } from '../../src/redis/keys.ts';
import { redisLogins } from '../../src/redis/logins.ts';
import { guardedSessions } from '../../src/redis/sessions.ts';
import { redisUndo } from '../../src/redis/undo.ts';
import { SessionEngine } from '../../src/web/engine.ts';
import { randomToken, sessionHandle } from '../../src/web/handle.ts';
import { startCluster, type TestCluster } from '../support/cluster.ts';
import { captureLog, testPrefix, until } from '../support/index.ts';
import { sessionTable } from '../support/session-table.ts';
import { ADDRESS, openShop } from '../support/shop.ts';
import { openWorker } from '../support/worker.ts';

const LONG_MS = 1_000_000;
const LOGINS = 60;

let cluster: TestCluster;
/** A Cluster has all commands that the adapters use. */
let redis: Redis;

beforeAll(async () => {
  cluster = await startCluster();
  redis = cluster.client as unknown as Redis;
}, 30_000);

/** The script of the story, as test/e2e/story.test.ts has it in full. */
async function story(user: string): Promise<void> {
  const prefix = testPrefix();
  const shop = await openShop(prefix, { bouncer: { redis: cluster.client } });
  const worker = await openWorker(prefix, { redis: cluster.client });
  const keys = keysFor(prefix);
  const alice = shop.browser(ADDRESS.london);
  const thief = shop.browser(ADDRESS.lagos);
  await until(async () => (await alice.login(user)).json().status === 'queued');
  await until(async () => (await redis.get(keys.baseline(user))) !== null);
  // Enqueue and save go to different nodes: the worker may be faster than the save, which is then refused.
  await thief.login(user);
  const bounce = await until(async () => {
    const page = await thief.get('/me');
    return page.status === 303 && page;
  });
  expect((await thief.get(bounce.location ?? '')).status).toBe(200);
  expect(await alice.user()).toBe(user);
  const incidents = redisIncidents(redis, keys, 1e9);
  const incident = await until(async () => (await incidents.list({ userId: user }, 10)).incidents[0]);
  // `not_found`: the worker was faster than the save.
  expect(incident).toMatchObject({ reason: 'country_changed' });
  expect(['revoked', 'not_found']).toContain(incident.outcome);
  await until(async () => (await incidents.get(incident.id))?.visitCount === 2);
  await alice.post('/logout');
  expect(await alice.user()).toBeNull();
  await shop.close();
  await worker.close({ force: true });
  const said = shop.log.text() + worker.log.text();
  expect(said).not.toMatch(/CROSSSLOT|redis_unavailable/);
}

describe('on a Redis Cluster of three masters', () => {
  sessionTable(() => redis);

  test('logins whose ids lie on all masters are ended, each with every id it moved to, and given back', async () => {
    const keys = keysFor(testPrefix());
    const engine = engineOn(redis, keys);
    const worker = redisSessions(redis, keys, LONG_MS);
    const ids: string[] = [];
    const newest: string[] = [];
    const logins = await Promise.all(
      Array.from({ length: LOGINS }, async () => {
        const [lid, id] = [randomToken(), randomToken()];
        await engine.save(engine.fresh(id, lid), { cookie: {} }, null);
        ids.push(id);
        let last = id;
        for (let i = 0; i < 2; i++) {
          const opened = await engine.open(last);
          if (opened.kind !== 'live') throw new Error(opened.kind);
          const next = randomToken();
          await engine.save(await engine.move(opened.entry, last, next), { cookie: {}, userId: 'alice' }, null);
          ids.push(next);
          last = next;
        }
        newest.push(last);
        return { lid, handle: sessionHandle(id) };
      }),
    );
    await cluster.everywhere('SCRIPT', 'FLUSH');
    const ends = { reason: 'country_changed', caseId: 'AAAA-BBBB-CCCC', atMs: Date.now() } as const;
    const results = await worker.revoke(logins.map((login) => ({ ...login, ...ends })));
    expect(results.map((one) => (one instanceof Error ? one : one.outcome))).toEqual(Array(LOGINS).fill('revoked'));
    expect(ids).toHaveLength(3 * LOGINS);
    for (const id of ids) expect(await engine.open(id)).toMatchObject({ kind: 'revoked' });
    await cluster.everywhere('SCRIPT', 'FLUSH');
    const undo = redisUndo(redis, keys);
    const lifted = await Promise.all(logins.map((login) => undo.lift({ ...login, atMs: Date.now() })));
    expect(lifted).toEqual(Array(LOGINS).fill('given_back'));
    for (const id of newest) expect(await engine.open(id)).toMatchObject({ kind: 'live' });
  });

  test('the story', () => story('alice'), 30_000);

  test('the story, after SCRIPT FLUSH on every node', async () => {
    await cluster.everywhere('SCRIPT', 'FLUSH');
    await story('bob');
  }, 30_000);

  test('no command named two slots, on any node, in all of this', async () => {
    const stats = (await cluster.everywhere('INFO', 'errorstats')).map(String);
    expect(stats.join('\n')).not.toContain('CROSSSLOT');
    // The look is at the right place: the flushed scripts are there.
    expect(stats.join('\n')).toContain('errorstat_NOSCRIPT');
    const sizes = (await cluster.everywhere('DBSIZE')).map(Number);
    expect(Math.min(...sizes)).toBeGreaterThan(10); // all three took part
  });
});

function engineOn(redis: Redis, keys: ReturnType<typeof keysFor>): SessionEngine {
  return new SessionEngine({
    sessions: guardedSessions(redis, keys),
    logins: redisLogins(redis, keys),
    clock: Date.now,
    log: captureLog(),
    ttlMs: LONG_MS,
    absoluteTtlMs: LONG_MS,
    renewAfter: 0.1,
    onRefused: () => {},
    onReused: async () => {},
  });
}
