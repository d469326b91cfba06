/** The ingest over HTTP, on a real Redis: what each status means, that a repeat adds nothing, and what an outage costs. */
import { createHmac } from 'node:crypto';
import { request } from 'node:http';
import { describe, expect, test } from '@jest/globals';
import { Queue } from 'bullmq';
import { openapi } from '../../src/ingest/openapi.ts';
import { eventId, keyOf } from '../../src/ingest/signature.ts';
import { decodePayload } from '../../src/queue/job.ts';
import { redisCounters } from '../../src/redis/counters.ts';
import { redisIncidents } from '../../src/redis/incidents.ts';
import { keysFor, LOGIN_QUEUE } from '../../src/redis/keys.ts';
import { connect, errorsIn, privateRedis, release, testPrefix, testRedisUrl, until } from '../support/index.ts';
import { type Answer, newId, newSecret, openTestIngest, type TestIngest } from '../support/ingest.ts';
import { startProxy } from '../support/proxy.ts';
import { openWorker } from '../support/worker.ts';

const LONDON = '81.2.69.142';
const LAGOS = '105.112.10.20';
const LOGIN = { userId: '42', address: LONDON };
/** A clock that stands still: no allowance fills up meanwhile. */
const FIXED_MS = 1_795_000_000_000;

function openQueue(prefix: string, url = testRedisUrl()): Queue {
  const queue = new Queue(LOGIN_QUEUE, { connection: connect(url), prefix: keysFor(prefix).queuePrefix });
  queue.on('error', () => {});
  release(() => queue.close());
  return queue;
}

async function open(options: Parameters<typeof openTestIngest>[1] = {}) {
  const prefix = testPrefix();
  return { prefix, ingest: await openTestIngest(prefix, options), queue: openQueue(prefix) };
}

const idOf = (webhookId: string, sent: unknown) => eventId(webhookId, JSON.stringify(sent));
const loginOf = (userId: string) => ({ userId, address: LONDON });

interface Described {
  readonly paths: Record<string, Record<string, { responses: Record<string, { content: unknown }> }>>;
}

/** The description has this status there, and this code with it. */
function expectDescribed({ status, path, body }: Answer, method = 'post'): void {
  const described = (openapi() as Described).paths[path]?.[method]?.responses[String(status)];
  expect({ path, status, described: described !== undefined }).toEqual({ path, status, described: true });
  if (body.code !== undefined) expect(JSON.stringify(described)).toContain(`"${body.code}"`);
}

