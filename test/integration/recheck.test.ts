/** A login that could not be located for want of data is decided once, when there is data. */
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { Queue } from 'bullmq';
import type { LoginEvent } from '../../src/domain/types.ts';
import { encodePayload } from '../../src/queue/job.ts';
import { waitingJobs } from '../../src/queue/waiting-jobs.ts';
import { redisCounters } from '../../src/redis/counters.ts';
import { redisIncidents } from '../../src/redis/incidents.ts';
import { keysFor, LOGIN_QUEUE } from '../../src/redis/keys.ts';
import type { WorkerOptions } from '../../src/worker.ts';
import { captureLog, cleanup, connect, release, testPrefix, until } from '../support/index.ts';
import { writeMmdb } from '../support/mmdb-writer.ts';
import { openWorker } from '../support/worker.ts';

const DAY_MS = 86_400_000;
const GB = '81.2.69.142';
const FR = '90.0.15.20';
const TYPES = ['GeoLite2-Country', 'DBIP-Country-Lite'];

let serial = 0;
function login(userId: string, address: string | null, loginAtMs = Date.now() - 10_000): LoginEvent {
  return { lid: `lid-of-a-login-${++serial}`, handle: 'h'.repeat(43), userId, address, loginAtMs };
}

/** Two databases of different vendors, that old. Replaced in one step, as geoipupdate does. */
function putDatabases(directory: string, ageDays: number): string[] {
  return TYPES.map((databaseType) => {
    const path = join(directory, `${databaseType}.mmdb`);
    const networks = { '81.2.0.0/16': { country_code: 'GB' }, '90.0.0.0/16': { country_code: 'FR' } };
    writeFileSync(`${path}.new`, writeMmdb({ databaseType, builtAtMs: Date.now() - ageDays * DAY_MS, networks }));
    renameSync(`${path}.new`, path);
    return path;
  });
}

async function setup(options: Partial<WorkerOptions> = {}) {
  const prefix = testPrefix();
  const keys = keysFor(prefix);
  const redis = connect();
  release(() => cleanup(prefix));
  const directory = mkdtempSync(join(tmpdir(), 'recheck-'));
  release(() => rmSync(directory, { recursive: true, force: true }));
  const databases = putDatabases(directory, 100);
  const worker = await openWorker(prefix, {
    databases,
    maxDatabaseAgeDays: 10,
    recheckDelaySeconds: 0.2,
    reload: { everyMs: 20, settleMs: 20 },
    ...options,
  });
  const queue = new Queue(LOGIN_QUEUE, { connection: redis, prefix: keys.queuePrefix });
  release(() => queue.close());
  return {
    worker,
    queue,
    directory,
    counters: () => redisCounters(redis, keys).read(),
    incidents: async () => (await redisIncidents(redis, keys, DAY_MS).list({}, 10)).incidents,
    add: (logins: LoginEvent[]) => queue.add('logins', encodePayload(logins), { jobId: `job-${++serial}` }),
  };
}

describe('a login for which there is no data', () => {
  test('waits, is decided once when the data is back, and counts once', async () => {
    const { add, counters, directory, incidents, queue, worker } = await setup();
    await add([login('alice', GB), login('alice', FR), login('bob', '9.9.9.9'), login('eve', null)]);
    expect(await until(async () => (await counters())['recheck:waiting'] !== undefined && counters())).toEqual({
      logins: 4,
      'action:allow': 4,
      'reason:unlocatable': 4,
      'why:stale_data': 2,
      'why:no_data': 1,
      'why:no_address': 1,
      'recheck:waiting': 2,
    });
    expect(await worker.stats()).toEqual(await counters());
    // Between the reload of the first file and that of the second one vendor alone would speak: nothing is certain then.
    await queue.pause();
    await until(async () => (await queue.getActiveCount()) === 0);
    putDatabases(directory, 1);
    await until(() => worker.locator.sources().every(({ ok }) => ok));
    await queue.resume();
    const after = await until(async () => (await counters())['recheck:done'] === 2 && counters(), {
      timeoutMs: 15_000,
    });
    expect(after).toMatchObject({
      logins: 4,
      'action:allow': 4,
      'recheck:waiting': 2,
      'recheck:done': 2,
      'recheck:action:allow': 1,
      'recheck:reason:first_login': 1,
      'recheck:action:revoke': 1,
      'recheck:reason:country_changed': 1,
    });
    expect(after).not.toHaveProperty('action:revoke');
    expect(await incidents()).toMatchObject([
      { userId: 'alice', reason: 'country_changed', rechecked: true, sighting: { candidates: ['FR'] } },
    ]);
  });

  test('one that has data is not rechecked, and its incident says nothing of it', async () => {
    const { add, counters, directory, incidents, worker } = await setup();
    putDatabases(directory, 1);
    await until(() => worker.locator.sources().every(({ ok }) => ok));
    await add([login('alice', GB), login('alice', FR)]);
    const after = await until(async () => (await counters()).logins === 2 && counters());
    expect(Object.keys(after).filter((name) => name.startsWith('recheck'))).toEqual([]);
    expect((await incidents())[0]).not.toHaveProperty('rechecked');
  });
});

test('one whose user is forgotten waits no longer, and is counted as given up; one that waits for a worker is not', async () => {
  const prefix = testPrefix();
  const keys = keysFor(prefix);
  const redis = connect();
  release(() => cleanup(prefix));
  const queue = new Queue(LOGIN_QUEUE, { connection: redis, prefix: keys.queuePrefix });
  release(() => queue.close());
  const counters = redisCounters(redis, keys);
  const names = { queues: [LOGIN_QUEUE], prefix: keys.queuePrefix };
  const jobs = waitingJobs(redis, names, { log: captureLog(), counters });
  const all = [login('alice', GB), login('alice', GB), login('bob', GB)];
  await counters.add('before', new Map([['recheck:waiting', 3]]));
  await queue.add('logins', encodePayload(all, 0, 1), { jobId: 'waits-u1', delay: DAY_MS });
  await queue.add('logins', encodePayload([login('alice', GB)]), { jobId: 'new' });
  expect(await jobs.forget('alice')).toBe(3);
  expect(await counters.read()).toEqual({ 'recheck:waiting': 3, 'recheck:gave_up': 2 });
  expect(await jobs.forget('alice')).toBe(0);
  expect(await jobs.forget('bob')).toBe(1);
  expect(await counters.read()).toEqual({ 'recheck:waiting': 3, 'recheck:gave_up': 3 });
});
