import { describe, expect, test } from '@jest/globals';
import { Queue, UnrecoverableError } from 'bullmq';
import type { Redis } from 'ioredis';
import type { LoginEvent } from '../../src/domain/types.ts';
import type { LiveHead, Revocation } from '../../src/ports.ts';
import { loginQueue } from '../../src/queue/login-queue.ts';
import { rechecked, recheckQueue, startRechecks } from '../../src/queue/rechecks.ts';
import { RecentRevocations } from '../../src/recheck.ts';
import { redisBaselines } from '../../src/redis/baselines.ts';
import { redisCounters } from '../../src/redis/counters.ts';
import { redisSessions } from '../../src/redis/ender.ts';
import { redisIncidents } from '../../src/redis/incidents.ts';
import { type Keys, keysFor, LOGIN_QUEUE, RECHECK_QUEUE } from '../../src/redis/keys.ts';
import { guardedSessions } from '../../src/redis/sessions.ts';
import {
  captureLog,
  connect,
  privateRedis,
  release,
  spawnNode,
  testPrefix,
  testRedisUrl,
  until,
} from '../support/index.ts';
import { startProxy } from '../support/proxy.ts';
import { ADDRESS } from '../support/shop.ts';
import { openWorker } from '../support/worker.ts';

const DAY_MS = 86_400_000;
/** None is due while a test still counts them. */
const LATE_MS = [1e6, 2e6, 3e6] as const;
let serial = 0;

function login(overrides: Partial<LoginEvent> = {}): LoginEvent {
  serial += 1;
  const lid = `lid-${String(serial).padStart(18, '0')}`;
  const handle = lid.padEnd(43, 'h');
  return { lid, handle, userId: 'alice', address: ADDRESS.lagos, loginAtMs: Date.now() - 1000, ...overrides };
}

interface World {
  readonly url: string;
  readonly redis: Redis;
  readonly prefix: string;
  readonly keys: Keys;
  /** A live session of this login, as the web tier has it. */
  live(login: LoginEvent, where?: Redis): Promise<void>;
  kindOf(login: LoginEvent, where?: Redis): Promise<string>;
  report(jobId: string, logins: readonly LoginEvent[]): Promise<void>;
  recheckJobs(): Promise<{ id: string; delay: number }[]>;
}

async function world(url = testRedisUrl()): Promise<World> {
  const redis = connect(url);
  const prefix = testPrefix();
  const keys = keysFor(prefix);
  const place = { countries: ['GB'], agreed: true, firstSeenMs: Date.now() - DAY_MS, lastSeenMs: Date.now() - DAY_MS };
  const baseline = { v4: { places: [place], networks: [] }, v6: { places: [], networks: [] } };
  await redisBaselines(redis, keys, 1e10, captureLog()).save([{ userId: 'alice', revision: 0, baseline }]);
  const queue = loginQueue(redis, { queue: LOGIN_QUEUE, prefix: keys.queuePrefix }, captureLog());
  release(() => queue.close());
  const rechecks = new Queue(RECHECK_QUEUE, { connection: redis, prefix: keys.queuePrefix, skipMetasUpdate: true });
  rechecks.on('error', () => {}); // a server that a test has ended
  release(() => rechecks.close());
  return {
    url,
    redis,
    prefix,
    keys,
    async live({ lid, handle }, where = redis) {
      const now = Date.now();
      const head = { renewedAtMs: now, endsAtMs: now + DAY_MS, birth: 'b'.repeat(22), lid, movedFrom: '' } as LiveHead;
      await guardedSessions(where, keys).save(handle, true, head, { userId: 'alice' }, DAY_MS);
    },
    async kindOf({ handle }, where = redis) {
      const found = await guardedSessions(where, keys).load(handle);
      return found.kind === 'tombstone' ? found.tombstone.kind : found.kind;
    },
    report: (jobId, logins) => queue.add(jobId, logins),
    async recheckJobs() {
      const jobs = await rechecks.getJobs(['delayed', 'waiting']);
      return jobs.map(({ id = '', opts }) => ({ id, delay: opts.delay ?? 0 })).sort((a, b) => a.delay - b.delay);
    },
  };
}

/** What a failover to a replica that had heard nothing leaves: the session as it was, and no mark. */
async function forget({ redis, keys, live }: World, thief: LoginEvent): Promise<void> {
  await redis.del(keys.session(thief.handle));
  await redis.del(keys.loginEnd(thief.lid));
  await live(thief);
}

const incidentOf = ({ redis, keys }: World, userId = 'alice') => redisIncidents(redis, keys, 1e9).list({ userId }, 10);

