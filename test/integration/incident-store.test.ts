/** The queue of incidents: whatever it is narrowed to, its pages are complete, in order, and never walk anything long. */
import { describe, expect, test } from '@jest/globals';
import type { IncidentQuery } from '../../src/desk-ports.ts';
import type { Incident } from '../../src/domain/incident.ts';
import { ROWS_PER_PAGE } from '../../src/redis/incident-pages.ts';
import { type IncidentStore, redisIncidents } from '../../src/redis/incidents.ts';
import { keysFor } from '../../src/redis/keys.ts';
import { redisRegistryFindings } from '../../src/redis/registry-findings.ts';
import { commandsOn } from '../support/commands.ts';
import { anIncident, FRANCE, locatedAt } from '../support/incidents.ts';
import { connect, testPrefix } from '../support/index.ts';

const DAY_MS = 86_400_000;
const NOW = 1_790_000_000_000;
const BRAZIL = locatedAt('200.200.1.1', '200.200.1.0/24', 'BR', 'UY');

function world() {
  const prefix = testPrefix();
  const keys = keysFor(prefix);
  const redis = connect();
  return { prefix, keys, redis, store: redisIncidents(redis, keys, 30 * DAY_MS) };
}

/** 300 incidents, several in each millisecond, of every sort. */
function mixture(): Incident[] {
  return Array.from({ length: 300 }, (_, i) =>
    anIncident({
      userId: `user-${i % 7}`,
      decidedAtMs: NOW + Math.floor(i / 3),
      action: i % 5 === 0 ? 'flag' : 'revoke',
      ...(i % 10 === 7 ? { mode: 'observe', outcome: 'observed', brake: true } : {}),
      reason: i % 5 === 0 ? 'country_disputed' : 'country_changed',
      sighting: [
        FRANCE,
        BRAZIL,
        { kind: 'unlocatable', why: 'no_data', address: '203.0.113.9', evidence: [] } as const,
      ][i % 3] as Incident['sighting'],
    }),
  );
}

async function all(store: IncidentStore, query: IncidentQuery, limit: number): Promise<string[]> {
  const found: string[] = [];
  for (let cursor: string | null = null, first = true; first || cursor !== null; first = false) {
    const page = await store.list(query, limit, cursor);
    expect(page.incidents.length).toBeLessThanOrEqual(limit);
    found.push(...page.incidents.map(({ id }) => id));
    cursor = page.cursor;
  }
  return found;
}

/** Newest first; those of one millisecond by their case number, downwards. */
function inOrder(incidents: readonly Incident[]): string[] {
  const sorted = [...incidents].sort((a, b) => b.decidedAtMs - a.decidedAtMs || (a.id < b.id ? 1 : -1));
  return sorted.map(({ id }) => id);
}

const QUERIES: readonly (readonly [string, IncidentQuery, (one: Incident) => boolean])[] = [
  ['nothing', {}, () => true],
  ['a status', { status: 'open' }, () => true],
  ['an action', { action: 'flag' }, ({ action }) => action === 'flag'],
  ['a reason', { reason: 'country_changed' }, ({ reason }) => reason === 'country_changed'],
  ['a country, of several', { country: 'UY' }, ({ sighting }) => sighting === BRAZIL],
  ['what the brake held', { brake: true }, ({ brake }) => brake === true],
  ['a user', { userId: 'user-3' }, ({ userId }) => userId === 'user-3'],
  ['an address', { address: FRANCE.address }, ({ sighting }) => sighting === FRANCE],
  ['an address without a country', { address: '203.0.113.9' }, ({ sighting }) => sighting.kind === 'unlocatable'],
  ['a network', { network: '200.200.1.0/24' }, ({ sighting }) => sighting === BRAZIL],
  [
    'the network of an address without a country',
    { network: '203.0.113.0/24' },
    (one) => one.sighting.kind === 'unlocatable',
  ],
  [
    'that, and more',
    { network: '203.0.113.0/24', action: 'flag' },
    (one) => one.sighting.kind === 'unlocatable' && one.action === 'flag',
  ],
  ['a time', { fromMs: NOW + 10, toMs: NOW + 20 }, (one) => one.decidedAtMs >= NOW + 10 && one.decidedAtMs < NOW + 20],
  [
    'several at once',
    { status: 'open', action: 'revoke', country: 'FR', userId: 'user-2', fromMs: NOW + 5, toMs: NOW + 80 },
    (one) =>
      one.action === 'revoke' &&
      one.sighting === FRANCE &&
      one.userId === 'user-2' &&
      one.decidedAtMs >= NOW + 5 &&
      one.decidedAtMs < NOW + 80,
  ],
  ['what there is none of', { country: 'JP', status: 'open' }, () => false],
];