describe('POST /v1/logins', () => {
  test('202: the login is queued, and the answer names it', async () => {
    const { ingest, queue } = await open();
    const id = newId();
    const login = { ...LOGIN, userAgent: 'Zoë’s browser' };
    const answer = await ingest.send('/v1/logins', login, { id });
    expectDescribed(answer);
    const [job] = await queue.getWaiting();
    const { logins, malformed } = decodePayload(job?.data);
    expect(malformed).toEqual([]);
    expect(logins).toEqual([expect.objectContaining({ userId: '42', address: LONDON, userAgent: 'Zoë’s browser' })]);
    expect(answer).toMatchObject({ status: 202, body: { id: idOf(id, login), lids: [logins[0]?.lid] } });
    expect(job?.id).toBe(idOf(id, login));
  });

  test('the same webhook-id again: the same answer, and nothing more in the queue, even when its job has gone', async () => {
    const { ingest, queue, prefix } = await open();
    const id = newId();
    const answers = await Promise.all(Array.from({ length: 20 }, () => ingest.send('/v1/logins', LOGIN, { id })));
    expect(answers).toEqual(answers.map(() => ({ ...answers[0], status: 202 })));
    expect(await queue.getWaitingCount()).toBe(1);
    // As the queue does with jobs that were done, of which it keeps the newest thousand.
    const redis = connect();
    await redis.del(queue.toKey(idOf(id, LOGIN)), queue.toKey('wait'));
    // Signed anew, as a sender does that tries again later.
    const again = await ingest.send('/v1/logins', LOGIN, { id, atMs: Date.now() - 60_000 });
    expect(again).toEqual(answers[0]);
    expect(await queue.getWaitingCount()).toBe(0);
    // In another process too.
    const other = await openTestIngest(prefix, { secrets: [ingest.secret] });
    expect(await other.send('/v1/logins', LOGIN, { id })).toEqual(answers[0]);
    expect(await queue.getWaitingCount()).toBe(0);
    expect(await redis.pttl(queue.toKey(`de:${idOf(id, LOGIN)}`))).toBeGreaterThan(600_000);
  });

  test('the same webhook-id with another body is another message: neither login is lost', async () => {
    const { ingest, queue } = await open();
    const id = newId();
    const first = await ingest.send('/v1/logins', LOGIN, { id });
    const second = await ingest.send('/v1/logins', { ...LOGIN, address: LAGOS }, { id });
    expect([first.status, second.status]).toEqual([202, 202]);
    expect(second.body.id).not.toBe(first.body.id);
    expect(second.body.lids).not.toEqual(first.body.lids);
    const logins = (await queue.getWaiting()).flatMap((job) => decodePayload(job.data).logins);
    expect(new Set(logins.map(({ address }) => address))).toEqual(new Set([LONDON, LAGOS]));
    expect(await ingest.send('/v1/logins', LOGIN, { id })).toEqual(first);
    expect(await queue.getWaitingCount()).toBe(2);
  });

  test('a list goes as one job; one that is wrong in it, and nothing is queued', async () => {
    const { ingest, queue } = await open();
    const logins = Array.from({ length: 100 }, (_, i) => ({ userId: i, address: LONDON }));
    const answer = await ingest.send('/v1/logins', { logins });
    expect(answer.status).toBe(202);
    expect(new Set(answer.body.lids as string[]).size).toBe(100);
    expect(await queue.getWaitingCount()).toBe(1);
    const wrong = await ingest.send('/v1/logins', {
      logins: [...logins.slice(1), { userId: 'secret', address: 'secret' }],
    });
    expectDescribed(wrong);
    expect(wrong).toMatchObject({ status: 400, body: { code: 'login_invalid', field: 'logins.99.address' } });
    expect(await queue.getWaitingCount()).toBe(1);
    expect(JSON.stringify(wrong) + ingest.log.text()).not.toContain('secret');
  });

  test.each([
    ['no JSON', '{"userId"', {}, 400, 'body_invalid'],
    ['a deep nothing', `${'['.repeat(30_000)}${']'.repeat(30_000)}`, {}, 400, 'login_invalid'],
    ['an unknown field', { ...LOGIN, extra: 1 }, {}, 400, 'field_unknown'],
    ['no signature', LOGIN, { headers: { 'webhook-signature': undefined } }, 401, 'signature_missing'],
    ['no id', LOGIN, { headers: { 'webhook-id': undefined } }, 401, 'signature_missing'],
    ['a stranger', LOGIN, { secret: newSecret() }, 401, 'signature_wrong'],
    ['an old message', LOGIN, { atMs: Date.now() - 302_000 }, 401, 'timestamp_refused'],
    ['a message of tomorrow', LOGIN, { atMs: Date.now() + 86_400_000 }, 401, 'timestamp_refused'],
    ['a large body', { ...LOGIN, userAgent: 'u'.repeat(65_536) }, {}, 413, 'body_too_large'],
    [
      'a form',
      LOGIN,
      { headers: { 'content-type': 'application/x-www-form-urlencoded' } },
      415,
      'media_type_unsupported',
    ],
    [
      'Latin-1',
      LOGIN,
      { headers: { 'content-type': 'application/json; charset=iso-8859-1' } },
      415,
      'media_type_unsupported',
    ],
    ['a compressed body', LOGIN, { headers: { 'content-encoding': 'gzip' } }, 415, 'media_type_unsupported'],
  ])('%s is refused, and nothing is queued', async (_name, body, how, status, code) => {
    const { ingest, queue } = await open();
    const answer = await ingest.send('/v1/logins', body, how);
    expect(answer).toMatchObject({ status, body: { code } });
    expectDescribed(answer);
    expect(await queue.getWaitingCount()).toBe(0);
    expect(ingest.stats().refused).toEqual({ [code]: 1 });
  });

  test('bytes that are no UTF-8 are refused, though they are signed', async () => {
    const { ingest } = await open();
    const body = Buffer.concat([Buffer.from('{"userId":"'), Buffer.from([0xff]), Buffer.from('","address":null}')]);
    const [id, at] = [newId(), String(Math.floor(Date.now() / 1000))];
    const hmac = createHmac('sha256', keyOf(ingest.secret)).update(`${id}.${at}.`).update(body).digest('base64');
    const signed = { 'webhook-id': id, 'webhook-timestamp': at, 'webhook-signature': `v1,${hmac}` };
    const headers = { 'content-type': 'application/json', ...signed };
    const answer = await fetch(`${ingest.url}/v1/logins`, { method: 'POST', headers, body });
    expect({ status: answer.status, body: await answer.json() }).toEqual({
      status: 400,
      body: { code: 'body_invalid' },
    });
  });

  test('a sender that breaks off is no fault of ours', async () => {
    const { ingest, queue } = await open();
    const at = String(Math.floor(Date.now() / 1000));
    const signature = `v1,${Buffer.alloc(32).toString('base64')}`;
    const signed = { 'webhook-id': newId(), 'webhook-timestamp': at, 'webhook-signature': signature };
    const headers = { 'content-type': 'application/json', 'content-length': 100, ...signed };
    const sent = request(`${ingest.url}/v1/logins`, { method: 'POST', headers });
    sent.on('error', () => {});
    await new Promise<void>((resolve) => sent.write('{', () => resolve()));
    expect((await ingest.get('/healthz')).status).toBe(200);
    sent.destroy();
    await until(() => ingest.stats().refused.body_invalid === 1);
    expect(errorsIn(ingest.log)).toEqual([]);
    expect(await queue.getWaitingCount()).toBe(0);
  });

  test('two secrets: both are good', async () => {
    const secrets = [newSecret(), newSecret()];
    const { ingest } = await open({ secrets });
    for (const secret of secrets) {
      expect(await ingest.send('/v1/logins', LOGIN, { secret })).toMatchObject({ status: 202 });
    }
  });

  test('a body that never ends is read no further than its cap', async () => {
    const { ingest } = await open();
    let written = 0;
    const status = await new Promise<number>((resolve, reject) => {
      const headers = {
        'content-type': 'application/json',
        'webhook-id': newId(),
        'webhook-timestamp': String(Math.floor(Date.now() / 1000)),
        'webhook-signature': `v1,${Buffer.alloc(32).toString('base64')}`,
      };
      const sent = request(`${ingest.url}/v1/logins`, { method: 'POST', headers }, (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      });
      sent.on('error', reject);
      const more = () => {
        if (sent.destroyed || written > 50_000_000) return;
        written += 65_536;
        if (sent.write(Buffer.alloc(65_536, 32))) setImmediate(more);
        else sent.once('drain', more);
      };
      more();
      release(() => sent.destroy());
    });
    expect(status).toBe(413);
    expect(written).toBeLessThan(20_000_000);
  });

  test('429: too many logins a second; the answer says when', async () => {
    const { ingest, queue } = await open({ loginsPerSecond: 10, clock: () => 1_795_000_000_000 });
    const atMs = 1_795_000_000_000;
    const logins = Array.from({ length: 20 }, (_, i) => ({ userId: i, address: LONDON }));
    expect(await ingest.send('/v1/logins', { logins }, { atMs })).toMatchObject({ status: 202 });
    const answer = await ingest.send('/v1/logins', { logins }, { atMs });
    expect(answer).toMatchObject({ status: 429, retryAfter: '2', body: { code: 'rate_limited' } });
    expectDescribed(answer);
    expect(await queue.getWaitingCount()).toBe(1);
  });

  test('429: who keeps sending what nobody signed; behind a proxy, that one alone', async () => {
    const { ingest } = await open({ trustProxy: ['loopback'], clock: () => FIXED_MS });
    const from = (client: string, secret: string) =>
      ingest.send('/v1/logins', LOGIN, { atMs: FIXED_MS, headers: { 'x-forwarded-for': client }, secret });
    const stranger = newSecret();
    for (let i = 0; i < 30; i++) expect((await from('192.0.2.1', stranger)).status).toBe(401);
    const answer = await from('192.0.2.1', stranger);
    expect(answer).toMatchObject({ status: 429, retryAfter: '1', body: { code: 'signatures_refused' } });
    expectDescribed(answer);
    expect((await from('192.0.2.2', stranger)).status).toBe(401);
    // One line for 1, 2, 4 ... refusals, not for each.
    expect(ingest.log.entries.filter(({ fields }) => JSON.stringify(fields).includes('signature_wrong'))).toHaveLength(
      5,
    );
  });

  test('a hundred forged messages do not keep a signed one of the same address out', async () => {
    const { ingest, queue } = await open({ clock: () => FIXED_MS });
    const statuses = new Set<number>();
    for (let i = 0; i < 100; i++) {
      const forged =
        i % 2 === 0
          ? { secret: newSecret() }
          : { headers: { 'webhook-signature': undefined, 'webhook-id': undefined } };
      statuses.add((await ingest.send('/v1/logins', LOGIN, { atMs: FIXED_MS, ...forged })).status);
    }
    expect([...statuses]).toEqual([401, 429]);
    expect((await ingest.send('/v1/logins', LOGIN, { atMs: FIXED_MS })).status).toBe(202);
    expect(await queue.getWaitingCount()).toBe(1);
    const large = await ingest.send('/v1/logins', { ...LOGIN, userAgent: 'u'.repeat(65_536) }, { atMs: FIXED_MS });
    expect(large.status).toBe(413);
  });

  test('a /64 of IPv6 is one sender, the next one another', async () => {
    const { ingest } = await open({ trustProxy: ['loopback'], clock: () => FIXED_MS });
    const from = async (client: string) => {
      const how = { atMs: FIXED_MS, headers: { 'x-forwarded-for': client }, secret: newSecret() };
      return (await ingest.send('/v1/logins', LOGIN, how)).status;
    };
    for (let i = 0; i < 30; i++) expect(await from(`2001:db8:1:1::${i.toString(16)}`)).toBe(401);
    expect(await from('2001:db8:1:1:ffff::1')).toBe(429);
    expect(await from('2001:db8:1:2::1')).toBe(401);
  });
});

