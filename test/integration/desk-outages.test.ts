/** What an unreadable key, a process that dies, or an act about oneself does to the desk. */
import { describe, expect, test } from '@jest/globals';
import { openDesk } from '../../src/desk.ts';
import { USER } from '../../src/domain/incident.ts';
import { recheckQueue } from '../../src/queue/rechecks.ts';
import { redisAges } from '../../src/redis/ages.ts';
import { redisIncidents } from '../../src/redis/incidents.ts';
import { keysFor, RECHECK_QUEUE } from '../../src/redis/keys.ts';
import { redisRegistry } from '../../src/redis/registry.ts';
import { loginId, sessionHandle } from '../../src/web/handle.ts';
import { openRoom } from '../support/console.ts';
import { Hooks, hookUp } from '../support/hooked-redis.ts';
import { anIncident } from '../support/incidents.ts';
import { captureLog, cleanup, connect, release, testPrefix } from '../support/index.ts';

const ADMIN = { by: 'ann', role: 'admin' } as const;
const DAY_MS = 86_400_000;

function world() {
  const prefix = testPrefix();
  release(() => cleanup(prefix));
  const redis = connect();
  const keys = keysFor(prefix);
  const log = captureLog();
  const hooks = new Hooks();
  const desk = openDesk({ redis: hookUp(connect(), hooks), keys, clock: Date.now, log });
  release(() => desk.close());
  const registry = redisRegistry(redis, keys);
  const login = async (name = 's') => {
    const one = { lid: loginId('alice'), handle: sessionHandle(name), userId: 'alice', address: '81.2.69.142' };
    await registry.add({ ...one, loginAtMs: Date.now() - 1000 }, Date.now(), Date.now() + DAY_MS);
    return one;
  };
  return { redis, keys, log, hooks, desk, login, incidents: redisIncidents(redis, keys, 1e10) };
}

describe('how long ends are kept cannot be read', () => {
  test('one login, and all of a user with more than a batch of them, end all the same', async () => {
    const { redis, keys, desk, login } = world();
    await redis.set(keys.ages(), 'not a hash');
    const one = await login();
    await desk.endSession('alice', one.lid, 'stolen', ADMIN);
    expect(await redis.pttl(keys.loginEnd(one.lid))).toBeGreaterThan(29 * DAY_MS);
    const others = await Promise.all(Array.from({ length: 150 }, (_, i) => login(`s${i}`)));
    expect(await desk.endAll('alice', 'stolen', ADMIN)).toMatchObject({ failed: 0 });
    const marks = await Promise.all(others.map(({ lid }) => redis.exists(keys.loginEnd(lid))));
    expect(marks.filter((mark) => mark === 0)).toEqual([]);
  });

  test('what the workers said last goes on to count', async () => {
    const { redis, keys, desk, login } = world();
    await redisAges(redis, keys).say({ baselineTtlMs: 400 * DAY_MS, tombstoneTtlMs: 60 * DAY_MS });
    const [one, two] = [await login('one'), await login('two')];
    await desk.endSession('alice', one.lid, 'stolen', ADMIN);
    await redis.set(keys.ages(), 'not a hash');
    await desk.endSession('alice', two.lid, 'stolen', ADMIN);
    expect(await redis.pttl(keys.loginEnd(two.lid))).toBeGreaterThan(59 * DAY_MS);
  });
});

test('a case that is closed because it is alike has its entry in the audit, also when the process dies right after', async () => {
  const { redis, keys, hooks, desk, incidents } = world();
  const [one, alike] = [anIncident({ decidedAtMs: Date.now() - 1e6 }), anIncident({ decidedAtMs: Date.now() - 1e6 })];
  await incidents.record([one, alike]);
  let isClosed = false;
  const dead = hooks.hold(({ args }) => {
    if (isClosed) return true;
    isClosed = args.some((arg) => arg.includes('the same country as'));
    return false;
  });
  release(() => dead.release());
  desk.answer(one.id, { disposition: 'safe', note: '', giveBack: false }, ADMIN).catch(() => {});
  await dead.reached;
  const other = openDesk({ redis, keys, clock: Date.now, log: captureLog() });
  release(() => other.close());
  expect(await other.incident(alike.id)).toMatchObject({ status: 'safe', resolvedBy: 'ann' });
  expect(await other.actsOn(alike.id)).toMatchObject([{ what: 'answer', by: 'ann', outcome: 'safe' }]);
});

test('who forgets themselves is not named in the audit', async () => {
  const { desk, incidents } = world();
  await incidents.record([anIncident({ decidedAtMs: Date.now() })]);
  await desk.forget('alice', 'asked by alice', { by: 'alice', role: 'admin' });
  const acts = await desk.audit(10);
  expect(acts.filter(({ what }) => what === 'forget_user')).toHaveLength(2);
  expect(JSON.stringify(acts)).not.toContain('alice');
  const [end] = acts;
  expect(end?.by).toBe(end?.userId);
});

test('of an end that is handed over no job of the desk is the last: that is one of the worker', async () => {
  const { redis, keys, log } = world();
  const queue = recheckQueue(redis, { queue: RECHECK_QUEUE, prefix: keys.queuePrefix }, [5000, 600_000], log);
  release(() => queue.close());
  const end = { lid: loginId('alice'), handle: sessionHandle('s'), caseId: 'AAAA-BBBB-CCCC', atMs: Date.now() };
  await queue.schedule([{ ...end, reason: 'forced_logout', handedOver: true }]);
  const ids = ['0', '1', 'php-now'].map((step) => `${end.lid}-forced_logout-${step}`);
  const jobs = await Promise.all(ids.map((id) => redis.hget(`${keys.queuePrefix}:${RECHECK_QUEUE}:${id}`, 'data')));
  expect(jobs.map((data) => JSON.parse(data ?? '{}').lid)).toEqual([end.lid, end.lid, end.lid]);
  expect(jobs.map((data) => JSON.parse(data ?? '{}').last)).toEqual([undefined, undefined, undefined]);
});

test.each([
  ['the link of the user', USER, false],
  ['an analyst', 'bob', true],
])('an answer of %s that was left half done is said; is it offered to complete?', async (_, by, isOffered) => {
  const { desk, incidents } = world();
  const incident = anIncident({ decidedAtMs: Date.now() - DAY_MS });
  await incidents.record([incident]);
  const answer = { disposition: 'confirmed', by, note: '', atMs: Date.now() - 60_000, pending: {} } as const;
  await incidents.resolve(incident.id, answer);
  const html = await (await openRoom({ desk }).get(`/incidents/${incident.id}`)).text();
  expect(html).toContain('may not all be done');
  expect(html.includes('Complete the answer')).toBe(isOffered);
  expect(html.includes('Your answer')).toBe(!isOffered);
});
