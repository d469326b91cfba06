import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { type BrakePolicy, DEFAULT_BRAKE, judgeBrake } from '../../src/domain/brake.ts';
import type { LoginEvent } from '../../src/domain/types.ts';
import { loginQueue } from '../../src/queue/login-queue.ts';
import { redisAudit } from '../../src/redis/audit.ts';
import { redisBrake } from '../../src/redis/brake.ts';
import { redisCounters } from '../../src/redis/counters.ts';
import { redisIncidents } from '../../src/redis/incidents.ts';
import { keysFor, LOGIN_QUEUE, userTag } from '../../src/redis/keys.ts';
import { redisObserved } from '../../src/redis/observed.ts';
import { redisSeries } from '../../src/redis/series.ts';
import { guardedSessions } from '../../src/redis/sessions.ts';
import { redisWorkers } from '../../src/redis/workers.ts';
import { random } from '../bench/support/stats.ts';
import { captureLog, connect, release, testPrefix, until } from '../support/index.ts';
import { writeMmdb } from '../support/mmdb-writer.ts';
import { ADDRESS, openShop } from '../support/shop.ts';
import { openWorker } from '../support/worker.ts';

const HOUR_MS = 3_600_000;
/** In the middle of an hour and of a day. */
const NOW = Date.parse('2026-06-01T12:30:30Z');
const POLICY: BrakePolicy = { ...DEFAULT_BRAKE, minLogins: 100, share: 0.1 };

function open() {
  const redis = connect();
  const keys = keysFor(testPrefix());
  return { redis, keys, brake: redisBrake(redis, keys), series: redisSeries(redis, keys) };
}

/** Each of a user of their own. */
const logins = (count: number, name = 'l') => Array.from({ length: count }, (_, i) => login(`${name}-${i}`));
const login = (lid: string, userId = `user of ${lid}`) => ({ lid, userId });