describe('the worker behind it', () => {
  test('ends the session of a login from elsewhere, and keeps the visits of the thief', async () => {
    const prefix = testPrefix();
    const ingest = await openTestIngest(prefix);
    await openWorker(prefix);
    const incidents = redisIncidents(connect(), keysFor(prefix), 86_400_000);
    await ingest.send('/v1/logins', LOGIN);
    await until(async () => (await redisCounters(connect(), keysFor(prefix)).read()).logins === 1);
    const handle = 'h'.repeat(43);
    const lid = 'a-login-id-of-php-0001';
    expect((await ingest.send('/v1/logins', { ...LOGIN, address: LAGOS, lid, handle })).body.lids).toEqual([lid]);
    const incident = await until(async () => (await incidents.list({ userId: '42' }, 1)).incidents[0]);
    expect(incident).toMatchObject({ lid, handle, reason: 'country_changed', action: 'revoke' });

    const id = newId();
    const visit = {
      case: incident.id,
      kind: 'refused',
      address: LAGOS,
      path: '/account?key=secret',
      userAgent: 'thief',
    };
    const noted = await ingest.send('/v1/visits', visit, { id });
    expectDescribed(noted);
    expect(noted).toMatchObject({ status: 202, body: { id: idOf(id, visit), outcome: 'kept' } });
    expect(await ingest.send('/v1/visits', visit, { id })).toEqual(noted);
    const { visits } = await until(async () => incidents.get(incident.id));
    expect(visits).toEqual([
      {
        atMs: expect.any(Number),
        kind: 'refused',
        address: LAGOS,
        path: '/account',
        userAgent: 'thief',
        method: 'GET',
      },
    ]);
    const unknown = await ingest.send('/v1/visits', { ...visit, case: '0000-0000-0000', kind: 'gotcha' });
    expect(unknown).toMatchObject({ status: 202, body: { outcome: 'unknown' } });
    expect(ingest.stats()).toMatchObject({ accepted: 2, visits: 3 });
  });
});

