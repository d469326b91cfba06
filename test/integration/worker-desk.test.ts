import { describe, expect, jest, test } from '@jest/globals';
import type { HistoryEntry, WorkerStatus } from '../../src/desk-ports.ts';
import { DEFAULT_BRAKE } from '../../src/domain/brake.ts';
import type { Locator } from '../../src/ports.ts';
import { queueDepths } from '../../src/queue/depths.ts';
import { loginQueue } from '../../src/queue/login-queue.ts';
import { redisAudit } from '../../src/redis/audit.ts';
import { redisBrake } from '../../src/redis/brake.ts';
import { redisCounters } from '../../src/redis/counters.ts';
import { HISTORY_KEPT, redisHistory } from '../../src/redis/history.ts';
import { keysFor, LOGIN_QUEUE } from '../../src/redis/keys.ts';
import { redisObserved } from '../../src/redis/observed.ts';
import { redisSeries } from '../../src/redis/series.ts';
import { redisWorkers } from '../../src/redis/workers.ts';
import { Releasers } from '../../src/release.ts';
import { openWorkerDesk } from '../../src/worker-desk.ts';
import { captureLog, connect, release, testPrefix, until } from '../support/index.ts';
import { ADDRESS, openShop } from '../support/shop.ts';
import { openWorker } from '../support/worker.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;
const NOON = Date.parse('2026-06-01T12:00:00Z');

function open() {
  const redis = connect();
  const keys = keysFor(testPrefix());
  return { redis, keys };
}

describe('redisSeries', () => {
  test('counts by minute and by hour, each batch once, and leaves empty buckets out', async () => {
    const { redis, keys } = open();
    const series = redisSeries(redis, keys);
    await series.add('a', NOON - 1, { checked: 2 });
    await series.add('b', NOON + 5000, { checked: 3, flagged: 1 });
    await series.add('b', NOON + 5000, { checked: 3, flagged: 1 });
    await series.add('c', NOON + 2 * MINUTE_MS, { revoked: 1 });
    expect(await series.read(NOON - HOUR_MS, NOON + HOUR_MS, 'minute')).toEqual([
      { atMs: NOON - MINUTE_MS, counts: { checked: 2 } },
      { atMs: NOON, counts: { checked: 3, flagged: 1 } },
      { atMs: NOON + 2 * MINUTE_MS, counts: { revoked: 1 } },
    ]);
    expect(await series.read(NOON - DAY_MS, NOON + HOUR_MS, 'hour')).toEqual([
      { atMs: NOON - HOUR_MS, counts: { checked: 2 } },
      { atMs: NOON, counts: { checked: 3, flagged: 1, revoked: 1 } },
    ]);
    expect(await series.read(NOON + MINUTE_MS, NOON + HOUR_MS, 'minute')).toHaveLength(1);
    expect(await series.read(NOON + HOUR_MS, NOON, 'hour')).toEqual([]);
  });

  test('every key of it ends by itself, and the time before is not asked for', async () => {
    const { redis, keys } = open();
    const counters = redisCounters(redis, keys);
    const counts = new Map([['checked', 1]]);
    const countries = new Map([['GB:checked', 1]]);
    await counters.add('a', new Map([['logins', 1]]), { atMs: NOON, counts, countries });
    const found = await redis.keys(`{${keys.prefix}}:series:*`);
    expect(found).toHaveLength(3);
    for (const key of found) expect(await redis.pttl(key)).toBeGreaterThan(DAY_MS);
    expect(await redisSeries(redis, keys).read(0, NOON, 'hour')).toHaveLength(1);
  });

  test('totals and counts of a batch that is done again count once, together', async () => {
    const { redis, keys } = open();
    const counters = redisCounters(redis, keys);
    const tally = {
      atMs: NOON,
      counts: new Map([['checked', 2]]),
      countries: new Map([
        ['GB:checked', 2],
        ['GB:revoked', 1],
        ['FR:checked', 9],
        ['FR:would_revoke', 1],
      ]),
    };
    await Promise.all([1, 2, 3].map(() => counters.add('job', new Map([['logins', 2]]), tally)));
    expect(await counters.read()).toEqual({ logins: 2 });
    expect(await redisSeries(redis, keys).countries(NOON - DAY_MS, NOON)).toMatchObject([
      { country: 'FR', checked: 9, flagged: 0, revoked: 0 },
      { country: 'GB', checked: 2, flagged: 0, revoked: 1 },
    ]);
  });
});