describe('the brake', () => {
  test('grants up to the limit, then trips, and a batch that would pass it is granted nothing', async () => {
    const { brake } = open();
    expect(await brake.ask(logins(6), 6, NOW, POLICY)).toEqual({
      granted: logins(6).map(() => true),
      trip: null,
      isNew: false,
    });
    const tripped = await brake.ask(logins(5, 'm'), 5, NOW + 1000, POLICY);
    expect(tripped).toMatchObject({ isNew: true, trip: { why: 'share', window: { revokes: 11 }, atMs: NOW + 1000 } });
    expect(tripped.granted).toEqual(logins(5).map(() => false));
    expect(await brake.ask([login('n')], 1, NOW + 2000, POLICY)).toMatchObject({ granted: [false], isNew: false });
    expect(await brake.state()).toEqual({ kind: 'tripped', trip: tripped.trip });
    expect(await brake.lastTrip()).toEqual(tripped.trip);
  });

  test('a repeated job is granted what it was, also when the brake has tripped since, and counts once', async () => {
    const { brake } = open();
    for (let i = 0; i < 5; i++) expect((await brake.ask(logins(10), 10, NOW + i, POLICY)).trip).toBeNull();
    await brake.ask([login('one more')], 1, NOW + 10, POLICY);
    const { granted } = await brake.ask([...logins(10), login('one more'), login('another')], 12, NOW + 20, POLICY);
    expect(granted).toEqual([...logins(10).map(() => true), false, false]);
  });

  test('of workers that ask at the same moment no more are granted than the policy says', async () => {
    const { brake } = open();
    const asks = Array.from({ length: 40 }, (_, i) => brake.ask(logins(1 + (i % 3), `job${i}`), 3, NOW, POLICY));
    const answers = await Promise.all(asks);
    const granted = answers.flatMap((answer) => answer.granted).filter(Boolean).length;
    expect(granted).toBeGreaterThan(7);
    expect(granted).toBeLessThanOrEqual(10);
    expect(answers.filter(({ isNew }) => isNew)).toHaveLength(1);
  });

  test('the window slides; a person lets it go and a new one begins', async () => {
    const { brake } = open();
    await brake.ask(logins(10), 10, NOW, POLICY);
    expect((await brake.ask(logins(10, 'later'), 10, NOW + POLICY.windowMs, POLICY)).trip).toBeNull();
    const { trip } = await brake.ask([login('x')], 1, NOW + POLICY.windowMs + 1, POLICY);
    expect(trip).not.toBeNull();
    expect(await brake.reset('ann', NOW + POLICY.windowMs + 2)).toEqual({ kind: 'tripped', trip });
    expect(await brake.reset('ann', NOW + POLICY.windowMs + 3)).toEqual({ kind: 'enforcing' });
    expect(await brake.state()).toEqual({ kind: 'enforcing' });
    expect((await brake.ask([login('x')], 1, NOW + POLICY.windowMs + 4, POLICY)).granted).toEqual([true]);
  });

  test('only the trip that was meant is let go by itself', async () => {
    const { brake } = open();
    const { trip: first } = await brake.ask(logins(11), 11, NOW, POLICY);
    await brake.reset('ann', NOW + 1);
    const { trip: second } = await brake.ask(logins(11), 11, NOW + 2, POLICY);
    if (first === null || second === null) throw new Error('not tripped');
    expect(await brake.release(first, NOW + 3)).toBe(false);
    expect(await Promise.all([brake.release(second, NOW + 3), brake.release(second, NOW + 3)])).toEqual([true, false]);
  });

  test('a user counts once in a window, however often somebody logs in as them', async () => {
    const { brake } = open();
    const asThief = (i: number) => brake.ask([login(`thief-${i}`, 'alice')], 1, NOW + i, POLICY);
    for (let i = 0; i < 30; i++) expect(await asThief(i)).toEqual({ granted: [true], trip: null, isNew: false });
    // Nine users more may lose their sessions; the eleventh trips it, and the thief's are then held too.
    expect((await brake.ask(logins(9), 9, NOW + 30, POLICY)).trip).toBeNull();
    expect(await asThief(31)).toEqual({ granted: [true], trip: null, isNew: false });
    const { trip } = await brake.ask([login('x'), login('x2', 'alice')], 2, NOW + 32, POLICY);
    expect(trip).toMatchObject({ why: 'share', window: { revokes: 11 } });
    expect((await asThief(33)).granted).toEqual([false]);
    expect((await asThief(5)).granted).toEqual([true]);
  });

  test('nor do those logins keep a brake that may let go by itself, nor make a day look bad', async () => {
    const { brake, series } = open();
    for (let i = 0; i < 30; i++) await brake.ask([login(`thief-${i}`, 'alice')], 1, NOW + i * 1000, POLICY);
    const points = await series.read(NOW - HOUR_MS, NOW + HOUR_MS, 'hour');
    expect(points.map(({ counts }) => counts)).toEqual([{ suspect_users: 1 }]);
    await brake.ask([login('thief-31', 'alice')], 1, NOW + POLICY.windowMs + 30_000, POLICY);
    const minutes = await series.read(NOW - HOUR_MS, NOW + HOUR_MS, 'minute');
    expect(minutes.map(({ counts }) => counts.suspect_users)).toEqual([1, 1]);
  });

  test('is off only where no worker that lives has one; a trip stands whatever they are told', async () => {
    const { redis, keys, brake } = open();
    const workers = redisWorkers(redis, keys);
    const say = (id: string, hasBrake: boolean, seenAtMs = NOW) =>
      workers.say({
        ...{ id, host: 'h', pid: 1, version: '0', mode: 'enforce', startedAtMs: NOW, sources: [] },
        ...{ seenAtMs, brake: hasBrake },
      });
    expect(await brake.state()).toEqual({ kind: 'enforcing' });
    await say('gone long ago', true, NOW - HOUR_MS);
    await say('a', false);
    expect(await brake.state()).toEqual({ kind: 'off' });
    await say('b', true);
    expect(await brake.state()).toEqual({ kind: 'enforcing' });
    await workers.leave('b');
    const { trip } = await brake.ask(logins(11), 11, NOW, POLICY);
    expect(await brake.state()).toEqual({ kind: 'tripped', trip });
    expect(await brake.reset('ann', NOW + 1)).toEqual({ kind: 'tripped', trip });
    expect(await brake.state()).toEqual({ kind: 'off' });
  });

  test('asks of hundreds of states say what judgeBrake says', async () => {
    const next = random(7);
    const redis = connect();
    const upTo = (max: number) => Math.floor(next() * max);
    const verdicts = new Set<string | null>();
    for (let i = 0; i < 400; i++) {
      const keys = keysFor(testPrefix());
      const policy: BrakePolicy = {
        windowMs: (1 + upTo(60)) * 60_000,
        share: [0.02, 0.05, 0.3][upTo(3)] ?? 1,
        minLogins: 1 + upTo(200),
        surge: 1 + upTo(20),
        resetAfterMs: null,
      };
      const series = redisSeries(redis, keys);
      const [inWindow, inDay, before, suspects] = [upTo(400), upTo(8000), upTo(12), upTo(60)];
      await series.add('a', NOW, { checked: inWindow });
      await series.add('b', NOW - 20 * HOUR_MS, { checked: inDay, suspect_users: suspects });
      await series.add('c', NOW - 25 * HOUR_MS, { checked: 1e6, suspect_users: 1 });
      if (before > 0)
        await redis.zadd(keys.brakeUsers(), ...logins(before).flatMap(({ userId }) => [NOW - 1000, userTag(userId)]));
      const asked = 1 + upTo(20);
      const checked = asked + upTo(80);
      const { trip } = await redisBrake(redis, keys).ask(logins(asked, 'asked'), checked, NOW, policy);
      const window = { logins: inWindow + checked, revokes: before + asked };
      const day = { logins: inWindow + inDay + checked, revokes: Math.max(window.revokes, suspects + asked) };
      const verdict = judgeBrake(window, day, policy);
      verdicts.add(verdict);
      expect({ i, why: trip?.why ?? null }).toEqual({ i, why: verdict });
      if (trip !== null) expect(trip).toEqual({ atMs: NOW, why: verdict, window, day });
    }
    expect(verdicts).toEqual(new Set([null, 'share', 'surge']));
  }, 30_000);
});

