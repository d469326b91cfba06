import { describe, expect, test } from '@jest/globals';
import { Queue } from 'bullmq';
import fc from 'fast-check';
import type { LoginReport } from '../../src/index.ts';
import { redisCounters } from '../../src/redis/counters.ts';
import { keysFor, LOGIN_QUEUE } from '../../src/redis/keys.ts';
import { redisSetAside } from '../../src/redis/set-aside.ts';
import { connect, release, testPrefix, testRedisUrl, until } from '../support/index.ts';
import { ADDRESS, openShop } from '../support/shop.ts';
import { openWorker } from '../support/worker.ts';

/** Marks all generated text, so that its way into a log can be looked for. */
const CANARY = 'cAnArY';
const text = fc
  .oneof(
    fc.string({ unit: 'binary', maxLength: 40 }),
    fc.constantFrom(
      '<script>alert(1)</script>',
      '\u001b[31mred',
      '\u202eevil',
      '=cmd()',
      '8.8.8.8\n',
      'x'.repeat(9000),
    ),
  )
  .map((one) => CANARY + one);
const junk = fc.oneof(
  text,
  fc.constantFrom(null, undefined, '', 0, -1, Number.NaN, true, 1e300),
  fc.array(text, { maxLength: 3 }),
  fc.dictionary(fc.constantFrom('a', '__proto__', 'toString', 'length'), text, { maxKeys: 3 }),
);

const FIELDS = ['lid', 'handle', 'userId', 'address', 'loginAtMs', 'userAgent', 'deviceId'] as const;
const GOOD = {
  lid: 'g'.repeat(22),
  handle: 'h'.repeat(43),
  userId: 'alice',
  address: ADDRESS.london,
  loginAtMs: Date.now(),
  userAgent: 'UA',
  deviceId: 'phone',
};
/** A good login with one to three fields spoilt, or something else altogether. */
const spoilt = fc.oneof(
  { weight: 4, arbitrary: fc.tuple(fc.subarray([...FIELDS], { minLength: 1, maxLength: 3 }), junk).map(spoil) },
  { weight: 1, arbitrary: junk },
);
function spoil([fields, value]: [(typeof FIELDS)[number][], unknown]): unknown {
  return { ...GOOD, ...Object.fromEntries(fields.map((field) => [field, value])) };
}

