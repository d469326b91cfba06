/** "Show what you hold on this user" and "forget this user": against everything that a real login leaves behind. */
import { describe, expect, test } from '@jest/globals';
import { Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import { openDesk } from '../../src/desk.ts';
import type { LoginEvent } from '../../src/domain/types.ts';
import type { AuditEntry } from '../../src/ports.ts';
import { encodePayload } from '../../src/queue/job.ts';
import { redisAudit } from '../../src/redis/audit.ts';
import { redisAuditTrail } from '../../src/redis/audit-trail.ts';
import { keysFor, LOGIN_QUEUE, REGISTRY_QUEUE } from '../../src/redis/keys.ts';
import { loginId, sessionHandle } from '../../src/web/handle.ts';
import { openConsole } from '../support/desk-pages.ts';
import { anIncident, locatedAt } from '../support/incidents.ts';
import { captureLog, connect, privateRedis, release, testPrefix, until } from '../support/index.ts';
import { ADDRESS, openShop } from '../support/shop.ts';
import { openWorker } from '../support/worker.ts';

const USER = 'carla-4711@shop.example';
const BROWSER = 'CarlasOwnBrowser/7.1';
const DEVICE = 'carlas-own-device';
const ADMIN = { by: 'the-admin', role: 'admin' } as const;
const WHY = 'she asked us to';

async function world() {
  const { url } = await privateRedis();
  const redis = connect(url);
  const prefix = testPrefix();
  const keys = keysFor(prefix);
  const log = captureLog();
  const desk = openDesk({ redis, keys, clock: Date.now, log });
  release(() => desk.close());
  return { url, redis, prefix, keys, desk, log };
}

/** Every value of every type at every key, each with its key. */
async function everything(redis: Redis): Promise<[key: string, value: string][]> {
  const found: [string, string][] = [];
  for (const key of await redis.keys('*')) {
    const type = await redis.type(key);
    const read: Record<string, () => Promise<unknown>> = {
      string: () => redis.get(key),
      hash: () => redis.hgetall(key),
      list: () => redis.lrange(key, 0, -1),
      set: () => redis.smembers(key),
      zset: () => redis.zrange(key, '0', '-1', 'WITHSCORES'),
      stream: () => redis.xrange(key, '-', '+'),
    };
    found.push([key, JSON.stringify((await read[type]?.()) ?? `unknown type ${type}`)]);
  }
  return found;
}

function whereIs(words: readonly string[], all: readonly [string, string][]): string[] {
  return all.flatMap(([key, value]) =>
    words.filter((word) => key.includes(word) || value.includes(word)).map((word) => `${word} at ${key}`),
  );
}

function aLogin(userId: string): LoginEvent {
  const from = { address: ADDRESS.londonElsewhere, userAgent: BROWSER, deviceId: DEVICE };
  return { lid: loginId(userId), handle: sessionHandle(userId), userId, loginAtMs: Date.now(), ...from };
}

/** Carla logs in at home; somebody logs in as her from Lagos; analysts and admins do what they do. */
async function carlasLife() {
  const { url, redis, prefix, keys, desk, log } = await world();
  const shop = await openShop(prefix, { bouncer: { redis: url } });
  const worker = await openWorker(prefix, { redis: url });
  const browsers = [ADDRESS.london, ADDRESS.lagos, ADDRESS.londonElsewhere].map((address) => shop.browser(address));
  const ids: string[] = [];
  for (const browser of browsers) {
    await browser.post(`/login?user=${encodeURIComponent(USER)}`, { 'user-agent': BROWSER });
    ids.push(await browser.sessionId());
    await until(async () => (await desk.history(USER, 10)).length === ids.length);
  }
  const theft = await until(async () => (await desk.incidents({ userId: USER }, 10, null)).incidents[0]);
  await browsers[1]?.get('/account', { 'user-agent': BROWSER });
  // Nobody waits for a visit that is noted; and a job that the worker had in hand would stay so.
  await until(async () => (await desk.incident(theft.id))?.visitCount === 1);
  const logins = new Queue(LOGIN_QUEUE, { connection: redis, prefix: keys.queuePrefix });
  await until(async () => (await logins.getActiveCount()) === 0);
  await worker.close({ force: true });
  const [live] = await desk.sessions(USER);
  await desk.endSession(USER, live?.lid ?? '', `called about ${USER}`, ADMIN);
  await desk.addToList({ list: 'allow', kind: 'user', value: USER, why: `${USER} travels`, expiresAtMs: null }, ADMIN);
  await desk.trustNetwork(USER, '86.128.10.0/24', 'her office', ADMIN);
  const asks = new Queue(REGISTRY_QUEUE, { connection: redis, prefix: keys.queuePrefix });
  await logins.add('logins', encodePayload([aLogin(USER), aLogin('somebody-else')]));
  await logins.add('logins', encodePayload([aLogin(USER)]), { delay: 1e6 });
  const ask = { kind: 'unlocatable', login: aLogin(USER), queuedAtMs: 1 };
  await asks.add('asks', { v: 1, asks: [ask], sinceMs: 1, round: 0 }, { delay: 1e6 });
  return { redis, prefix, keys, desk, log, ids, logins, browsers };
}

describe('a forgotten user', () => {
  test('is nowhere in the whole keyspace any more, and her sessions are over', async () => {
    const { redis, keys, desk, ids, logins, browsers } = await carlasLife();
    const words = [
      USER,
      encodeURIComponent(USER),
      BROWSER,
      DEVICE,
      ADDRESS.london,
      ADDRESS.londonElsewhere,
      ADDRESS.lagos,
    ];
    const networks = ['81.2.69.0/24', '86.128.10.0/24', '105.112.10.0/24'];
    const before = whereIs(words, await everything(redis));
    // The test sees what it looks for.
    for (const kind of ['baseline', 'history', 'incident:', 'user-entries', 'audit', 'lists', 'logins:', 'session:']) {
      expect([kind, before.some((place) => place.includes(kind))]).toEqual([kind, true]);
    }
    const { counts, pseudonym } = await desk.forget(USER, `${USER}: ${WHY}`, ADMIN);
    // Somebody else's login is in the same job, from the same office with the same browser: it stays.
    const [job] = await logins.getJobs(['wait'], 0, 10);
    expect(job?.data).toHaveProperty('logins', [expect.objectContaining({ userId: 'somebody-else' })]);
    await job?.remove();
    expect(whereIs([...words, ...networks], await everything(redis))).toEqual([]);
    expect(counts).toMatchObject({ baseline: 1, history: 3, incidents: 1, lists: 1, jobs: expect.any(Number) });
    for (const what of ['sessions', 'visits', 'audit', 'jobs'])
      expect([what, counts[what] ?? 0]).not.toEqual([what, 0]);
    for (const browser of browsers) expect(await browser.user()).not.toBe(USER);
    for (const id of ids) expect(whereIs([id], await everything(redis))).toEqual([]);
    const [incident] = (await desk.incidents({ userId: pseudonym }, 10, null)).incidents;
    expect(incident).toMatchObject({ userId: pseudonym, status: 'dismissed', resolvedBy: 'the-admin', visits: [] });
    expect(incident?.sighting).toEqual({ kind: 'unlocatable', why: 'no_address', address: null, evidence: [] });
    expect((await desk.incidents({ country: 'NG' }, 10, null)).incidents).toEqual([]);
    expect((await desk.incidents({ status: 'open' }, 10, null)).incidents).toEqual([]);
    const [last] = await desk.audit(1);
    expect(last).toMatchObject({
      what: 'forget_user',
      by: 'the-admin',
      userId: pseudonym,
      why: `${pseudonym}: ${WHY}`,
    });
    expect(await redis.exists(keys.auditClaim())).toBe(0);
  });

  test('can be forgotten twice, and by two at once', async () => {
    const { desk } = await carlasLife();
    const results = await Promise.allSettled([desk.forget(USER, WHY, ADMIN), desk.forget(USER, WHY, ADMIN)]);
    const refused = results.flatMap((one) =>
      one.status === 'rejected' ? [(one.reason as { code: string }).code] : [],
    );
    expect(refused.every((code) => code === 'audit_busy')).toBe(true);
    const again = await desk.forget(USER, WHY, ADMIN);
    expect(again.counts).toMatchObject({ baseline: 0, history: 0, incidents: 0, visits: 0, lists: 0, jobs: 0 });
    expect(await desk.holdings(USER)).toMatchObject({ incidents: [], sessions: [], history: [], lists: [], audit: [] });
  });

  test('takes no confirmed thief along: what was seen of him stays, under the pseudonym', async () => {
    const { redis, desk, keys } = await world();
    const thief = locatedAt('105.112.10.20', '105.112.10.0/24', 'NG');
    const { redisIncidents } = await import('../../src/redis/incidents.ts');
    const store = redisIncidents(redis, keys, 1e9);
    const theft = anIncident({ userId: USER, sighting: thief, decidedAtMs: Date.now() });
    const travel = anIncident({ userId: USER, decidedAtMs: Date.now() });
    await store.record([theft, travel]);
    const note = `${USER} says it was not her`;
    await store.resolve(theft.id, { disposition: 'confirmed', by: 'bob', note, atMs: Date.now() });
    await store.resolve(travel.id, { disposition: 'safe', by: 'bob', note, atMs: Date.now() });
    for (const { id } of [theft, travel]) {
      const seen = { address: '105.112.10.20', userAgent: 'UA', method: 'GET', path: '/' };
      await store.visit(id, { atMs: Date.now(), kind: 'refused', ...seen });
    }
    const { counts, pseudonym } = await desk.forget(USER, WHY, ADMIN);
    expect(counts).toMatchObject({ incidents: 2, visits: 1 });
    const kept = await desk.incident(theft.id);
    expect(kept).toMatchObject({
      userId: pseudonym,
      sighting: thief,
      userAgent: 'ThiefBrowser/6.6',
      resolvedBy: 'bob',
    });
    expect(kept).toMatchObject({ status: 'confirmed', note: '', visitCount: 1, baseline: { v4: { networks: [] } } });
    expect(kept?.visits).toHaveLength(1);
    expect((await desk.incidents({ address: '105.112.10.20' }, 10, null)).incidents.map(({ id }) => id)).toEqual([
      theft.id,
    ]);
    expect(await desk.incident(travel.id)).toMatchObject({ status: 'safe', userId: pseudonym, visits: [], note: '' });
    expect(whereIs([USER, theft.lid, theft.handle, travel.lid], await everything(redis))).toEqual([]);
    // Nothing is written of the pseudonym, as if it were a user.
    const refused = { code: 'option_invalid', message: expect.stringContaining('forgotten') };
    await expect(desk.reopen(travel.id, WHY, ADMIN, { forget: true })).rejects.toMatchObject(refused);
    await expect(desk.undo(theft.id, WHY, ADMIN)).rejects.toMatchObject(refused);
    await store.reopen(travel.id, 'safe', Date.now());
    await expect(desk.answer(travel.id, { disposition: 'safe', note: '' }, ADMIN)).rejects.toMatchObject(refused);
    await desk.answer(travel.id, { disposition: 'dismissed', note: '' }, ADMIN);
    expect(await redis.exists(keys.baseline(pseudonym))).toBe(0);
    expect((await openConsole(desk).get(`/incidents/${theft.id}`)).text).toContain('Its user was forgotten');
  });
});

describe('while another user is being forgotten', () => {
  test('nothing is done, the page says so, and afterwards it works; the beginning is in the audit', async () => {
    const { redis, keys, desk } = await world();
    const { redisIncidents } = await import('../../src/redis/incidents.ts');
    const theft = anIncident({ userId: USER, decidedAtMs: Date.now() });
    await redisIncidents(redis, keys, 1e9).record([theft]);
    await desk.note({ what: 'export', by: 'ann', why: '', userId: USER, lid: null, outcome: 'csv' });
    await redis.set(keys.auditClaim(), 'of another', 'PX', 60_000);
    const fields = { why: WHY, confirm: USER };
    const page = await openConsole(desk).post(`/privacy/forget?user=${encodeURIComponent(USER)}`, fields);
    expect([page.status, page.text]).toEqual([409, expect.stringContaining('try again in two minutes')]);
    expect(await desk.incident(theft.id)).toMatchObject({ userId: USER, status: 'open' });
    expect(await redis.get(keys.auditClaim())).toBe('of another');
    expect((await desk.audit(10)).map(({ what }) => what)).toEqual(['export']);
    await redis.del(keys.auditClaim());
    const { pseudonym } = await desk.forget(USER, WHY, ADMIN);
    const acts = await desk.audit(10);
    expect(acts[0]).toMatchObject({ what: 'forget_user', userId: pseudonym, why: WHY });
    expect(acts).toContainEqual(expect.objectContaining({ what: 'forget_user', userId: pseudonym, outcome: 'begun' }));
  });
});

describe('whoever has a word of the audit as their name', () => {
  test('is forgotten without taking from the ended sessions of others what would give them back', async () => {
    const { url, prefix, desk } = await world();
    const shop = await openShop(prefix, { bouncer: { redis: url } });
    await openWorker(prefix, { redis: url });
    await shop.browser(ADDRESS.london).login('bob');
    await until(async () => (await desk.history('bob', 10)).length === 1);
    await shop.browser(ADDRESS.lagos).login('bob');
    const theft = await until(async () => (await desk.incidents({ userId: 'bob' }, 10, null)).incidents[0]);
    await desk.answer(theft.id, { disposition: 'dismissed', note: '' }, ADMIN);
    await desk.forget('dismissed', WHY, ADMIN);
    expect(await desk.undo(theft.id, 'it was bob', ADMIN)).toBe('given_back');
  });
});

describe('the audit of a forgotten user', () => {
  test('keeps its order, its other entries, and what is written meanwhile', async () => {
    const { redis, keys } = await world();
    const audit = redisAudit(redis, keys);
    const trail = redisAuditTrail(redis, keys);
    const entry = (i: number, userId: string) =>
      ({
        atMs: i,
        what: 'end',
        by: 'bob',
        why: `number ${i}`,
        userId,
        lid: loginId(userId),
        outcome: 'ended',
      }) as const;
    const entries = Array.from({ length: 2500 }, (_, i) => entry(i, i % 10 === 0 ? USER : `user-${i}`));
    await audit.add(entries);
    const writing = (async () => {
      for (let i = 2500; i < 2600; i++) await audit.add([entry(i, 'late')]);
    })();
    const [count] = await Promise.all([trail.pseudonymise({ userId: USER, caseIds: [] }, 'forgotten-x'), writing]);
    expect(count).toBe(250);
    const after = (await audit.list(5000)).reverse();
    expect(after.map(({ atMs }) => atMs)).toEqual(Array.from({ length: 2600 }, (_, i) => i));
    expect(after[10]).toEqual({ ...entries[10], userId: 'forgotten-x', lid: 'forgotten-x', why: '(erased)' });
    expect(after[11]).toEqual(entries[11]);
    expect(await trail.about({ userId: USER, caseIds: [] })).toEqual([]);
    expect(await redis.ttl(keys.audit())).toBe(-1);
  });
});

test.each([
  ['1', 'request 4711, user 1', 'request 4711, user P'],
  ['a.b', 'a.b (not axb)', 'P (not axb)'],
  ['用户', '请删除用户的数据', '请删除P的数据'],
  ['carla@shop.example', 'carla@shop.example wrote', 'P wrote'],
  ['$&', 'the user $&', 'the user P'],
])('why a user %j is forgotten names them no more', async (userId, why, kept) => {
  const { desk } = await world();
  const { pseudonym } = await desk.forget(userId, why, ADMIN);
  const [last] = await desk.audit(1);
  expect(last?.why).toBe(kept.replace('P', () => pseudonym));
});

/** A user's id may be any word, also one that the outcomes of others use. */
describe.each(['1', 'safe', 'ended', 'user', 'alike', 'address', 'block', 'a b'])(
  'the audit of a user %j',
  (userId) => {
    const other = 'somebody-else';
    const base = { atMs: 1, by: 'bob', why: 'as ever', lid: null } as const;
    const of = (what: AuditEntry['what'], outcome: string, more: Partial<AuditEntry> = {}): AuditEntry => ({
      ...base,
      what,
      outcome,
      userId: null,
      ...more,
    });
    const theirs = [
      of('end', 'ended', { userId }),
      of('end_all', 'ended', { lid: loginId(userId) }),
      of('answer', 'safe, taught, closed 1 alike, ended 1 others', { userId, caseId: 'AAAA-BBBB-CCCC' }),
      of('undo', 'end lifted; the user must log in again: no PHP session can be given back', { userId }),
      of('list_add', `block user ${userId}`, { userId }),
      // As an earlier release may have written them.
      of('list_add', `block user ${userId}`),
      of('list_remove', `allow device ${userId} telephone`),
      of('trust', 'network 81.2.69.0/24', { userId }),
    ];
    const others = [
      of('answer', 'safe, taught, closed 1 alike, ended 1 others', { userId: other, lid: loginId(other) }),
      of('end', 'ended', { userId: other }),
      of('answer', 'safe', { userId: other, caseId: 'DDDD-EEEE-FFFF' }),
      of('list_add', 'block address 1.2.3.4', { userId: other }),
      of('list_add', 'block user 1 safe ended user alike address a b block', { userId: other }),
      of('list_remove', 'block device somebody-else 1'),
      of('forget_user', `baseline 1, history 1, ${userId} 1`, { userId: 'forgotten-x' }),
    ];

    test('is what is about them, and nothing else is changed', async () => {
      const { redis, keys } = await world();
      const [audit, trail] = [redisAudit(redis, keys), redisAuditTrail(redis, keys)];
      for (const entry of [...theirs, ...others]) await audit.add([entry]);
      const subject = { userId, caseIds: [] };
      expect((await trail.about(subject)).reverse()).toEqual(theirs);
      expect(await trail.pseudonymise(subject, 'forgotten-y')).toBe(theirs.length);
      const after = (await audit.list(100)).reverse();
      expect(after.slice(theirs.length)).toEqual(others);
      const changed = after.slice(0, theirs.length);
      expect(changed.every(({ why }) => why === '(erased)')).toBe(true);
      expect(changed.filter((one) => one.userId === userId || one.lid === theirs[1]?.lid)).toEqual([]);
      const kept = changed.map(({ outcome }) => outcome);
      expect(kept).toEqual([...theirs.slice(0, 4).map(({ outcome }) => outcome), ...Array(4).fill('(erased)')]);
      expect(await trail.about(subject)).toEqual([]);
    });
  },
);

describe('what is held on a user', () => {
  test('is everything, as JSON, without a session id or a handle', async () => {
    const { desk, ids } = await carlasLife();
    const holdings = await desk.holdings(USER);
    expect(holdings.history).toHaveLength(3);
    expect(holdings.incidents).toHaveLength(1);
    expect(holdings.lists).toEqual([expect.objectContaining({ kind: 'user', value: USER })]);
    expect(holdings.audit.map(({ what }) => what)).toEqual(['trust', 'list_add', 'end']);
    expect(holdings.baseline.v4.networks.map(({ network }) => network)).toContain('81.2.69.0/24');
    expect(holdings.sessions.length).toBeGreaterThan(0);
    const text = JSON.stringify(holdings);
    for (const id of ids) {
      expect(text).not.toContain(id);
      expect(text).not.toContain(sessionHandle(id));
    }
  });
});
