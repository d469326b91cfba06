/** The page behind the link of a "Was this you?" mail, over real HTTP and a real Redis. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, test } from '@jest/globals';
import type { Desk } from '../../src/desk-ports.ts';
import { BouncerError } from '../../src/errors.ts';
import type { AuditEntry } from '../../src/ports.ts';
import { redisIncidents } from '../../src/redis/incidents.ts';
import { keysFor } from '../../src/redis/keys.ts';
import { openUserAnswers, type UserAnswersOptions } from '../../src/user-answers.ts';
import { mountable } from '../../src/web/mount.ts';
import { linkTag, signLink } from '../../src/web/user-link.ts';
import { FORBIDDEN, incidentOf } from '../support/incident.ts';
import { captureLog, connect, release, testPrefix } from '../support/index.ts';

const DAY_MS = 86_400_000;
const SECRET = 'a'.repeat(32);
const PATH = '/account/was-this-you';

async function openWorld(options: Partial<UserAnswersOptions> = {}) {
  const keys = keysFor(testPrefix());
  const redis = connect();
  const log = captureLog();
  const incidents = redisIncidents(redis, keys, DAY_MS);
  const audit: Omit<AuditEntry, 'atMs'>[] = [];
  const answers: Parameters<Desk['answer']>[] = [];
  let now = Date.now();
  let failing = 0;
  /** The part of the desk that counts here: of two answers at once, one is heard. */
  const desk: Pick<Desk, 'incident' | 'answer' | 'note'> = {
    incident: (caseId) => incidents.get(caseId),
    async answer(...given) {
      const [caseId, { disposition, note }, { by }] = given;
      if (failing-- > 0) throw new Error('failed by the test');
      const outcome = await incidents.resolve(caseId, { disposition, by, note, atMs: now });
      if (outcome !== 'resolved') throw new BouncerError('incident_closed', 'answered before');
      answers.push(given);
      const incident = await incidents.get(caseId);
      if (incident === null) throw new BouncerError('incident_unknown', 'none');
      return { incident, taught: true, closed: [], ended: 0, givenBack: null, blocked: null };
    },
    note: async (entry) => void audit.push(entry),
  };
  const handler = openUserAnswers({ redis, keys, desk, clock: () => now, log }, { secrets: [SECRET], ...options });
  const page = mountable(async () => handler, log);
  const server = createServer(page.node(PATH));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  release(() => {
    server.close();
    server.closeAllConnections();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}${PATH}`;
  const post = (form: Record<string, string> | string, headers: Record<string, string> = {}) =>
    fetch(`${url}?`, {
      method: 'POST',
      body: typeof form === 'string' ? form : new URLSearchParams(form).toString(),
      headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
    });
  const record = async (userId = 'alice', over: Parameters<typeof incidentOf>[1] = {}) => {
    const incident = incidentOf(userId, over);
    await incidents.record([incident]);
    const link = { caseId: incident.id, userTag: linkTag(userId), expiresAtMs: incident.decidedAtMs + 7 * DAY_MS };
    return { incident, link, token: signLink(link, SECRET), stored: () => incidents.get(incident.id) };
  };
  return {
    ...{ keys, redis, log, incidents, audit, answers, url, post, record },
    get: (token: string, method = 'GET') => fetch(`${url}?t=${token}`, { method }),
    pass: (ms: number) => {
      now += ms;
    },
    fail: (times: number) => {
      failing = times;
    },
    keysWritten: () => redis.keys(`*${keys.prefix}*`),
  };
}

describe('the page', () => {
  test('shows time and country, two buttons, and nothing of anybody', async () => {
    const world = await openWorld();
    const { token, incident } = await world.record();
    const response = await world.get(token);
    const html = await response.text();
    expect(response.status).toBe(200);
    for (const words of ['Nigeria', incident.id, 'Yes, it was me', 'No, it was not me', 'method="post"']) {
      expect(html).toContain(words);
    }
    for (const words of ['105.112', 'alice', '<script', ...Object.values(FORBIDDEN)]) expect(html).not.toContain(words);
    const headers = Object.fromEntries(response.headers);
    expect(headers).toMatchObject({ 'referrer-policy': 'no-referrer', 'cache-control': 'no-store' });
    expect(headers['content-security-policy']).toMatch(
      /default-src 'none'.*form-action 'self'.*frame-ancestors 'none'/,
    );
    expect(headers['set-cookie']).toBeUndefined();
    expect(world.log.text()).not.toContain(token);
  });

  test.each([
    ['country_changed', 'from a place that we do not know from you'],
    ['session_reused', 'Two browsers came with the same session'],
  ] as const)('of %s says what is known', async (reason, words) => {
    const world = await openWorld();
    const { token } = await world.record('alice', { reason });
    const html = await (await world.get(token)).text();
    expect([html.includes(words), html.includes('Someone signed in')]).toEqual([true, reason === 'country_changed']);
  });

  test('looking changes nothing, however often and however the scanner looks', async () => {
    const world = await openWorld();
    const { token, stored } = await world.record();
    const before = [await stored(), (await world.keysWritten()).sort()];
    for (const method of ['GET', 'HEAD', 'OPTIONS', 'GET', 'PUT', 'DELETE']) {
      expect([200, 405]).toContain((await world.get(token, method)).status);
    }
    expect([await stored(), (await world.keysWritten()).sort()]).toEqual(before);
    expect((await world.post({ t: token, answer: 'yes' })).status).toBe(200);
  });
});

describe('an answer', () => {
  test.each([
    ['yes', 'safe'],
    ['no', 'confirmed'],
  ] as const)('%s is %s, by the user, once; without giving the session back', async (answer, status) => {
    const world = await openWorld();
    const { token, stored, incident } = await world.record();
    const response = await world.post({ t: token, answer });
    expect([response.status, await response.text()]).toEqual([200, expect.stringContaining('Thank you')]);
    expect(await stored()).toMatchObject({ status, resolvedBy: 'user' });
    expect(world.answers).toMatchObject([[incident.id, { disposition: status, giveBack: false }, { by: 'user' }]]);
    expect((await world.post({ t: token, answer: 'yes' })).status).toBe(410);
    expect((await world.get(token)).status).toBe(410);
    expect(world.answers).toHaveLength(1);
    const texts = JSON.stringify(await world.keysWritten()) + world.log.text();
    expect(texts).not.toContain(token);
    expect(texts).not.toContain(token.slice(-43));
  });

  test('of many at once, one acts', async () => {
    const world = await openWorld();
    const { token, stored } = await world.record();
    const said = Array.from({ length: 20 }, (_, i) => ({ t: token, answer: i % 2 === 0 ? 'yes' : 'no' }));
    const statuses = (await Promise.all(said.map((form) => world.post(form)))).map((response) => response.status);
    expect(statuses.filter((status) => status === 200)).toHaveLength(1);
    expect(statuses.filter((status) => status === 410)).toHaveLength(19);
    expect(world.answers).toHaveLength(1);
    expect(await stored()).toMatchObject({ resolvedBy: 'user' });
  });

  test("an analyst's answer stays", async () => {
    const world = await openWorld();
    const { token, stored, incident } = await world.record();
    const answer = { disposition: 'confirmed', by: 'ann', note: '', atMs: Date.now() } as const;
    await world.incidents.resolve(incident.id, answer);
    const shown = await world.get(token);
    expect([shown.status, await shown.text()]).toEqual([200, expect.stringContaining('Already answered')]);
    const response = await world.post({ t: token, answer: 'yes' });
    expect([response.status, await response.text()]).toEqual([409, expect.stringContaining('Already answered')]);
    expect(await stored()).toMatchObject({ status: 'confirmed', resolvedBy: 'ann' });
  });

  test('that could not be taken is an error, and can be given again when the claim has ended', async () => {
    const world = await openWorld();
    const { token, stored } = await world.record();
    world.fail(1);
    expect((await world.post({ t: token, answer: 'yes' })).status).toBe(503);
    expect(await stored()).toMatchObject({ status: 'open' });
    expect((await world.post({ t: token, answer: 'yes' })).status).toBe(410);
    const [claim = ''] = (await world.keysWritten()).filter((key) => key.includes('link-use'));
    const ttl = await world.redis.pttl(claim);
    expect(ttl).toBeGreaterThan(0);
    expect(ttl).toBeLessThanOrEqual(60_000);
    await world.redis.del(claim);
    expect((await world.post({ t: token, answer: 'yes' })).status).toBe(200);
    expect(await world.redis.pttl(claim)).toBeGreaterThan(6 * DAY_MS);
  });

  test('with `note` it only stands on the incident, the first word of it, and in the audit', async () => {
    const world = await openWorld({ answers: 'note' });
    const { token, stored, link } = await world.record();
    expect((await world.post({ t: token, answer: 'no' })).status).toBe(200);
    expect(await stored()).toMatchObject({ status: 'open', userWord: { said: 'no' } });
    const later = signLink({ ...link, expiresAtMs: link.expiresAtMs + 60_000 }, SECRET);
    expect((await world.post({ t: later, answer: 'yes' })).status).toBe(200);
    expect(await stored()).toMatchObject({ status: 'open', userWord: { said: 'no' } });
    expect(world.audit).toMatchObject([
      { what: 'answer', by: 'user', why: 'said no', outcome: 'noted' },
      { what: 'answer', by: 'user', why: 'said yes' },
    ]);
    expect(world.answers).toEqual([]);
  });
});

describe('what is no good link', () => {
  test('says the same for each, changes and claims nothing', async () => {
    const world = await openWorld();
    const { token, link, stored } = await world.record();
    const unknown = { ...link, caseId: 'AAAA-BBBB-CCCC' };
    const bad = [
      '',
      'x',
      `${token}x`,
      token.slice(0, -1),
      signLink(link, 'b'.repeat(32)),
      signLink(unknown, 'b'.repeat(32)),
      signLink(unknown, SECRET),
      signLink({ ...link, userTag: linkTag('bob') }, SECRET),
      signLink({ ...link, expiresAtMs: Date.now() - 1000 }, SECRET),
      'x'.repeat(7000),
      '%00%ff%0d%0aSet-Cookie:a=b',
    ];
    const pages = new Set<string>();
    for (const one of bad) {
      const responses = [await world.get(one), await world.post({ t: one, answer: 'yes' })];
      for (const response of responses) {
        expect(response.status).toBe(410);
        pages.add(await response.text());
      }
    }
    expect(pages.size).toBe(1);
    expect(await stored()).toMatchObject({ status: 'open' });
    expect(world.answers).toEqual([]);
    expect((await world.keysWritten()).filter((key) => key.includes('link-use'))).toEqual([]);
  });

  test('an expired one, also one that was opened before', async () => {
    const world = await openWorld();
    const { token, stored } = await world.record();
    expect((await world.get(token)).status).toBe(200);
    world.pass(8 * DAY_MS);
    expect((await world.post({ t: token, answer: 'yes' })).status).toBe(410);
    expect(await stored()).toMatchObject({ status: 'open' });
  });

  test('a form that is not ours: no answer, another one, another type, a flood', async () => {
    const world = await openWorld();
    const { token, stored } = await world.record();
    const responses = [
      await world.post({ t: token }),
      await world.post({ t: token, answer: 'maybe' }),
      await world.post(JSON.stringify({ t: token, answer: 'yes' }), { 'content-type': 'application/json' }),
      await world.post({ t: token, answer: 'yes', more: 'x'.repeat(100_000) }),
    ];
    for (const response of responses) expect(response.status).toBe(410);
    expect(await stored()).toMatchObject({ status: 'open' });
    expect((await world.post({ t: token, answer: 'yes' })).status).toBe(200);
  });

  test('while Redis is away: later, and nothing is told', async () => {
    const log = captureLog();
    const away = { incident: () => Promise.reject(new Error('secret-host refused')) } as unknown as Desk;
    const deps = { redis: connect(), keys: keysFor(testPrefix()), desk: away, clock: Date.now, log };
    const page = openUserAnswers(deps, { secrets: [SECRET] });
    const token = signLink({ caseId: 'AAAA-BBBB-CCCC', userTag: linkTag('a'), expiresAtMs: Date.now() + 1e6 }, SECRET);
    const response = await page(new Request(`http://shop.example/x?t=${token}`));
    expect([response.status, response.headers.get('retry-after')]).toEqual([503, '60']);
    expect((await response.text()) + log.text()).not.toContain('secret-host');
  });

  test.each([
    ['secrets', undefined],
    ['secrets', { secrets: [] }],
    ['secrets', { secrets: ['short'] }],
    ['secrets', { secrets: 'a'.repeat(40) }],
    ['answers', { secrets: [SECRET], answers: 'acts' }],
    ['giveBack', { secrets: [SECRET], giveBack: 'false' }],
  ])('wrong %s are refused at once: %j', (name, options) => {
    const deps = {
      redis: connect(),
      keys: keysFor(testPrefix()),
      desk: {} as Desk,
      clock: Date.now,
      log: captureLog(),
    };
    expect(() => openUserAnswers(deps, options as never)).toThrow(`${name}: give`);
  });
});