describe('10,000 malformed events', () => {
  test('through the API: an answer with a code each, no crash, no raw text in a log', async () => {
    const prefix = testPrefix();
    const shop = await openShop(prefix);
    const worker = await openWorker(prefix);
    const redis = connect();
    const reports = fc.sample(spoilt, { numRuns: 5000, seed: 1 });
    const results = await Promise.all(
      reports.map((one) => {
        const report =
          typeof one === 'object' && one !== null ? { ...one, sessionId: Reflect.get(one, 'handle') } : one;
        return shop.bouncer.reportLogin(report as LoginReport);
      }),
    );
    const rejected = results.filter(({ status }) => status === 'rejected');
    const queued = results.filter(({ status }) => status === 'queued' || status === 'pending');
    expect(rejected.length).toBeGreaterThan(1000);
    expect(rejected.length + queued.length).toBe(5000);
    expect(shop.bouncer.stats().rejected).toBe(rejected.length);
    const rejections = shop.log.entries.filter(({ fields }) => Reflect.get(fields, 'code') === 'login_invalid');
    expect(rejections).toHaveLength(rejected.length);
    expect(shop.log.text()).not.toContain(CANARY);
    const counters = redisCounters(redis, keysFor(prefix));
    await until(() => shop.bouncer.stats().waiting === 0);
    // A lid may be spoilt away (then it is a new one) or be the same for many: each job counts each lid once.
    await until(async () => ((await counters.read()).logins ?? 0) > 0);
    expect(worker.log.text()).not.toContain(CANARY);
    expect(worker.isRunning()).toBe(true);
  });

  test('through the queue: each is set aside with a code, the good ones beside it are done', async () => {
    const prefix = testPrefix();
    const keys = keysFor(prefix);
    const redis = connect();
    const queue = new Queue(LOGIN_QUEUE, { connection: connect(testRedisUrl()), prefix: keys.queuePrefix });
    release(() => queue.close());
    // As the queue carries them: JSON makes NaN null, and drops undefined.
    const carried = fc.sample(spoilt, { numRuns: 5000, seed: 2 }).map((one) => JSON.parse(JSON.stringify(one ?? null)));
    const bad: unknown[] = carried.filter((one) => !isValid(one));
    expect(bad.length).toBeGreaterThan(3000);
    const jobs: unknown[] = [];
    for (let i = 0; i < bad.length; i += 25) {
      const good = { ...GOOD, lid: `good-${jobs.length}`.padEnd(22, '_'), userId: `good-${jobs.length}` };
      jobs.push({ v: 1, logins: [...bad.slice(i, i + 25), good] });
    }
    const hopeless = [
      null,
      7,
      'text',
      [],
      {},
      { v: 1 },
      { v: 1, logins: [] },
      { v: 2, logins: [GOOD] },
      { v: 1, logins: {} },
    ];
    await queue.addBulk([...jobs, ...hopeless].map((data) => ({ name: 'logins', data })));
    const worker = await openWorker(prefix);
    const counters = redisCounters(redis, keys);
    const setAside = redisSetAside(redis, keys);
    await until(async () => ((await counters.read()).logins ?? 0) === jobs.length, { timeoutMs: 20_000 });
    await until(async () => (await queue.getJobCountByTypes('failed')) === hopeless.length, { timeoutMs: 10_000 });

    expect(await setAside.count()).toBe(bad.length + hopeless.length);
    const codes = new Set((await setAside.list(1000)).map(({ code }) => code));
    expect([...codes].sort()).toEqual(['malformed_job', 'malformed_login', 'unknown_version']);
    expect(await redis.lrange(keys.setAside(), 0, -1)).toHaveLength(1000); // bounded
    expect((await redis.lrange(keys.setAside(), 0, -1)).join()).not.toContain(CANARY);
    expect(worker.log.text()).not.toContain(CANARY);
    expect((await counters.read())['reason:first_login']).toBe(jobs.length);
    // Nothing is retried for ever. (The last job counts its logins before it ends.)
    await until(async () => (await queue.getJobCountByTypes('waiting', 'active', 'delayed')) === 0);
  });
  test('a job that is done again, its worker having died, is set aside and counted once', async () => {
    const prefix = testPrefix();
    const keys = keysFor(prefix);
    const redis = connect();
    const queue = new Queue(LOGIN_QUEUE, { connection: connect(testRedisUrl()), prefix: keys.queuePrefix });
    release(() => queue.close());
    await queue.add('logins', { v: 1, logins: [GOOD, {}, { ...GOOD, userId: 7 }] }, { attempts: 3 });
    let runs = 0;
    const afterEffect = () => {
      runs += 1;
      if (runs === 1) throw new Error('dies after the malformed ones were noted');
    };
    const worker = await openWorker(prefix, { afterEffect });
    await until(async () => ((await redisCounters(redis, keys).read()).logins ?? 0) === 1, { timeoutMs: 10_000 });
    expect(runs).toBeGreaterThan(1);
    const setAside = redisSetAside(redis, keys);
    expect(await setAside.count()).toBe(2);
    expect((await setAside.list(10)).map(({ index }) => index)).toEqual([2, 1]);
    expect(worker.log.entries.filter(({ fields }) => Reflect.get(fields, 'event') === 'set_aside')).toHaveLength(1);
  });
});

/** What the schema takes; the generator now and then makes a field that is fine. */
function isValid(one: unknown): boolean {
  if (typeof one !== 'object' || one === null || Array.isArray(one)) return false;
  const { lid, handle, userId, address, loginAtMs, userAgent, deviceId } = one as Record<string, unknown>;
  const short = (value: unknown, max: number) =>
    value === undefined || (typeof value === 'string' && value.length <= max);
  return (
    lid === GOOD.lid &&
    handle === GOOD.handle &&
    typeof userId === 'string' &&
    userId.length > 0 &&
    userId.length <= 256 &&
    (address === null || (typeof address === 'string' && address.length <= 64)) &&
    loginAtMs === GOOD.loginAtMs &&
    short(userAgent, 512) &&
    short(deviceId, 128)
  );
}