describe('scheduling', () => {
  test('a revoke makes three delayed jobs, 5 s, 60 s and 10 min; a batch without one makes none', async () => {
    const w = await world();
    await openWorker(w.prefix);
    await w.report('job-1', [login({ address: ADDRESS.london })]);
    const counters = redisCounters(w.redis, w.keys);
    await until(async () => (await counters.read())['action:allow'] === 1);
    expect(await w.recheckJobs()).toEqual([]);
    const thief = login();
    await w.report('job-2', [thief]);
    await until(async () => (await incidentOf(w)).incidents.length === 1);
    expect(await w.recheckJobs()).toEqual([
      { id: `${thief.lid}-country_changed-0`, delay: 5000 },
      { id: `${thief.lid}-country_changed-1`, delay: 60_000 },
      { id: `${thief.lid}-country_changed-2`, delay: 600_000 },
    ]);
  });

  test('a batch without a revocation costs no command for all this', async () => {
    const server = await privateRedis();
    const w = await world(server.url);
    await openWorker(w.prefix, { redis: server.url });
    const counters = redisCounters(w.redis, w.keys);
    const checked = (count: number) => until(async () => (await counters.read())['action:allow'] === count);
    await w.report('job-1', [login({ address: ADDRESS.london })]); // whatever the workers do once is behind them
    await checked(1);
    const monitor = await connect(server.url).monitor();
    release(() => monitor.disconnect());
    const seen: string[] = [];
    monitor.on('monitor', (_time: string, args: string[]) => seen.push(args.join(' ').slice(0, 500)));
    await w.report('job-2', [login({ address: ADDRESS.londonElsewhere })]);
    await checked(2);
    expect(seen.filter((line) => line.includes('job-2'))).not.toEqual([]);
    const ours = new RegExp(`^(publish|wait|info)\\b|:login-end:|:${RECHECK_QUEUE}:`, 'i');
    expect(seen.filter((line) => ours.test(line))).toEqual([]);
  });

  test('the last of them is told that it is', async () => {
    const w = await world();
    const names = { queue: RECHECK_QUEUE, prefix: w.keys.queuePrefix };
    const log = captureLog();
    const queue = recheckQueue(w.redis, names, [1, 30], log);
    release(() => queue.close());
    const seen: (boolean | undefined)[] = [];
    const work = async ([one]: readonly Revocation[]) => void seen.push(one?.last);
    const consumer = startRechecks(connect(w.url, { maxRetriesPerRequest: null }), names, work, log);
    release(() => consumer.close(true));
    const { lid, handle } = login();
    await queue.schedule([{ lid, handle, reason: 'forced_logout', caseId: 'AAAA-BBBB-CCCC', atMs: Date.now() }]);
    await until(() => seen.length === 2);
    expect(seen).toEqual([undefined, true]);
  });

  test('a repeated login adds no job', async () => {
    const w = await world();
    const queue = recheckQueue(w.redis, { queue: RECHECK_QUEUE, prefix: w.keys.queuePrefix }, [1e6, 2e6], captureLog());
    release(() => queue.close());
    const { lid, handle } = login();
    const one: Revocation = { lid, handle, reason: 'country_changed', caseId: 'AAAA-BBBB-CCCC', atMs: Date.now() };
    await Promise.all([queue.schedule([one]), queue.schedule([one]), queue.schedule([{ ...one, atMs: one.atMs + 1 }])]);
    expect(await w.recheckJobs()).toHaveLength(2);
  });

  test('what one batch ended is one job a step, and every end of it comes; the same batch again adds none', async () => {
    const w = await world();
    const names = { queue: RECHECK_QUEUE, prefix: w.keys.queuePrefix };
    const queue = recheckQueue(w.redis, names, [1, 1e6], captureLog());
    release(() => queue.close());
    const batch = Array.from({ length: 101 }, (): Revocation => {
      const { lid, handle } = login();
      return {
        lid,
        handle,
        reason: 'country_changed',
        caseId: 'AAAA-BBBB-CCCC',
        atMs: Date.now(),
        loginAtMs: Date.now(),
      };
    });
    await Promise.all([queue.schedule(batch), queue.schedule(batch)]);
    expect(await w.recheckJobs()).toHaveLength(2 * 2); // a hundred in one job at most, and two steps
    const seen: Revocation[] = [];
    const work = async (ends: readonly Revocation[]) => void seen.push(...ends);
    const consumer = startRechecks(connect(w.url, { maxRetriesPerRequest: null }), names, work, captureLog());
    release(() => consumer.close(true));
    await until(() => seen.length >= batch.length);
    const byLid = (ends: readonly Revocation[]) => [...ends].sort((a, b) => (a.lid < b.lid ? -1 : 1));
    expect(byLid(seen)).toEqual(byLid(batch));
    expect(await w.recheckJobs()).toHaveLength(2);
  });

  test.each(['revoke', 'schedule'] as const)(
    'a worker killed right after "%s": the job is done again and the re-checks are there, once',
    async (effect) => {
      const w = await world();
      const thief = login();
      await w.live(thief);
      await w.report('job-1', [thief]);
      const killed = spawnNode('test/support/killed-worker.js', [w.url, w.prefix, effect, ...LATE_MS.map(String)]);
      expect((await killed.exited).signal).toBe('SIGKILL');
      expect(await w.kindOf(thief)).toBe('revoked');
      expect((await incidentOf(w)).incidents).toEqual([]);
      expect(await w.recheckJobs()).toHaveLength(effect === 'revoke' ? 0 : 3);
      await openWorker(w.prefix, { lockDurationSeconds: 1, recheckDelaysMs: [...LATE_MS] });
      await until(async () => (await incidentOf(w)).incidents.length === 1, { timeoutMs: 15_000 });
      expect((await w.recheckJobs()).map(({ id }) => id)).toEqual(
        [0, 1, 2].map((step) => `${thief.lid}-country_changed-${step}`),
      );
    },
  );

  test('what the web tier ends is re-checked too, and ends also when that cannot be arranged', async () => {
    const w = await world();
    const log = captureLog();
    const queue = recheckQueue(w.redis, { queue: RECHECK_QUEUE, prefix: w.keys.queuePrefix }, [1e6], log);
    release(() => queue.close());
    const inRedis = redisSessions(w.redis, w.keys, DAY_MS);
    const { lid, handle } = login();
    const one: Revocation = { lid, handle, reason: 'session_reused', caseId: 'AAAA-BBBB-CCCC', atMs: Date.now() };
    await rechecked(inRedis, queue, log).revoke([one]);
    expect(await w.recheckJobs()).toHaveLength(1);
    const away = { schedule: () => Promise.reject(new Error('away')) };
    expect(await rechecked(inRedis, away, log).revoke([one])).toMatchObject([{ outcome: 'not_found' }]);
    expect(log.entries).toMatchObject([{ level: 'warn', fields: { event: 'recheck_unscheduled' } }]);
  });
});

