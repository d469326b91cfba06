/** A login worker and a PHP site, over the real queue: the incident says what became of the session, the re-checks repeat it. */
import { describe, expect, test } from '@jest/globals';
import { Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import { openDesk } from '../../src/desk.ts';
import type { LoginEvent } from '../../src/domain/types.ts';
import { sealsOf } from '../../src/php/seal.ts';
import { decodePayload, encodePayload } from '../../src/queue/job.ts';
import { recheckQueue } from '../../src/queue/rechecks.ts';
import { redisBaselines } from '../../src/redis/baselines.ts';
import { redisIncidents } from '../../src/redis/incidents.ts';
import { keysFor, LOGIN_QUEUE, RECHECK_QUEUE } from '../../src/redis/keys.ts';
import { loginId } from '../../src/web/handle.ts';
import type { WorkerOptions } from '../../src/worker.ts';
import { phpRecheckDelays } from '../../src/worker-php.ts';
import {
  captureLog,
  cleanup,
  connect,
  privateRedis,
  release,
  testPrefix,
  testRedisUrl,
  until,
} from '../support/index.ts';
import { ended, handleOf, live, newId, newLid, PHP_KEYS } from '../support/php-ending.ts';
import { startProxy } from '../support/proxy.ts';
import { ADDRESS } from '../support/shop.ts';
import { openWorker } from '../support/worker.ts';

const DAY_MS = 86_400_000;
const CASE = 'AAAA-BBBB-CCCC';

async function setup(options: Partial<WorkerOptions> = {}, phpUrl = testRedisUrl()) {
  const prefix = testPrefix();
  const redis = connect();
  release(() => cleanup(prefix));
  const keys = keysFor(prefix);
  const sessionPrefix = `${prefix}:PHPREDIS_SESSION:`;
  const php = { keys: PHP_KEYS, redis: phpUrl, sessionPrefix };
  const worker = await openWorker(prefix, { php, recheckDelaysMs: [3_600_000], ...options });
  const queue = new Queue(LOGIN_QUEUE, { connection: redis, prefix: keys.queuePrefix });
  release(() => queue.close());
  const place = { countries: ['GB'], agreed: true, firstSeenMs: Date.now() - DAY_MS, lastSeenMs: Date.now() - DAY_MS };
  const baseline = { v4: { places: [place], networks: [] }, v6: { places: [], networks: [] } };
  await redisBaselines(redis, keys, 1e10, captureLog()).save([{ userId: 'alice', revision: 0, baseline }]);
  const phpRedis = connect(phpUrl);
  const incidents = redisIncidents(redis, keys, DAY_MS);
  return {
    prefix,
    redis,
    keys,
    phpRedis,
    log: worker.log,
    seals: sealsOf(PHP_KEYS),
    key: (id: string) => `${sessionPrefix}${id}`,
    put: (id: string, data: string) => phpRedis.setex(`${sessionPrefix}${id}`, 1440, data),
    get: (id: string) => phpRedis.get(`${sessionPrefix}${id}`),
    report: (...logins: LoginEvent[]) => queue.add('logins', encodePayload(logins), { jobId: `job-${logins[0]?.lid}` }),
    incident: (lid: string) =>
      until(async () => (await incidents.list({}, 100)).incidents.find((one) => one.lid === lid), {
        timeoutMs: 10_000,
      }),
  };
}

const seals = sealsOf(PHP_KEYS);
function thief(lid: string, id: string): LoginEvent {
  const php = seals.seal(id, lid);
  return { lid, handle: handleOf(id), userId: 'alice', address: ADDRESS.lagos, loginAtMs: Date.now() - 1000, php };
}

/** Every key and value whose key names this prefix, as text. */
async function everything(redis: Redis, prefix: string): Promise<string> {
  const found: string[] = [];
  for await (const keys of redis.scanStream({ match: `*${prefix}*`, count: 1000 })) {
    for (const key of keys as string[]) {
      const dump = await redis.dumpBuffer(key);
      found.push(key, dump?.toString('latin1') ?? '', JSON.stringify(await readAny(redis, key)));
    }
  }
  return found.join('\n');
}

async function readAny(redis: Redis, key: string): Promise<unknown> {
  switch (await redis.type(key)) {
    case 'hash':
      return redis.hgetall(key);
    case 'list':
      return redis.lrange(key, 0, -1);
    case 'zset':
      return redis.zrange(key, '0', '-1');
    case 'set':
      return redis.smembers(key);
    case 'stream':
      return redis.xrange(key, '-', '+');
    default:
      return redis.get(key);
  }
}

describe("a thief's login at a PHP site", () => {
  test('is ended, and again when a request writes it back; its incident says how', async () => {
    const site = await setup();
    const [lid, id] = [newLid(), newId()];
    await site.put(id, live(lid));
    await site.report(thief(lid, id));
    expect(await site.incident(lid)).toMatchObject({
      action: 'revoke',
      reason: 'country_changed',
      outcome: 'revoked',
      php: { how: 'nulled' },
    });
    expect(await site.get(id)).toBe(ended(lid));
    await site.put(id, live(lid));
    await until(async () => (await site.get(id)) === ended(lid));
    await until(() => site.log.text().includes('php_ended_again'));
  });

  test('that saves its session long after: not found, says the incident, and the re-checks end it', async () => {
    const site = await setup();
    const [lid, id] = [newLid(), newId()];
    await site.report(thief(lid, id));
    const none = { outcome: 'not_found', php: { how: 'untouched', why: 'absent' } };
    expect(await site.incident(lid)).toMatchObject(none);
    await site.put(id, live(lid));
    await until(async () => (await site.get(id)) === ended(lid));
    expect(await site.incident(lid)).toMatchObject(none);
  });

  test('whose session has moved: the new id is found in the index that PHP keeps', async () => {
    const site = await setup();
    const [lid, id, moved] = [newLid(), newId(), newId()];
    await site.redis.hset(site.keys.phpIds(lid), handleOf(moved), site.seals.seal(moved, lid));
    await site.put(moved, live(lid));
    await site.report(thief(lid, id));
    expect(await site.incident(lid)).toMatchObject({ outcome: 'revoked', php: { how: 'nulled' } });
    expect(await site.get(moved)).toBe(ended(lid));
  });

  test('leaves no session id behind: no key, value, job or log line of ours', async () => {
    const server = await privateRedis();
    const site = await setup({}, server.url);
    const lids = Array.from({ length: 4 }, newLid);
    const [first = '', absent = '', other = '', closed = ''] = lids;
    const ids = Array.from({ length: 5 }, newId);
    const [own = '', gone = '', taken = '', shut = '', moved = ''] = ids;
    await site.redis.hset(site.keys.phpIds(first), handleOf(moved), site.seals.seal(moved, first));
    await Promise.all([site.put(own, live(first)), site.put(moved, live(first)), site.put(taken, live(newLid()))]);
    const strange = sealsOf({ k9: PHP_KEYS.k1 }).seal(shut, closed);
    await site.report(thief(first, own), thief(absent, gone), thief(other, taken), {
      ...thief(closed, shut),
      php: strange,
    });
    const incidents = await Promise.all(lids.map(site.incident));
    expect(incidents.map(({ outcome, php }) => [outcome, php?.how, php?.why])).toEqual([
      ['revoked', 'nulled', undefined],
      ['not_found', 'untouched', 'absent'],
      ['other_login', 'untouched', undefined],
      ['not_found', 'untouched', 'unknown_key'],
    ]);
    const all = `${await everything(site.redis, site.prefix)}\n${site.log.text()}\n${JSON.stringify(incidents)}`;
    // The search would find them: it finds what stands beside them.
    for (const text of [...lids, handleOf(moved), 'php_id_not_opened']) expect(all).toContain(text);
    expect(ids.filter((id) => all.includes(id))).toEqual([]);
  });

  test('a worker without keys: not found, said in the incident and in the log', async () => {
    const site = await setup({ php: undefined });
    const [lid, id] = [newLid(), newId()];
    await site.put(id, live(lid));
    await site.report(thief(lid, id));
    expect(await site.incident(lid)).toMatchObject({
      outcome: 'not_found',
      php: { how: 'untouched', why: 'not_configured' },
    });
    expect(site.log.text()).toContain('php_not_configured');
  });

  test('PHP keeps its sessions in a Redis that is away: said at once, ended by the re-checks when it is back', async () => {
    // It keeps the port, which somebody else would get otherwise.
    const proxy = await startProxy((await privateRedis()).port);
    const site = await setup({}, proxy.url);
    const [lid, id] = [newLid(), newId()];
    proxy.cut();
    await site.report(thief(lid, id));
    const away = { outcome: 'not_found', php: { how: 'untouched', why: 'unavailable' } };
    expect(await site.incident(lid)).toMatchObject(away);
    expect(await site.redis.exists(site.keys.loginEnd(lid))).toBe(1);
    await until(() => site.log.text().includes('recheck_failed'));
    proxy.open();
    const phpRedis = connect(proxy.url);
    await phpRedis.setex(site.key(id), 1440, live(lid));
    await until(async () => (await phpRedis.get(site.key(id))) === ended(lid), { timeoutMs: 15_000 });
  });
});

describe('the re-checks of a login at a PHP site', () => {
  test('go on until nothing that was running can write back', () => {
    expect(phpRecheckDelays(30)).toEqual([200, 500, 1000, 2000, 4000, 8000, 15_000, 35_000]);
    expect(phpRecheckDelays(300).at(-1)).toBe(305_000);
    expect(phpRecheckDelays(1)).toEqual([200, 500, 1000, 2000, 4000, 6000]);
  });

  test('are more, carry the sealed id, and are queued once', async () => {
    const prefix = testPrefix();
    const redis = connect();
    const names = { queue: RECHECK_QUEUE, prefix: keysFor(prefix).queuePrefix };
    const rechecks = recheckQueue(redis, names, [5000, 60_000], captureLog(), [200, 500]);
    release(() => rechecks.close());
    const [lid, node, id] = [newLid(), newLid(), newId()];
    const base = { reason: 'country_changed', caseId: CASE, atMs: Date.now() } as const;
    const php = seals.seal(id, lid);
    const both = [
      { ...base, lid, handle: handleOf(id), php },
      { ...base, lid: node, handle: handleOf('n') },
    ];
    await rechecks.schedule(both);
    await rechecks.schedule(both);
    const queue = new Queue(names.queue, { connection: redis, prefix: names.prefix });
    release(() => queue.close());
    const jobs = await queue.getJobs(['delayed']);
    const of = (which: string) => jobs.filter(({ data }) => data.lid === which);
    expect(
      of(lid)
        .map(({ opts }) => opts.delay)
        .sort((a = 0, b = 0) => a - b),
    ).toEqual([200, 500, 5000, 60_000]);
    expect(of(lid).every(({ data }) => data.php === php)).toBe(true);
    expect(of(node)).toHaveLength(2);
    expect(of(node).every(({ data }) => !('php' in data))).toBe(true);
  });
});

describe('the sealed id in a job', () => {
  const login = thief(newLid(), newId());

  test('comes back as it went in; a login without one has none', () => {
    const { php: _, ...plain } = login;
    expect(decodePayload(JSON.parse(JSON.stringify(encodePayload([login, plain])))).logins).toEqual([login, plain]);
  });

  test.each([
    ['a word', 'rubbish'],
    ['a raw id', newId()],
    ['cut', `v1.k1.short.${'A'.repeat(30)}`],
    ['too long', `${login.php}${'A'.repeat(700)}`],
    ['a number', 7],
    ['null', null],
  ])('is refused when it is %s, and the login set aside with the name of the field', (_, php) => {
    const { logins, malformed } = decodePayload({ v: 1, logins: [{ ...login, php }] });
    expect(logins).toEqual([]);
    expect(malformed).toEqual([{ code: 'malformed_login', index: 0, field: 'php', lid: login.lid }]);
  });
});

test('a user who is forgotten: the session of the PHP login ends, and its index goes after the re-checks', async () => {
  const site = await setup();
  const { redis, keys } = site;
  // As the helper makes it.
  const [lid, moved] = [loginId('alice'), newId()];
  const desk = openDesk({ redis, keys, clock: Date.now, log: captureLog() });
  release(() => desk.close());
  await site.report({ ...thief(lid, newId()), address: ADDRESS.london });
  await until(async () => (await desk.history('alice', 10)).length === 1);
  await site.put(moved, live(lid));
  await redis.hset(keys.phpIds(lid), handleOf(moved), site.seals.seal(moved, lid));
  await desk.forget('alice', 'she asked us to', { by: 'the-admin', role: 'admin' });
  expect(await redis.exists(keys.loginEnd(lid))).toBe(1);
  const ttl = await redis.ttl(keys.phpIds(lid));
  // The last re-check still needs it; then nobody does.
  expect(ttl).toBeGreaterThan(600);
  expect(ttl).toBeLessThanOrEqual(900);
  await until(async () => (await site.get(moved)) === ended(lid), { timeoutMs: 15_000 });
  expect(await desk.history('alice', 10)).toEqual([]);
});
