/** What is noted of bounced requests is bounded, whoever makes them. */
import { describe, expect, test } from '@jest/globals';
import { momentsOf } from '../../src/console/pages/incident-story.tsx';
import type { Visit } from '../../src/domain/incident.ts';
import { redisSessions } from '../../src/redis/ender.ts';
import { redisIncidents } from '../../src/redis/incidents.ts';
import { keysFor } from '../../src/redis/keys.ts';
import { redisRetention } from '../../src/redis/retention.ts';
import { sessionHandle } from '../../src/web/handle.ts';
import { connect, testPrefix, until } from '../support/index.ts';
import { ADDRESS, openShop } from '../support/shop.ts';

const CASE = 'AAAA-BBBB-CCCC';
const AGES = { incidentTtlMs: 1e13, auditTtlMs: 1e13 };
const INCIDENT = { id: CASE, userId: 'alice', sighting: { kind: 'unlocatable', evidence: [] }, decidedAtMs: 1 };

async function world() {
  const keys = keysFor(testPrefix());
  const redis = connect();
  const incidents = redisIncidents(redis, keys, 1e9);
  await redis.hset(keys.incident(CASE), 'json', JSON.stringify(INCIDENT));
  let nowMs = 1_700_000_000_000;
  const visit = (kind: Visit['kind'], path: string, caseId = CASE) =>
    incidents.visit(caseId, { atMs: ++nowMs, kind, address: null, userAgent: 'UA', method: 'GET', path });
  const kept = async () => {
    const record = await incidents.get(CASE);
    return { count: record?.visitCount, paths: record?.visits.map(({ path }) => path) ?? [] };
  };
  return { keys, redis, incidents, visit, kept };
}

describe('visits', () => {
  test('the first 50 refused requests and the last one are kept, and the count goes on', async () => {
    const { visit, kept, redis, keys } = await world();
    for (let i = 1; i <= 50; i++) expect(await visit('refused', `/${i}`)).toBe('kept');
    expect((await kept()).paths).toHaveLength(50);
    for (let i = 51; i <= 80; i++) expect(await visit('refused', `/${i}`)).toBe('counted');
    const { count, paths } = await kept();
    expect(count).toBe(80);
    expect(paths).toEqual([...Array.from({ length: 50 }, (_, i) => `/${i + 1}`), '/80']);
    expect(await redis.llen(keys.visits(CASE))).toBe(50);
  });

  test('whoever has only the case number takes no place of refused requests, and not the last one', async () => {
    const { visit, kept } = await world();
    for (let i = 1; i <= 200; i++) await visit('gotcha', `/gotcha-${i}`);
    expect((await kept()).paths).toEqual(Array.from({ length: 10 }, (_, i) => `/gotcha-${i + 1}`));
    for (let i = 1; i <= 52; i++) expect(await visit('refused', `/${i}`)).toBe(i <= 50 ? 'kept' : 'counted');
    expect(await visit('gotcha', '/gotcha-once-more')).toBe('counted');
    const { count, paths } = await kept();
    expect(count).toBe(253);
    expect(paths).toHaveLength(61);
    expect(paths.at(-1)).toBe('/52');
    expect(paths).not.toContain('/gotcha-once-more');
  });

  test('when the gotcha page was last seen is known, however often it was', async () => {
    const { visit, incidents, keys, redis } = await world();
    for (let i = 1; i <= 15; i++) await visit('gotcha', `/${i}`);
    const record = await incidents.get(CASE);
    if (record === null) throw new Error('no record');
    const seen = () => momentsOf(record).filter(({ what }) => what.startsWith('Gotcha'));
    const first = record.visits[0]?.atMs ?? 0;
    expect(seen().map(({ what, atMs }) => [what, atMs - first])).toEqual([
      ['Gotcha page first seen', 0],
      ['Gotcha page last seen', 14],
    ]);
    // Goes with the visits, by its own time.
    const prune = (nowMs: number) => redisRetention(redis, keys, { ...AGES, visitTtlMs: 1 }).expire(nowMs);
    await prune(first + 15);
    expect(await incidents.get(CASE)).toMatchObject({ visits: [], lastGotchaAtMs: first + 14 });
    await prune(first + 16);
    expect(await incidents.get(CASE)).not.toHaveProperty('lastGotchaAtMs');
    expect(await redis.zcard(keys.visited())).toBe(0);
  });

  test('a case number that nobody issued creates nothing', async () => {
    const { visit, redis, keys } = await world();
    expect(await visit('gotcha', '/gotcha', 'ZZZZ-ZZZZ-ZZZZ')).toBe('unknown');
    expect(await redis.exists(keys.visits('ZZZZ-ZZZZ-ZZZZ'), keys.visitCounts('ZZZZ-ZZZZ-ZZZZ'))).toBe(0);
  });

  test('user agent and path are cut at 256', async () => {
    const prefix = testPrefix();
    const shop = await openShop(prefix);
    const browser = shop.browser(ADDRESS.lagos);
    const { lid } = (await browser.login('alice')).json();
    const redis = connect();
    const handle = sessionHandle(await browser.sessionId());
    const end = { handle, lid: String(lid), reason: 'country_changed', caseId: CASE, atMs: Date.now() } as const;
    await redisSessions(redis, keysFor(prefix), 1e9).revoke([end]);
    await browser.get(`/${'p'.repeat(1000)}`, { 'user-agent': 'U'.repeat(1000) });
    const text = await until(() => redis.lindex(keysFor(prefix).visits(CASE), 0));
    const seen = JSON.parse(text) as Visit;
    expect([seen.path, seen.userAgent]).toEqual([`/${'p'.repeat(255)}`, 'U'.repeat(256)]);
  });
});