describe('a re-check', () => {
  test('that finds the session live again ends it again, says so loudly, counts it, and tells the web processes', async () => {
    const w = await world();
    // Held until the loss has happened: the first pass comes at once.
    let release_: () => void = () => {};
    const held = new Promise<void>((resolve) => {
      release_ = resolve;
    });
    const thief = login();
    await w.live(thief);
    const worker = await openWorker(w.prefix, {
      recheckDelaysMs: [300],
      afterEffect: async (effect) => {
        if (effect !== 'revoke') return;
        await forget(w, thief);
        release_();
      },
    });
    await w.report('job-1', [thief]);
    await held;
    await until(async () => worker.log.text().includes('revocation_lost'));
    await until(async () => (await w.kindOf(thief)) === 'revoked');
    const { id } = await until(async () => (await incidentOf(w)).incidents[0]);
    const lost = worker.log.entries.filter(({ fields }) => (fields as { event?: string }).event === 'revocation_lost');
    expect(lost).toMatchObject([
      { level: 'error', fields: { case: id, reason: 'country_changed', live: 1, pass: 'recheck' } },
    ]);
    await until(async () => (await redisCounters(w.redis, w.keys).read()).revocation_lost === 1);
    expect(await w.redis.exists(w.keys.loginEnd(thief.lid))).toBe(1);
    expect(worker.log.text()).not.toContain(thief.handle);
  });

  test('that finds all as it should be says nothing, and changes nothing', async () => {
    const w = await world();
    const thief = login();
    await w.live(thief);
    const worker = await openWorker(w.prefix, { recheckDelaysMs: [1, 50, 100] });
    await w.report('job-1', [thief]);
    await until(async () => (await incidentOf(w)).incidents.length === 1);
    const before = [await w.redis.get(w.keys.session(thief.handle)), await w.redis.get(w.keys.loginEnd(thief.lid))];
    await until(async () => (await w.recheckJobs()).length === 0);
    expect([await w.redis.get(w.keys.session(thief.handle)), await w.redis.get(w.keys.loginEnd(thief.lid))]).toEqual(
      before,
    );
    expect(worker.log.text()).not.toContain('revocation_lost');
  });

  test('that failed for good does not keep the next end of the same login from its re-checks', async () => {
    const w = await world();
    const names = { queue: RECHECK_QUEUE, prefix: w.keys.queuePrefix };
    const log = captureLog();
    const queue = recheckQueue(w.redis, names, [1], log);
    release(() => queue.close());
    const seen: number[] = [];
    const work = async (ends: readonly Revocation[]) => {
      seen.push(...ends.map(({ atMs }) => atMs));
      if (seen.length === 1) throw new UnrecoverableError('for good');
    };
    const consumer = startRechecks(connect(w.url, { maxRetriesPerRequest: null }), names, work, log);
    release(() => consumer.close(true));
    const { lid, handle } = login();
    const one: Revocation = { lid, handle, reason: 'forced_logout', caseId: 'AAAA-BBBB-CCCC', atMs: Date.now() };
    await queue.schedule([one]);
    await until(() => log.text().includes('recheck_failed'));
    await queue.schedule([{ ...one, atMs: one.atMs + 1 }]);
    await until(() => seen.length === 2);
    expect(seen).toEqual([one.atMs, one.atMs + 1]);
  });

  test('that cannot be read goes to the failed set, and is logged without its text', async () => {
    const w = await world();
    const worker = await openWorker(w.prefix);
    const queue = new Queue(RECHECK_QUEUE, { connection: w.redis, prefix: w.keys.queuePrefix });
    release(() => queue.close());
    await queue.add('recheck', { v: 1, lid: '<script>' });
    await until(async () => (await queue.getFailedCount()) === 1);
    await until(() => worker.log.text().includes('recheck_failed'));
    expect(worker.log.text()).not.toContain('<script>');
  });
});