describe('redisObserved', () => {
  test('sessions and users of the period', async () => {
    const { redis, keys } = open();
    const observed = redisObserved(redis, keys);
    const series = redisSeries(redis, keys);
    expect(await observed.read(NOON - DAY_MS, NOON)).toBeNull();
    await series.add('a', NOON, { would_revoke: 3 });
    await series.add('b', NOON - HOUR_MS, { would_revoke: 2 });
    await observed.add(['a', 'b'], NOON);
    await observed.add(['b'], NOON - HOUR_MS);
    expect(await observed.read(NOON - DAY_MS, NOON)).toEqual({ sessions: 5, users: 2 });
    expect(await observed.read(NOON - DAY_MS, NOON - HOUR_MS)).toEqual({ sessions: 2, users: 1 });
  });
});

describe('redisHistory', () => {
  const entry = (i: number, more: Partial<HistoryEntry> = {}): HistoryEntry => ({
    lid: `lid-${i}`,
    atMs: NOON + i,
    address: '81.2.69.142',
    network: '81.2.69.0/24',
    countries: ['GB'],
    action: 'allow',
    reason: 'same_country',
    caseId: null,
    ...more,
  });

  test('the newest first, bounded, each login once', async () => {
    const { redis, keys } = open();
    const history = redisHistory(redis, keys, DAY_MS);
    const odd = entry(0, { countries: [], address: null, network: null, reason: 'unlocatable' });
    const full = entry(1, {
      deviceId: 'd "1"',
      userAgent: '"],<b>\u202e',
      caseId: 'CASE',
      action: 'flag',
      reason: 'country_disputed',
    });
    await history.add('alice', [odd, full]);
    await history.add('alice', [{ ...full, reason: 'country_changed' }]);
    expect(await history.list('alice', 10)).toEqual([{ ...full, reason: 'country_changed' }, odd]);
    expect(await history.list('bob', 10)).toEqual([]);
    const many = Array.from({ length: 150 }, (_, i) => ({ ...entry(10 + i), userId: 'alice' }));
    await history.addAll(many, false);
    const kept = await history.list('alice', 1000);
    expect(kept).toHaveLength(HISTORY_KEPT);
    expect([kept[0]?.lid, kept.at(-1)?.lid]).toEqual(['lid-159', 'lid-60']);
    expect(await history.list('alice', 2)).toHaveLength(2);
    expect(await redis.pttl(keys.history('alice'))).toBeGreaterThan(0);
  });

  test('long text from outside is cut', async () => {
    const { redis, keys } = open();
    const history = redisHistory(redis, keys, DAY_MS);
    await history.add('alice', [entry(1, { userAgent: 'x'.repeat(10_000) })]);
    expect((await history.list('alice', 1))[0]?.userAgent).toHaveLength(200);
  });
});

describe('redisWorkers', () => {
  const status = (id: string, seenAtMs: number): WorkerStatus => ({
    id,
    host: 'h',
    pid: 1,
    version: '0',
    mode: 'enforce',
    startedAtMs: NOON,
    seenAtMs,
    sources: [],
  });

  test('who has not been heard of is left out, and removed behind it', async () => {
    const { redis, keys } = open();
    const workers = redisWorkers(redis, keys);
    await workers.say(status('a', NOON - MINUTE_MS));
    await workers.say(status('b', NOON - 1000));
    await workers.say(status('c', NOON));
    await workers.leave('c');
    expect((await workers.list(NOON)).map(({ id }) => id)).toEqual(['b']);
    await until(async () => (await redis.hlen(keys.workers())) === 1);
  });
});