test('one stolen password does not disarm it: whoever logs in again after each bounce is bounced each time', async () => {
  const prefix = testPrefix();
  const redis = connect();
  const keys = keysFor(prefix);
  const shop = await openShop(prefix);
  await openWorker(prefix);
  const decided = (count: number) => until(async () => (await redisCounters(redis, keys).read()).logins === count);
  await shop.browser(ADDRESS.london).login('alice');
  await decided(1);
  const thief = shop.browser(ADDRESS.lagos);
  for (let i = 0; i < 12; i++) {
    await thief.login('alice');
    await decided(i + 2);
    expect(await thief.user()).toBe('status 303');
  }
  expect(await redisBrake(redis, keys).state()).toEqual({ kind: 'enforcing' });
});

/** Every address of one of these is in a /24 of its own. */
const address = (i: number) => `81.${100 + (i >> 8)}.${i & 255}.7`;
const network = (i: number) => `81.${100 + (i >> 8)}.${i & 255}.0/24`;
const USERS = 400;
const SHARE = 0.02;

function database(type: string, builtAtMs: number, moved: (i: number) => boolean): Buffer {
  const rows = Array.from({ length: 4 * USERS }, (_, i): [string, { country: { iso_code: string } }] => [
    network(i),
    { country: { iso_code: moved(i) ? 'FR' : 'GB' } },
  ]);
  return writeMmdb({ databaseType: type, builtAtMs, networks: Object.fromEntries(rows) });
}