describe('the queue of incidents', () => {
  test('is whole and in order, narrowed to anything, in pages of any size', async () => {
    const { store } = world();
    const incidents = mixture();
    await store.record(incidents);
    for (const [what, query, fits] of QUERIES) {
      const expected = inOrder(incidents.filter(fits));
      for (const limit of [1, 7, 100, 1000]) {
        if (limit === 1 && expected.length > 60) continue;
        expect([what, limit, await all(store, query, limit)]).toEqual([what, limit, expected]);
      }
    }
  });

  test('recording twice changes nothing', async () => {
    const { store } = world();
    const one = anIncident({ decidedAtMs: NOW });
    expect(await store.record([one, one])).toEqual([true, false]);
    expect(await all(store, { network: FRANCE.network }, 10)).toEqual([one.id]);
  });

  test('a cursor goes on from its place while incidents come and are answered', async () => {
    const { store } = world();
    const old = Array.from({ length: 10 }, (_, i) => anIncident({ decidedAtMs: NOW + i }));
    await store.record(old);
    const first = await store.list({ status: 'open' }, 4, null);
    const seen = first.incidents.map(({ id }) => id);
    await store.record([anIncident({ decidedAtMs: NOW + 100 })]);
    // Also the very one that the cursor names is gone from the list now.
    for (const caseId of seen) {
      await store.resolve(caseId, { disposition: 'dismissed', by: 'bob', note: '', atMs: NOW + 200 });
    }
    const rest = await store.list({ status: 'open' }, 100, first.cursor);
    expect([...seen, ...rest.incidents.map(({ id }) => id)]).toEqual(inOrder(old));
    expect((await store.list({ status: 'dismissed' }, 100)).incidents.map(({ id }) => id)).toEqual(seen);
  });

  test('what the registry worker closes moves to the other list', async () => {
    const { store, redis, keys } = world();
    const one = anIncident({ decidedAtMs: NOW, action: 'flag', reason: 'country_disputed' });
    await store.record([one]);
    const finding = { atMs: NOW + 1, evidence: [] } as unknown as Parameters<
      ReturnType<typeof redisRegistryFindings>['write']
    >[1];
    expect(await redisRegistryFindings(redis, keys, 30 * DAY_MS).write(one.id, finding, 'a row')).toBe('closed');
    expect(await all(store, { status: 'open', country: 'FR' }, 10)).toEqual([]);
    expect(await all(store, { status: 'dismissed', country: 'FR' }, 10)).toEqual([one.id]);
  });

  test('a search that fits little looks at a bounded number of rows, and says where to go on', async () => {
    const { store, redis, prefix } = world();
    const many = Array.from({ length: ROWS_PER_PAGE + 500 }, (_, i) =>
      anIncident({ userId: 'bot', decidedAtMs: NOW + i, sighting: i === 0 ? BRAZIL : FRANCE }),
    );
    // Of others, in Brazil: neither list alone tells.
    const others = many.map((_, i) => anIncident({ userId: `o-${i}`, decidedAtMs: NOW + i, sighting: BRAZIL }));
    await store.record([...many, ...others]);
    const commands = await commandsOn(redis, prefix, async () => {
      const page = await store.list({ userId: 'bot', country: 'BR' }, 20, null);
      expect(page.incidents).toEqual([]);
      expect(page.cursor).toMatch(/^\d+\.[0-9A-Z-]+$/);
    });
    expect(commands.filter((name) => name === 'hgetall').length).toBeLessThanOrEqual(ROWS_PER_PAGE);
    expect(commands.filter((name) => /scan|keys|zrange$|smembers/.test(name))).toEqual([]);
    expect(await all(store, { userId: 'bot', country: 'BR' }, 20)).toEqual([many[0]?.id]);
  });

  test('a page of one thing costs four round trips at most, whatever there is', async () => {
    const { store, redis, prefix } = world();
    await store.record(mixture());
    const commands = await commandsOn(redis, prefix, () => store.list({ country: 'FR' }, 20, null));
    expect(commands.filter((name) => name === 'zrevrangebyscore')).toHaveLength(1);
    expect(commands.filter((name) => name === 'hgetall')).toHaveLength(21 + 21);
  });

  test('a cursor from elsewhere is refused with what to do', async () => {
    await expect(world().store.list({}, 10, 'DROP TABLE')).rejects.toMatchObject({ code: 'cursor_invalid' });
  });
});
