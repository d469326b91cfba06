import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from '@jest/globals';
import type { LoginEvent } from '../../src/domain/types.ts';
import { LOGINS_PER_JOB } from '../../src/queue/job.ts';
import { type AddBatch, Producer } from '../../src/queue/producer.ts';
import { captureLog, until } from '../support/index.ts';

const login = (i: number): LoginEvent => ({
  lid: `l${i}`,
  handle: 'h',
  userId: 'u',
  address: null,
  loginAtMs: 1,
});

/** A queue whose every add waits until the test lets it go. */
function slowQueue() {
  const calls: { id: string; lids: string[]; done: () => void; fail: (error: Error) => void }[] = [];
  const add: AddBatch = (id, logins) =>
    new Promise((done, fail) => void calls.push({ id, lids: logins.map((one) => one.lid), done, fail }));
  return { calls, add };
}

function producer(add: AddBatch, options: { timeoutMs?: number; maxWaiting?: number } = {}) {
  const log = captureLog();
  return { log, it: new Producer({ add, log, timeoutMs: 250, maxWaiting: 1000, ...options }) };
}

describe('group commit', () => {
  test('a lone login goes out at once; those that arrive meanwhile go out together when it returns', async () => {
    const queue = slowQueue();
    // Nobody is to give up waiting, however busy the machine is.
    const { it } = producer(queue.add, { timeoutMs: 60_000 });
    const settled: string[] = [];
    const reports = [0, 1, 2, 3].map((i) => it.report(login(i)).then((status) => settled.push(`l${i}:${status}`)));
    expect(queue.calls.map(({ lids }) => lids)).toEqual([['l0']]);
    queue.calls[0]?.done();
    await until(() => queue.calls.length === 2);
    expect(queue.calls[1]?.lids).toEqual(['l1', 'l2', 'l3']);
    expect(settled).toEqual(['l0:queued']); // each settles when its own batch is queued
    queue.calls[1]?.done();
    await Promise.all(reports);
    expect(settled).toHaveLength(4);
    expect(it.counts()).toEqual({ queued: 4, dropped: 0, waiting: 0 });
  });

  test('a job carries at most 100', async () => {
    const queue = slowQueue();
    const { it } = producer(queue.add);
    for (let i = 0; i < 251; i++) void it.report(login(i));
    for (let i = 0; i < 4; i++) {
      await until(() => queue.calls.length === i + 1);
      queue.calls[i]?.done();
    }
    expect(queue.calls.map(({ lids }) => lids.length)).toEqual([1, LOGINS_PER_JOB, LOGINS_PER_JOB, 50]);
    expect(queue.calls.flatMap(({ lids }) => lids)).toEqual(Array.from({ length: 251 }, (_, i) => `l${i}`));
  });
});

describe('while the queue does not answer', () => {
  test('a report settles as pending after its time', async () => {
    const queue = slowQueue();
    const { it } = producer(queue.add, { timeoutMs: 30 });
    const start = performance.now();
    expect(await it.report(login(1))).toBe('pending');
    expect(performance.now() - start).toBeGreaterThanOrEqual(25);
    queue.calls[0]?.done();
    await until(() => it.counts().queued === 1);
  });

  test('a batch that failed is tried again as it is, under the same id: a lost answer must not queue it twice', async () => {
    const queue = slowQueue();
    const { it } = producer(queue.add);
    const first = it.report(login(1));
    void it.report(login(2));
    queue.calls[0]?.fail(new Error('gone'));
    expect(await first).toBe('pending');
    expect(await it.report(login(3))).toBe('pending'); // known to be away: nobody waits
    it.wake();
    await until(() => queue.calls.length === 2);
    expect(queue.calls[1]).toMatchObject({ id: queue.calls[0]?.id, lids: ['l1'] });
    queue.calls[1]?.done();
    await until(() => queue.calls.length === 3);
    expect(queue.calls[2]?.lids).toEqual(['l2', 'l3']);
    expect(queue.calls[2]?.id).not.toBe(queue.calls[0]?.id);
  });

  test('memory is bounded: the rest is dropped, counted, and logged without a flood', async () => {
    const queue = slowQueue();
    const { it, log } = producer(queue.add, { maxWaiting: 10 });
    const reports = Array.from({ length: 1010 }, (_, i) => it.report(login(i)));
    expect(it.counts()).toMatchObject({ waiting: 10, dropped: 1000 });
    expect((await Promise.all(reports)).filter((status) => status === 'dropped')).toHaveLength(1000);
    expect(log.entries.filter(({ level }) => level === 'error').length).toBeLessThan(15);
  });

  test('close sends what waits, for a bounded time; the rest is dropped and counted', async () => {
    const queue = slowQueue();
    const { it } = producer(queue.add);
    const report = it.report(login(1));
    const closing = it.close(40);
    expect(await it.report(login(2))).toBe('dropped');
    await closing;
    expect(await report).toBe('dropped');
    queue.calls[0]?.done();
    await sleep(5);
    expect(it.counts()).toEqual({ queued: 0, dropped: 2, waiting: 0 });
  });
});