test('a failover to a replica that had stopped listening: the worker ends the session again from its memory', async () => {
  const master = await privateRedis({ args: ['--repl-diskless-sync-delay', '0'] });
  const replica = await privateRedis({ args: ['--replicaof', '127.0.0.1', String(master.port)] });
  const w = await world(master.url);
  const proxy = await startProxy(master.port);
  const thief = login();
  await w.live(thief);
  const worker = await openWorker(w.prefix, { redis: proxy.url });
  const other = connect(replica.url);
  await until(async () => (await w.kindOf(thief, other)) === 'live');
  await other.replicaof('NO', 'ONE'); // stale from here on: it never hears of the revocation
  await until(async () => (await w.redis.info('replication')).includes('connected_slaves:0'));
  await w.report('job-1', [thief]);
  await until(async () => (await incidentOf(w)).incidents.length === 1);
  expect([await w.kindOf(thief), await w.kindOf(thief, other)]).toEqual(['revoked', 'live']);
  proxy.cut();
  await master.kill();
  proxy.open(replica.port);
  await until(async () => (await w.kindOf(thief, other)) === 'revoked', { timeoutMs: 10_000 });
  expect(await other.exists(w.keys.loginEnd(thief.lid))).toBe(1);
  const events = worker.log.entries.map(({ fields }) => fields as { event?: string; pass?: string });
  expect(events.filter(({ event }) => event === 'redis_changed')).toHaveLength(1);
  expect(events.filter(({ event }) => event === 'revocation_lost')).toMatchObject([{ pass: 'reconnect' }]);
  await until(async () => (await redisCounters(other, w.keys).read()).revocation_lost === 1);
});

test('a connection that comes back to the same server applies nothing again', async () => {
  const server = await privateRedis();
  const w = await world(server.url);
  const proxy = await startProxy(server.port);
  const worker = await openWorker(w.prefix, { redis: proxy.url });
  const thief = login();
  await w.report('job-1', [thief]);
  await until(async () => (await incidentOf(w)).incidents.length === 1);
  proxy.cut();
  proxy.open();
  await w.report('job-2', [login({ userId: 'bob', address: ADDRESS.london })]);
  // A job that is handed to the connection that has just died is found again after BullMQ's own 5 s.
  await until(async () => (await redisCounters(w.redis, w.keys).read())['action:allow'] === 1, { timeoutMs: 15_000 });
  expect(worker.log.text()).not.toContain('redis_changed');
});

test('the memory of recent revocations is bounded in time and number, and keeps the first of each login', async () => {
  let now = 1_700_000_000_000;
  const recent = new RecentRevocations({ clock: () => now, keepMs: 1000, max: 3 });
  const sessions = recent.remembering({ revoke: async (all) => all.map(() => ({ outcome: 'revoked', atMs: now })) });
  const one = (lid: string, atMs = now): Revocation => ({
    lid,
    handle: lid,
    reason: 'country_changed',
    caseId: 'A',
    atMs,
  });
  await sessions.revoke(['a', 'b', 'c', 'd'].map((lid) => one(lid)));
  await sessions.revoke([one('d', now + 5)]);
  const again: Revocation[] = [];
  const deps = {
    sessions: {
      revoke: async (all: readonly Revocation[]) => {
        again.push(...all);
        return all.map(() => ({ outcome: 'revoked' as const, atMs: now }));
      },
    },
    standing: { look: async (all: readonly Revocation[]) => all.map(() => ({ mark: true, live: 0 })) },
    counters: { add: async () => {}, read: async () => ({}) },
    log: captureLog(),
  };
  await recent.reapply('reconnect:x', deps);
  expect(again).toMatchObject(['b', 'c', 'd'].map((lid) => ({ lid, atMs: now })));
  now += 1001;
  expect(recent.size).toBe(0);
});