describe('other routes', () => {
  test('what is not there, and what is not done there', async () => {
    const { ingest } = await open();
    expect(await ingest.get('/')).toMatchObject({ status: 404, body: { code: 'route_unknown' } });
    expect(await ingest.get('/v1/logins')).toMatchObject({ status: 405, body: { code: 'method_not_allowed' } });
    const answer = await ingest.get('/openapi.json');
    expect(answer).toMatchObject({ status: 200, body: JSON.parse(JSON.stringify(openapi())) });
    expectDescribed(answer, 'get');
    const health = await ingest.get('/healthz');
    expect(health).toMatchObject({ status: 200, body: { status: 'ok' } });
    expectDescribed(health, 'get');
  });

  test('a whole URL in the request line is its path (RFC 9112, 3.2.2)', async () => {
    const { ingest } = await open();
    const status = await new Promise((resolve, reject) => {
      const sent = request(ingest.url, { path: 'http://elsewhere.example/healthz', agent: false }, (response) => {
        resolve(response.resume().statusCode);
      });
      sent.on('error', reject).end();
    });
    expect(status).toBe(200);
  });

  test('visits have an allowance of their own', async () => {
    const { ingest } = await open({ loginsPerSecond: 1, clock: () => 1_795_000_000_000 });
    const atMs = 1_795_000_000_000;
    const visit = { case: '0000-0000-0000', kind: 'gotcha', address: null, path: '/' };
    for (let i = 0; i < 5; i++) expect((await ingest.send('/v1/visits', visit, { atMs })).status).toBe(202);
    expect((await ingest.send('/v1/logins', LOGIN, { atMs })).status).toBe(202);
  });
});