test('queueDepths: what waits, and for how long', async () => {
  const { redis, keys } = open();
  const queue = loginQueue(redis, { queue: LOGIN_QUEUE, prefix: keys.queuePrefix }, captureLog());
  release(() => queue.close());
  const login = { lid: 'l'.repeat(22), handle: 'h'.repeat(43), userId: 'u', address: null, loginAtMs: NOON };
  await queue.add('a', [login]);
  await queue.add('b', [login]);
  const depths = await until(async () => {
    const found = await queueDepths(redis, keys)();
    return (found[0]?.lagMs ?? 0) > 20 && found;
  });
  expect(depths.map(({ name }) => name)).toEqual([...keys.queues]);
  expect(depths[0]).toMatchObject({ name: LOGIN_QUEUE, waiting: 2, active: 0, delayed: 0, failed: 0 });
  expect(depths[1]).toMatchObject({ waiting: 0, lagMs: null });
});

describe('a worker', () => {
  test('is on the list while it runs, with its sources; and leaves', async () => {
    const prefix = testPrefix();
    const workers = redisWorkers(connect(), keysFor(prefix));
    const worker = await openWorker(prefix, { mode: 'observe' });
    const [status] = await until(async () => {
      const list = await workers.list(Date.now());
      return list.length === 1 && list;
    });
    expect(status).toMatchObject({
      pid: process.pid,
      mode: 'observe',
      version: expect.stringMatching(/^\d+\.\d+\.\d+/),
    });
    expect(status?.sources).toHaveLength(worker.locator.sources().length);
    expect(await redisBrake(connect(), keysFor(prefix)).state()).toEqual({ kind: 'off' });
    await worker.close();
    expect(await workers.list(Date.now())).toEqual([]);
  });

  test.each(['enforce', 'observe'] as const)(
    'in %s mode counts over time, and keeps the history of each user',
    async (mode) => {
      const prefix = testPrefix();
      const keys = keysFor(prefix);
      const redis = connect();
      const shop = await openShop(prefix);
      await openWorker(prefix, { mode });
      const counters = redisCounters(redis, keys);
      for (const [i, address] of [ADDRESS.london, ADDRESS.lagos, '10.1.2.3'].entries()) {
        await shop.browser(address).login('alice');
        await until(async () => (await counters.read()).logins === i + 1);
      }
      const now = Date.now();
      const done = mode === 'enforce' ? 'revoked' : 'would_revoke';
      const series = redisSeries(redis, keys);
      const points = await series.read(now - HOUR_MS, now, 'hour');
      const sum = (name: string) => points.reduce((all, { counts }) => all + (counts[name] ?? 0), 0);
      expect([sum('checked'), sum(done), sum('suspect'), sum('unchecked')]).toEqual([2, 1, 1, 1]);
      expect(await series.countries(now - HOUR_MS, now)).toMatchObject([
        { country: 'GB', checked: 1, flagged: 0, revoked: 0 },
        { country: 'NG', checked: 1, flagged: 0, revoked: mode === 'enforce' ? 1 : 0 },
      ]);
      expect(await redisObserved(redis, keys).read(now - HOUR_MS, now)).toEqual(
        mode === 'enforce' ? null : { sessions: 1, users: 1 },
      );
      const history = await until(async () => {
        const list = await redisHistory(redis, keys, DAY_MS).list('alice', 10);
        return list.length === 3 && list;
      });
      expect(history.map(({ action, reason, countries }) => [action, reason, ...countries])).toEqual([
        ['allow', 'special_address'],
        ['revoke', 'country_changed', 'NG'],
        ['allow', 'first_login', 'GB'],
      ]);
      expect(history[1]).toMatchObject({ caseId: expect.stringMatching(/^[0-9A-Z-]{14}$/), address: ADDRESS.lagos });
    },
  );

  test('whose brake may let go by itself does so when the share has been normal for long enough', async () => {
    const prefix = testPrefix();
    const keys = keysFor(prefix);
    const redis = connect();
    const brake = redisBrake(redis, keys);
    const policy = { windowMs: 1000, share: 0.01, minLogins: 1, surge: 20, resetAfterMs: 1000 };
    const longAgo = Date.now() - HOUR_MS;
    expect((await brake.ask([{ lid: 'a', userId: 'alice' }], 1, longAgo, policy)).isNew).toBe(true);
    const worker = await openWorker(prefix, { brake: policy });
    await until(async () => (await brake.state()).kind === 'enforcing');
    expect(await brake.lastTrip()).toMatchObject({ atMs: longAgo });
    const audit = await until(async () => {
      const entries = await redisAudit(redis, keys).list(10);
      return entries.length === 2 && entries;
    });
    expect(audit).toMatchObject([
      { what: 'brake_reset', by: 'brake', outcome: 'enforcing' },
      { what: 'brake_trip', by: 'brake', outcome: 'observing' },
    ]);
    expect(worker.log.text()).toContain('brake_reset');
  });

  test('tells of a trip that whoever tripped it died over; once it is told, nobody does again', async () => {
    const prefix = testPrefix();
    const keys = keysFor(prefix);
    const redis = connect();
    const brake = redisBrake(redis, keys);
    const policy = { ...DEFAULT_BRAKE, minLogins: 1 };
    const { trip } = await brake.ask([{ lid: 'a', userId: 'alice' }], 1, Date.now() - MINUTE_MS, policy);
    const told: unknown[] = [];
    let isDeaf = true;
    const onBrakeTrip = (one: unknown) => {
      if (isDeaf) throw new Error('away');
      told.push(one);
    };
    const first = await openWorker(prefix, { brake: policy, onBrakeTrip });
    await until(() => first.log.text().includes('brake_untold'));
    await first.close();
    isDeaf = false;
    await openWorker(prefix, { brake: policy, onBrakeTrip });
    await until(() => told.length === 1);
    expect(told).toEqual([trip]);
    if (trip === null) throw new Error('not tripped');
    await until(async () => (await brake.told(trip)).size === 3);
    const third = await openWorker(prefix, { brake: policy, onBrakeTrip });
    await until(async () => (await redisWorkers(redis, keys).list(Date.now())).length === 2);
    await third.close();
    expect(told).toHaveLength(1);
    expect((await redisAudit(redis, keys).list(10)).map(({ what }) => what)).toEqual(['brake_trip']);
    expect((await redisCounters(redis, keys).read())['brake:trips']).toBe(1);
  });

  test('whose clock is wrong neither ends the window of the others nor begins a new one', async () => {
    const prefix = testPrefix();
    const redis = connect();
    const keys = keysFor(prefix);
    const log = captureLog();
    const releasers = new Releasers(log);
    release(() => releasers.run());
    const locator: Locator = {
      locate: () => ({ kind: 'unlocatable', why: 'no_data', address: null, evidence: [] }),
      sources: () => [],
    };
    const wrong = jest.spyOn(Date, 'now').mockImplementation(() => performance.timeOrigin + performance.now() + DAY_MS);
    try {
      const desk = openWorkerDesk(redis, keys, {
        ...{ mode: 'enforce', brake: { ...DEFAULT_BRAKE, minLogins: 20 }, historyTtlMs: DAY_MS, clock: Date.now },
        ages: { baselineTtlMs: DAY_MS, tombstoneTtlMs: DAY_MS },
        ...{ locator, counters: redisCounters(redis, keys), log, releasers },
      });
      const ask = (lid: string) => desk.brake?.ask([{ lid, userId: lid }], 1);
      expect(await ask('a')).toEqual([true]);
      expect(await ask('b')).toEqual([false]);
    } finally {
      wrong.mockRestore();
    }
    const state = await redisBrake(redis, keys).state();
    const [seconds] = await redis.time();
    if (state.kind !== 'tripped') throw new Error('not tripped');
    expect(Math.abs(state.trip.atMs / 1000 - Number(seconds))).toBeLessThan(60);
  });
});
