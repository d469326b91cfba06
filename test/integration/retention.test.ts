/** What is kept, and how long: with a clock of the test's own. */
import { describe, expect, test } from '@jest/globals';
import type { HistoryEntry } from '../../src/desk-ports.ts';
import { startSweeps } from '../../src/queue/sweeps.ts';
import { redisAudit } from '../../src/redis/audit.ts';
import { openWorkerRedis } from '../../src/redis/connection.ts';
import { redisHistory } from '../../src/redis/history.ts';
import { redisIncidents } from '../../src/redis/incidents.ts';
import { keysFor, SWEEP_QUEUE } from '../../src/redis/keys.ts';
import { redisRetention } from '../../src/redis/retention.ts';
import { commandsOn } from '../support/commands.ts';
import { anIncident, FRANCE } from '../support/incidents.ts';
import { captureLog, connect, release, testPrefix, testRedisUrl, until } from '../support/index.ts';

const DAY_MS = 86_400_000;
const TIMES = { incidentTtlMs: 30 * DAY_MS, visitTtlMs: 10 * DAY_MS, auditTtlMs: 60 * DAY_MS };

function world() {
  const prefix = testPrefix();
  const keys = keysFor(prefix);
  const redis = connect();
  // Recorded by workers that were told to keep them longer: their own time to live is of no help.
  const store = redisIncidents(redis, keys, 365 * DAY_MS);
  const retention = redisRetention(redis, keys, TIMES);
  const now = Date.now();
  const visit = (caseId: string, atMs: number, path: string) =>
    store.visit(caseId, {
      kind: 'refused',
      atMs,
      address: '2.125.160.217',
      userAgent: 'UA "atMs":1',
      method: 'GET',
      path,
    });
  return { prefix, keys, redis, store, retention, now, visit };
}