describe('while Redis is away', () => {
  const away = (answer: Answer) =>
    expect(answer).toMatchObject({ status: 503, retryAfter: '1', body: { code: 'queue_unavailable' } });

  test('503, from the start on; and it goes on when Redis is there', async () => {
    const server = await privateRedis();
    // It keeps the port, which somebody else would get otherwise.
    const proxy = await startProxy(server.port);
    proxy.cut();
    const prefix = testPrefix();
    const ingest = await openTestIngest(prefix, { redis: proxy.url, timeoutMs: 300 });
    const id = newId();
    const answer = await ingest.send('/v1/logins', LOGIN, { id });
    away(answer);
    expectDescribed(answer);
    const health = await ingest.get('/healthz');
    expect(health.status).toBe(503);
    expectDescribed(health, 'get');
    proxy.open();
    const taken = await until(async () => {
      const again = await ingest.send('/v1/logins', LOGIN, { id });
      return again.status === 202 && again;
    });
    expect(taken.body.id).toBe(idOf(id, LOGIN));
    // The first attempt may have waited for Redis, too: together they are one.
    const queue = openQueue(prefix, server.url);
    expect(await queue.getWaitingCount()).toBe(1);
  });

  test('a Redis that stands still: 503 within the time limit, and the repeat is not queued twice', async () => {
    const server = await privateRedis();
    const prefix = testPrefix();
    const ingest = await openTestIngest(prefix, { redis: server.url, timeoutMs: 300 });
    const [before, id] = [newId(), newId()];
    await until(async () => (await ingest.send('/v1/logins', LOGIN, { id: before })).status === 202);
    server.pause();
    away(await ingest.send('/v1/logins', LOGIN, { id }));
    server.resume();
    await until(async () => (await ingest.send('/v1/logins', LOGIN, { id })).status === 202);
    expect(await openQueue(prefix, server.url).getWaitingCount()).toBe(2);
  });

  test('killed in the middle: nothing that was answered 202 is lost, what was not can be sent again, all of it once', async () => {
    const server = await privateRedis({ args: ['--appendonly', 'yes', '--appendfsync', 'always'] });
    const prefix = testPrefix();
    const ingest = await openTestIngest(prefix, { redis: server.url, timeoutMs: 300 });
    const sent = await sendThrough(ingest, server);
    const refused = [...sent].filter(([, status]) => status !== 202).map(([id]) => id);
    expect(refused.length).toBeGreaterThan(0);
    expect(refused.length).toBeLessThan(sent.size);
    const queue = openQueue(prefix, server.url);
    const ids = async () => new Set((await queue.getWaiting()).map((job) => String(job.id)));
    const kept = await ids();
    expect([...sent].filter(([id, status]) => status === 202 && !kept.has(idOf(id, loginOf(id))))).toEqual([]);
    for (const id of refused) {
      await until(async () => (await ingest.send('/v1/logins', loginOf(id), { id })).status === 202);
    }
    expect(await queue.getWaitingCount()).toBe(sent.size);
    await openWorker(prefix, { redis: server.url });
    const counters = redisCounters(connect(server.url), keysFor(prefix));
    await until(async () => (await counters.read()).logins === sent.size, { timeoutMs: 20_000 });
    await until(async () => (await queue.getJobCountByTypes('wait', 'active', 'delayed', 'failed')) === 0);
  });
});

/** Ids and the status of each; Redis is killed after some were taken and comes back after some were not. */
async function sendThrough(ingest: TestIngest, server: Awaited<ReturnType<typeof privateRedis>>) {
  const sent = new Map<string, number>();
  let go = true;
  const count = (status: number) => [...sent.values()].filter((one) => one === status).length;
  const one = async () => {
    while (go) {
      const id = newId();
      sent.set(id, (await ingest.send('/v1/logins', loginOf(id), { id })).status);
    }
  };
  const senders = [one(), one(), one(), one()];
  await until(() => count(202) >= 100, { timeoutMs: 20_000 });
  await server.kill();
  await until(() => count(503) >= 20, { timeoutMs: 20_000 });
  await server.restart();
  const before = count(202);
  await until(() => count(202) >= before + 50, { timeoutMs: 20_000 });
  go = false;
  await Promise.all(senders);
  return sent;
}