describe('a bad database update that moves a tenth of the addresses', () => {
  test('revokes at most the configured number of sessions, over two workers, then observes until it is reset', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'brake-'));
    release(() => rmSync(directory, { recursive: true, force: true }));
    const paths = ['GeoLite2-Country', 'DBIP-Country-Lite'].map((type) => ({
      type,
      path: join(directory, `${type}.mmdb`),
    }));
    const write = (moved: (i: number) => boolean) => {
      for (const { type, path } of paths) {
        writeFileSync(`${path}.new`, database(type, Date.now(), moved));
        renameSync(`${path}.new`, path);
      }
    };
    write(() => false);

    const prefix = testPrefix();
    const keys = keysFor(prefix);
    const redis = connect();
    const sessions = guardedSessions(redis, keys);
    const queue = loginQueue(redis, { queue: LOGIN_QUEUE, prefix: keys.queuePrefix }, captureLog());
    release(() => queue.close());
    const options = {
      databases: paths.map(({ path }) => path),
      reload: { everyMs: 50, settleMs: 50 },
      brake: { minLogins: 100, share: SHARE },
    };
    const workers = await Promise.all([openWorker(prefix, options), openWorker(prefix, options)]);
    const counters = redisCounters(redis, keys);

    const reported: LoginEvent[] = [];
    const report = async (from: number, count: number) => {
      for (let i = from; i < from + count; i++) {
        const lid = `login-${i}`.padEnd(22, '_');
        const login = {
          lid,
          handle: lid.padEnd(43, '0'),
          userId: `user-${i % USERS}`,
          address: address(i),
          loginAtMs: Date.now(),
        };
        const head = { renewedAtMs: Date.now(), endsAtMs: Date.now() + 1e9, birth: 'b'.repeat(22), lid, movedFrom: '' };
        await sessions.save(login.handle, true, head, { cookie: {} }, 1e6);
        reported.push(login);
        await queue.add(`job-${i}`, [login]);
      }
      await until(async () => (await counters.read()).logins === reported.length, { timeoutMs: 20_000 });
    };
    const ended = async () => {
      const loaded = await Promise.all(reported.map(({ handle }) => sessions.load(handle)));
      return loaded.filter(({ kind }) => kind === 'tombstone').length;
    };

    await report(0, USERS);
    expect(await ended()).toBe(0);

    // Every tenth network of those that come now is in another country, say both databases.
    write((i) => i >= USERS && i % 10 === 3);
    const isTaken = (worker: (typeof workers)[number]) =>
      worker.locator.sources().filter(({ reloads = 0 }) => reloads > 0).length === 2;
    await until(() => workers.every(isTaken));
    await report(USERS, 2 * USERS);

    const limit = SHARE * reported.length;
    const endedThen = await ended();
    expect(endedThen).toBeGreaterThan(0);
    expect(endedThen).toBeLessThanOrEqual(limit);
    const brake = redisBrake(redis, keys);
    const state = await brake.state();
    expect(state).toMatchObject({ kind: 'tripped', trip: { why: 'share' } });

    // It goes on deciding and recording, and ends nothing.
    const wrong = (2 * USERS) / 10;
    const { incidents } = await redisIncidents(redis, keys, 1e9).list({}, 1000);
    expect(incidents).toHaveLength(wrong);
    expect(incidents.filter(({ brake: held, mode }) => held === true && mode === 'observe')).toHaveLength(
      wrong - endedThen,
    );
    expect(await counters.read()).toMatchObject({ 'brake:trips': 1, 'brake:held': wrong - endedThen });
    expect(await redisObserved(redis, keys).read(0, Date.now())).toMatchObject({ sessions: wrong - endedThen });
    const [trip] = await redisAudit(redis, keys).list(1);
    expect(trip).toMatchObject({ what: 'brake_trip', by: 'brake', outcome: 'observing' });
    const told = workers.flatMap(({ log }) =>
      log.entries.filter(({ fields }) => 'event' in fields && fields.event === 'brake_tripped'),
    );
    expect(told).toMatchObject([{ level: 'error' }]);

    await brake.reset('ann', Date.now());
    await report(3 * USERS, 20);
    expect(await ended()).toBe(endedThen + 2);
  }, 90_000);
});

test.each([
  [{ share: 0.004 }, true],
  [{}, false],
  [false, false],
] as const)(
  'a worker with the brake %p says at its start whether one theft would trip it: %p',
  async (brake, isSaid) => {
    const { log } = await openWorker(testPrefix(), { brake });
    expect(log.text().includes('brake_trips_at_once')).toBe(isSaid);
  },
);