describe('retention', () => {
  test('incidents go with their visits and every row of them; younger ones stay', async () => {
    const { keys, redis, store, retention, now, visit, prefix } = world();
    const old = [1, 2].map((i) => anIncident({ userId: `old-${i}`, decidedAtMs: now }));
    const young = anIncident({ userId: 'young', decidedAtMs: now + 5 * DAY_MS });
    await store.record([...old, young]);
    await store.resolve(old[0]?.id ?? '', { disposition: 'confirmed', by: 'bob', note: '', atMs: now + 1 });
    await visit(old[0]?.id ?? '', now + 25 * DAY_MS, '/late');
    expect(await retention.expire(now + 30 * DAY_MS)).toMatchObject({ incidents: 0 });
    const commands = await commandsOn(redis, prefix, async () => {
      expect(await retention.expire(now + 30 * DAY_MS + 1)).toMatchObject({ incidents: 2 });
    });
    expect(commands.filter((name) => name === 'scan' || name === 'keys')).toEqual([]);
    expect((await store.list({}, 10)).incidents.map(({ id }) => id)).toEqual([young.id]);
    const left = (await redis.keys(`*${prefix}*`)).sort();
    // The young one's own keys, and what is common: nothing that names an old one's user or case.
    expect(left.filter((key) => /old-|confirmed|visit/.test(key))).toEqual([]);
    for (const key of left.filter((one) => one.includes(':incidents:') && one !== keys.incidentsIndexed())) {
      expect([key, await redis.zrange(key, '0', '-1')]).toEqual([key, [young.id]]);
    }
    expect(left).toContain(keys.incidentsByNetwork(FRANCE.network));
  });

  test('rows of incidents whose record is gone by itself go as well', async () => {
    const { keys, redis, store, retention, now } = world();
    const one = anIncident({ decidedAtMs: now });
    await store.record([one]);
    await redis.del(keys.incident(one.id));
    await retention.expire(now + 31 * DAY_MS);
    for (const key of [keys.incidentsAll(), keys.incidentsByStatus('open'), keys.incidentsByCountry('FR')]) {
      expect([key, await redis.exists(key)]).toEqual([key, 0]);
    }
  });

  test('single visits go at their age, the count stays', async () => {
    const { keys, redis, store, retention, now, visit } = world();
    const one = anIncident({ decidedAtMs: now });
    await store.record([one]);
    for (let i = 0; i < 50; i++) await visit(one.id, now + i, `/${i}`);
    await visit(one.id, now + 5 * DAY_MS, '/newest');
    await visit(one.id, now + 6 * DAY_MS, '/newest of all');
    expect(await retention.expire(now + 10 * DAY_MS + 20)).toMatchObject({ visits: 20 });
    const after = await store.get(one.id);
    expect(after?.visits.map(({ path }) => path).slice(0, 2)).toEqual(['/20', '/21']);
    expect(await retention.expire(now + 16 * DAY_MS)).toMatchObject({ visits: 30 });
    expect((await store.get(one.id))?.visits.map(({ path }) => path)).toEqual(['/newest of all']);
    expect(await retention.expire(now + 16 * DAY_MS + 1)).toMatchObject({ visits: 1 });
    expect(await store.get(one.id)).toMatchObject({ visitCount: 52, visits: [], firstRefusedAtMs: now });
    expect(await redis.exists(keys.visited(), keys.visits(one.id))).toBe(0);
  });

  test('the audit is cut at its age', async () => {
    const { keys, redis, retention, now } = world();
    const audit = redisAudit(redis, keys);
    const entry = {
      atMs: now,
      what: 'end',
      by: 'bob',
      why: 'x',
      userId: 'alice',
      lid: null,
      outcome: 'ended',
    } as const;
    await audit.add([entry]);
    expect(await retention.expire(now + 60 * DAY_MS - 60_000)).toMatchObject({ audit: 0 });
    expect(await audit.list(10)).toHaveLength(1);
    expect(await retention.expire(now + 60 * DAY_MS + 60_000)).toMatchObject({ audit: 1 });
    expect(await audit.list(10)).toEqual([]);
  });

  test("a login drops from its user's history what is older than may be kept", async () => {
    const { keys, redis, now } = world();
    const history = redisHistory(redis, keys, 90 * DAY_MS);
    const login = (lid: string, atMs: number): HistoryEntry => ({
      lid,
      atMs,
      address: null,
      network: null,
      countries: ['GB'],
      action: 'allow',
      reason: 'same_country',
      caseId: null,
    });
    await history.add('alice', [login('first', now - 100 * DAY_MS), login('second', now - 60 * DAY_MS)]);
    await history.add('alice', [login('third', now - 10 * DAY_MS)]);
    expect((await history.list('alice', 10)).map(({ lid }) => lid)).toEqual(['third', 'second', 'first']);
    await history.add('alice', [login('fourth', now)]);
    expect((await history.list('alice', 10)).map(({ lid }) => lid)).toEqual(['fourth', 'third', 'second']);
    expect(await redis.pttl(keys.history('alice'))).toBeGreaterThan(89 * DAY_MS);
  });

  test('incidents of release 0.1 are found by everything after one sweep, and only one does that', async () => {
    const { keys, redis, store, retention, now } = world();
    const old = Array.from({ length: 1200 }, (_, i) => anIncident({ decidedAtMs: now + i }));
    await store.record(old);
    await redis.del(
      keys.incidentsByNetwork(FRANCE.network),
      keys.incidentsByReason('country_changed'),
      keys.incidentsByAction('revoke'),
      keys.incidentsByCountry('FR'),
    );
    expect((await store.list({ country: 'FR' }, 10)).incidents).toEqual([]);
    expect(await retention.expire(now)).toMatchObject({ indexed: 1200 });
    expect(await retention.expire(now)).toMatchObject({ indexed: 0 });
    for (const query of [{ country: 'FR' }, { network: FRANCE.network }, { reason: 'country_changed' } as const]) {
      expect((await store.list(query, 2000)).incidents).toHaveLength(1200);
    }
  });

  test('those whose address has no country are put on the list of its network by the first sweep of this release', async () => {
    const { keys, redis, store, retention, now } = world();
    const sighting = { kind: 'unlocatable', why: 'no_data', address: '198.18.7.9', evidence: [] } as const;
    const old = anIncident({ decidedAtMs: now, sighting });
    await store.record([old]);
    await redis.del(keys.incidentsByNetwork('198.18.7.0/24'));
    // As an earlier release left it, whose workers may still run: it stays theirs.
    const before = keys.incidentsIndexed().replace(/-2$/, '');
    await redis.set(before, 'done');
    expect(await retention.expire(now)).toMatchObject({ indexed: 1 });
    expect((await store.list({ network: '198.18.7.0/24' }, 10)).incidents.map(({ id }) => id)).toEqual([old.id]);
    expect(await redis.get(before)).toBe('done');
    expect(before).not.toBe(keys.incidentsIndexed());
    expect(await retention.expire(now)).toMatchObject({ indexed: 0 });
  });

  test('is part of the sweep', async () => {
    const { keys, store, retention, now } = world();
    await store.record([anIncident({ decidedAtMs: now })]);
    const log = captureLog();
    const redis = openWorkerRedis(testRedisUrl(), log);
    release(() => redis.disconnect());
    const sweeper = { note: async () => {}, sweep: async () => ({ users: 0, removed: 0, more: false }) };
    const how = { sweeper, retention, everyMs: 200, clock: () => now + 31 * DAY_MS, log };
    const sweeps = startSweeps(redis, { queue: SWEEP_QUEUE, prefix: keys.queuePrefix }, how);
    release(() => sweeps.close());
    await until(() => log.entries.some(({ fields }) => (fields as { incidents?: number }).incidents === 1));
    expect((await store.list({}, 10)).incidents).toEqual([]);
  });
});
