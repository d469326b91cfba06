/** The worker as a process: it checks logins, and it ends in good order, by force, or with a reason. */
import { describe, expect, test } from '@jest/globals';
import { Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import type { LoginEvent } from '../../src/domain/types.ts';
import { createBouncer } from '../../src/index.ts';
import { encodePayload } from '../../src/queue/job.ts';
import { redisIncidents } from '../../src/redis/incidents.ts';
import { keysFor, LOGIN_QUEUE } from '../../src/redis/keys.ts';
import {
  captureLog,
  connect,
  privateRedis,
  release,
  type Spawned,
  spawnNode,
  testPrefix,
  testRedisUrl,
  until,
} from '../support/index.ts';

const LONDON = '81.2.69.142';
const LAGOS = '105.112.10.20';

interface Line {
  readonly event?: string;
  readonly [field: string]: unknown;
}

function lines({ stderr }: Spawned): Line[] {
  return stderr.split('\n').flatMap((line) => (line.startsWith('{') ? [JSON.parse(line) as Line] : []));
}

function events(spawned: Spawned): (string | undefined)[] {
  return lines(spawned).map(({ event }) => event);
}

function startWorker(env: Record<string, string>, nodeArgs: readonly string[] = []): Spawned {
  return spawnNode('workers/login.js', [], { REDIS_URL: testRedisUrl(), ...env }, { nodeArgs });
}

/** Runs in the worker before anything else. */
function injected(code: string): string[] {
  return ['--import', `data:text/javascript,${encodeURIComponent(code)}`];
}

async function started(spawned: Spawned): Promise<Spawned> {
  await spawned.waitFor(/"event":"worker_started"/);
  return spawned;
}

function openQueue(redis: Redis, prefix: string): Queue {
  const queue = new Queue(LOGIN_QUEUE, { connection: redis, prefix: keysFor(prefix).queuePrefix });
  release(() => queue.close());
  return queue;
}

function loginOf(user: number, address: string): LoginEvent {
  const lid = `lid-${user}-of-${address.replaceAll('.', '-')}`;
  return { lid, handle: 'h'.repeat(43), userId: `user-${user}`, address, loginAtMs: Date.now() };
}

/**
 * A worker with a job in hand that cannot go on: its Redis takes no more writes for a while. The job is large, so that
 * there is time to stop it in the middle; one that was done before we could is followed by another.
 */
async function stuckInAJob(pauseMs: number, env: Record<string, string> = {}) {
  const server = await privateRedis();
  const redis = connect(server.url);
  const prefix = testPrefix();
  const queue = openQueue(redis, prefix);
  const worker = await started(startWorker({ REDIS_URL: server.url, SESSION_BOUNCER_PREFIX: prefix, ...env }));
  const logins = Array.from({ length: 5000 }, (_, user) => loginOf(user, LONDON));
  // Not the queue's own counts: those are scripts, and wait for the pause to end.
  const active = () => redis.llen(queue.toKey('active'));
  const done = () => redis.zcard(queue.toKey('completed'));
  let jobs = 0;
  await until(
    async () => {
      if ((await done()) === jobs) {
        await queue.add('logins', encodePayload(logins));
        jobs += 1;
      }
      if ((await active()) === 0) return false;
      await redis.client('PAUSE', pauseMs, 'WRITE');
      if ((await active()) === 1) return true;
      await redis.client('UNPAUSE');
      return false;
    },
    { everyMs: 1 },
  );
  return { redis, queue, worker, active, jobs };
}

describe('a worker process', () => {
  test('checks logins; on SIGTERM it ends with 0, by itself', async () => {
    const prefix = testPrefix();
    const worker = startWorker({ SESSION_BOUNCER_PREFIX: prefix, SESSION_BOUNCER_MODE: 'observe' });
    const bouncer = createBouncer({ redis: testRedisUrl(), prefix, log: captureLog() });
    release(() => bouncer.close());
    const incidents = redisIncidents(connect(), keysFor(prefix), 60_000);
    const report = (address: string) => bouncer.reportLogin({ sessionId: 'a session id', userId: 'alice', address });
    await report(LONDON);
    await report(LAGOS);
    const [incident] = await until(async () => {
      const page = await incidents.list({ userId: 'alice' }, 10);
      return page.incidents.length > 0 && page.incidents;
    });
    expect(incident).toMatchObject({ reason: 'country_changed', mode: 'observe', outcome: 'observed' });
    await worker.waitFor(/"event":"incident"/);
    expect(await worker.kill()).toEqual({ code: 0, signal: null });
    expect(events(worker).slice(-2)).toEqual(['draining', 'worker_stopped']);
  });

  test('SIGTERM: the job in hand is finished first', async () => {
    const { worker, queue, redis, jobs } = await stuckInAJob(1500);
    worker.child.kill('SIGTERM');
    await worker.waitFor(/"event":"draining"/);
    expect(await worker.exited).toEqual({ code: 0, signal: null });
    expect(await queue.getJobCounts('active', 'waiting', 'completed', 'failed')).toEqual({
      active: 0,
      waiting: 0,
      completed: jobs,
      failed: 0,
    });
    expect(await redis.dbsize()).toBeGreaterThan(5000);
  });

  test('a second signal ends it at once, and leaves the job to another worker', async () => {
    const { worker, active } = await stuckInAJob(30_000);
    worker.child.kill('SIGTERM');
    await worker.waitFor(/"event":"draining"/);
    const startedMs = Date.now();
    expect(await worker.kill('SIGINT')).toEqual({ code: 1, signal: null });
    // The job itself would take thirty seconds, its end by force fifteen.
    expect(Date.now() - startedMs).toBeLessThan(10_000);
    expect(events(worker).at(-1)).toBe('forced');
    expect(await active()).toBe(1);
  });

  test('does not drain for longer than it may', async () => {
    const { worker } = await stuckInAJob(30_000, { SESSION_BOUNCER_SHUTDOWN_TIMEOUT_SECONDS: '1' });
    expect(await worker.kill()).toEqual({ code: 1, signal: null });
    expect(lines(worker).at(-1)).toMatchObject({ event: 'drain_timeout', seconds: 1 });
  });

  test('waits for a Redis that is away, and can be stopped meanwhile', async () => {
    // A port that no other test is given meanwhile.
    const url = 'redis://:sekret@127.0.0.1:1';
    const worker = await started(startWorker({ REDIS_URL: url, SESSION_BOUNCER_SHUTDOWN_TIMEOUT_SECONDS: '1' }));
    await worker.waitFor(/"event":"redis_unavailable"/);
    const { code } = await worker.kill();
    expect([0, 1]).toContain(code);
    expect(worker.output).not.toContain('sekret');
  });

  test.each([
    ['an uncaught exception', 'throw new TypeError("sekret\\n    at sekret")', 'uncaught_exception'],
    ['an unhandled rejection', 'Promise.reject(new TypeError("sekret"))', 'unhandled_rejection'],
  ])('%s: drains, ends with 1, and does not repeat its text', async (_, code, event) => {
    const later = injected(`process.once('SIGUSR2', () => { ${code} })`);
    const worker = await started(startWorker({ SESSION_BOUNCER_PREFIX: testPrefix() }, later));
    expect(await worker.kill('SIGUSR2')).toEqual({ code: 1, signal: null });
    expect(events(worker).slice(-3)).toEqual([event, 'draining', 'worker_stopped']);
    expect(lines(worker).find((line) => line.event === event)).toMatchObject({ error: 'TypeError' });
    expect(worker.output).not.toContain('sekret');
  });

  test('tells what kept it open, and ends all the same', async () => {
    const open = injected('setInterval(() => {}, 1e6)');
    const worker = await started(startWorker({ SESSION_BOUNCER_PREFIX: testPrefix() }, open));
    expect(await worker.kill()).toEqual({ code: 1, signal: null });
    expect(lines(worker).at(-1)).toMatchObject({ event: 'failed_to_exit', open: expect.arrayContaining(['Timeout']) });
  });

  test('a signal while it starts: it ends with 0, without having begun', async () => {
    // The last listener that it adds before it opens anything.
    const early = injected(
      'process.on("newListener", (name) => name === "unhandledRejection" && setImmediate(process.kill, process.pid, "SIGTERM"))',
    );
    const worker = startWorker({ SESSION_BOUNCER_PREFIX: testPrefix() }, early);
    expect(await worker.exited).toEqual({ code: 0, signal: null });
    expect(events(worker).slice(-2)).toEqual(['draining', 'worker_stopped']);
  });
});

describe('a worker that cannot start', () => {
  test.each([
    ['config_invalid', { SESSION_BOUNCER_MODE: 'sekret' }, []],
    ['config_invalid', { REDIS_URL: 'sekret:6379' }, []],
    ['config_invalid', {}, ['--modee', 'observe']],
    ['config_unreadable', { SESSION_BOUNCER_CONFIG: '/nowhere/at-all.json' }, []],
  ] as const)('%s, %j %j: one line, exit code 1', async (code, env, args) => {
    const worker = spawnNode('workers/login.js', args, env);
    expect(await worker.exited).toEqual({ code: 1, signal: null });
    expect(worker.output).toMatch(new RegExp(`^${code}: [^\\n]+\\n$`));
    expect(worker.output).not.toContain('sekret');
  });
});

describe('session-bouncer worker', () => {
  test('is the same worker, with flags', async () => {
    const prefix = testPrefix();
    const args = ['worker', '--redis', testRedisUrl(), '--prefix', prefix, '--mode', 'observe'];
    const worker = await started(spawnNode('src/cli/main.js', [...args, '--databases', '/nowhere/none.mmdb']));
    // Two: those that npm ships. What could not be opened does not count.
    const expected = { mode: 'observe', sources: 2 };
    expect(lines(worker).find(({ event }) => event === 'worker_started')).toMatchObject(expected);
    const queue = openQueue(connect(), prefix);
    await until(async () => (await queue.getWorkersCount()) === 1);
    expect(await worker.kill('SIGINT')).toEqual({ code: 0, signal: null });
  });

  test('to import it does nothing', async () => {
    const before = process.eventNames().map((name) => [name, process.listenerCount(name)]);
    await import('../../workers/run-login-worker.ts');
    expect(process.eventNames().map((name) => [name, process.listenerCount(name)])).toEqual(before);
  });
});
