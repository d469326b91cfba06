/** Text from outside on the pages of the desk: whatever somebody wrote, it is text, bounded, and no page says a session's id. */
import { beforeAll, describe, expect, test } from '@jest/globals';
import { openDesk } from '../../src/desk.ts';
import type { WorkerStatus } from '../../src/desk-ports.ts';
import type { IncidentRecord } from '../../src/domain/incident.ts';
import { redisBaselines } from '../../src/redis/baselines.ts';
import { redisHistory } from '../../src/redis/history.ts';
import { redisIncidents } from '../../src/redis/incidents.ts';
import { keysFor } from '../../src/redis/keys.ts';
import { redisWorkers } from '../../src/redis/workers.ts';
import { loginId, randomToken, sessionHandle } from '../../src/web/handle.ts';
import { WebTier } from '../support/admin.ts';
import { aVisit } from '../support/desk-cases.ts';
import { openConsole, type TestConsole } from '../support/desk-pages.ts';
import { anIncident, FRANCE } from '../support/incidents.ts';
import { captureLog, connect, release, testPrefix, until } from '../support/index.ts';
import { ADDRESS, openShop } from '../support/shop.ts';
import { openWorker } from '../support/worker.ts';

/** Tags, quotes that end an attribute, bidirectional and zero-width marks, ANSI, a formula, half a letter, piles of marks. */
const HOSTILE =
  '"><script>alert(1)</script><img src=x onerror=alert(2)> \' onmouseover=alert(3) \u202e\u2066\u200b\u0007\u001b[31m\u0000 ' +
  `=cmd|'/C calc'!A0 \ud800 Z${'\u0335'.repeat(40)} {{7*7}} \${7*7} &lt;b&gt; `;
const LONG = HOSTILE + 'A'.repeat(10_000);
const DAY = 86_400_000;

const seen = FRANCE.evidence[0];
const evidence = {
  ...seen,
  database: LONG,
  builtOn: HOSTILE,
  country: HOSTILE,
  network: LONG,
  note: LONG,
  holder: LONG,
};

function hostileIncident(userId: string) {
  const place = { countries: [HOSTILE, 'GB'], agreed: true, firstSeenMs: 1, lastSeenMs: Number.NaN };
  const network = { network: LONG, firstSeenMs: 1, lastSeenMs: 9e15 };
  return anIncident({
    userId,
    decidedAtMs: Date.now(),
    userAgent: LONG,
    deviceId: LONG,
    baseline: { v4: { places: [place], networks: [network] }, v6: { places: [], networks: [] } },
    sighting: {
      ...FRANCE,
      candidates: ['FR', HOSTILE],
      evidence: [{ ...evidence, database: 'x', builtOn: null }, evidence].map((one) => ({
        ...one,
        source: 'mmdb' as const,
      })),
    },
  });
}

/** What a worker says of itself is its host's, and its databases' own. */
function hostileWorker(): WorkerStatus {
  const source = { database: LONG, origin: LONG, builtOn: null, ageDays: null, ok: false, problem: LONG };
  const now = Date.now();
  const times = { startedAtMs: now, seenAtMs: now };
  return { id: 'w', host: LONG, pid: 1, version: '1', mode: 'enforce', ...times, sources: [source] };
}

interface Set {
  readonly pages: TestConsole;
  readonly user: string;
  readonly paths: readonly string[];
  /** What no page may hold. */
  readonly secrets: readonly string[];
  readonly lids: readonly string[];
}

async function liveSession(web: WebTier, userId: string) {
  const [lid, id] = [loginId(userId), randomToken()];
  const [engine, handle, now] = [web.engine(), sessionHandle(id), Date.now()];
  await engine.save(engine.fresh(id, lid), { cookie: {}, userId }, null);
  const login = { lid, handle, userId, address: ADDRESS.london, loginAtMs: now, userAgent: LONG, deviceId: LONG };
  await web.registry.add(login, now, now + DAY);
  return { lid, id, handle };
}

async function hostileDesk(user: string): Promise<Set> {
  const prefix = testPrefix();
  const redis = connect();
  const keys = keysFor(prefix);
  const log = captureLog();
  const desk = openDesk({ redis, keys, clock: Date.now, log });
  release(() => desk.close());
  const incidents = redisIncidents(redis, keys, DAY);
  const incident = hostileIncident(user);
  await incidents.record([incident, anIncident({ userId: user, decidedAtMs: Date.now() - 1 })]);
  for (const kind of ['refused', 'gotcha'] as const) {
    const visit = { atMs: Date.now(), kind, address: HOSTILE, userAgent: LONG, method: LONG, path: LONG };
    await incidents.visit(incident.id, visit);
  }
  const live = await liveSession(new WebTier(prefix, redis), user);
  await redisHistory(redis, keys, DAY).add(user, [
    aVisit('a-lid-in-history', {
      caseId: HOSTILE,
      countries: [HOSTILE],
      userAgent: LONG,
      deviceId: LONG,
      address: LONG,
    }),
  ]);
  await redisBaselines(redis, keys, DAY, log).save([{ userId: user, revision: 0, baseline: incident.baseline }]);
  await redisWorkers(redis, keys).say(hostileWorker());
  const actor = { by: 'bo "><script>alert(1)</script>\u202e\u001b[1m', role: 'admin' } as const;
  const why = HOSTILE;
  await desk.addToList({ list: 'block', kind: 'address', value: '2.125.160.217', why, expiresAtMs: null }, actor);
  await desk.addToList({ list: 'allow', kind: 'user', value: user, why, expiresAtMs: null }, actor);
  await desk.answer(incident.id, { disposition: 'dismissed', note: HOSTILE }, actor);
  return {
    pages: openConsole(desk),
    user,
    secrets: [incident.handle, incident.lid, live.handle, live.id, 'a-lid-in-history'],
    lids: [live.lid],
    paths: [
      '/incidents?status=all',
      `/incidents/${incident.id}`,
      '/address?address=2.125.160.217',
      '/network?network=2.125.160.0/24',
      `/user?${new URLSearchParams({ id: user })}`,
      '/',
      '/lists',
      '/audit',
      `/privacy?${new URLSearchParams({ user })}`,
    ],
  };
}

/** Everything but line feeds that would change how others read the page. */
const ODD = /[\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Co}\p{Cn}]|(?!\n)\p{Cc}/u;

/** Without what stands in quotes: what is left of a tag are the names of its attributes. */
const unquoted = (html: string) => html.replace(/"[^"]*"/g, '""');

describe.each([
  ['an ordinary user', 'alice'],
  ['a hostile user id', `${HOSTILE.slice(0, 200)}/../?&#`],
])('%s with hostile text in every field', (_, user) => {
  let set: Set;
  beforeAll(async () => {
    set = await hostileDesk(user);
  });

  test.each([0, 1, 2, 3, 4, 5, 6, 7, 8])('page %d shows it as text, and bounded', async (index) => {
    const path = set.paths[index] ?? '';
    for (const role of ['admin', 'viewer'] as const) {
      const { status, html, text } = await set.pages.get(path, { role });
      expect([set.pages.log.text(), path, status]).toEqual(['', path, 200]);
      expect(html).not.toMatch(/<(script>|img|b>)/);
      expect(unquoted(html)).not.toMatch(/<[^>]*\son\w+=/);
      expect(ODD.exec(html)).toBeNull();
      expect(html).not.toMatch(/\p{M}{3}/u);
      expect(html.length).toBeLessThan(200_000);
      // The queue and what is held show nothing of an outsider's but the user's id.
      if ((index > 0 && index < 8) || user !== 'alice') expect(text).toContain('<script>alert(1)</script>');
    }
  });

  test.each([0, 1, 2, 3, 4, 5, 6, 7, 8])(
    'page %d holds no session id, no handle, and no login id but where a form needs it',
    async (index) => {
      const path = set.paths[index] ?? '';
      for (const role of ['admin', 'viewer'] as const) {
        const { html, text } = await set.pages.get(path, { role });
        for (const secret of set.secrets) expect(html).not.toContain(secret);
        for (const lid of set.lids) {
          expect(text).not.toContain(lid);
          const inForms = html.split(`value="${lid}"`).length - 1;
          expect(inForms).toBe(role === 'admin' && index === 4 ? 1 : 0);
          expect(html.split(lid).length - 1).toBe(inForms);
        }
      }
    },
  );
});

test('a page that quotes a filter quotes it as text', async () => {
  const { pages } = await hostileDesk('alice');
  const query = new URLSearchParams({
    user: '"><script>alert(1)</script>',
    country: '"><b>',
    cursor: '<i>',
    status: '<u>',
  });
  const { status, html } = await pages.get(`/incidents?${query}`);
  expect(status).toBe(200);
  expect(html).not.toMatch(/<(script>|b>|i>|u>)/);
});

test.each([
  ['\u202ezqz', 'U+202E'],
  ['\u001b[31mzqz', 'U+001B'],
  ['zqz\u0000', 'U+0000'],
  ['zqz\r\nzqz', 'U+000D'],
])(
  'a filter or a search for %j shows it by its number: no input holds what it would not give back',
  async (odd, number) => {
    const { pages } = await hostileDesk('alice');
    const queue = (await pages.get(`/incidents?${new URLSearchParams({ user: odd })}`)).html;
    const lists = (await pages.get(`/lists?${new URLSearchParams({ q: odd })}`)).html;
    for (const html of [queue, lists]) {
      expect(html).not.toContain(odd);
      expect(html).not.toMatch(/value="[^"]*zqz/);
    }
    expect(queue).toContain(number);
  },
);

test('alice, a thief, the gotcha page, an analyst: the whole way over the real worker and the real desk', async () => {
  const prefix = testPrefix();
  const shop = await openShop(prefix);
  await openWorker(prefix);
  const redis = connect();
  const desk = openDesk({ redis, keys: keysFor(prefix), clock: Date.now, log: captureLog() });
  release(() => desk.close());
  const pages = openConsole(desk);

  await shop.browser(ADDRESS.london).login('alice');
  await until(async () => (await desk.trust('alice')).baseline.v4.places.length > 0);
  const thief = shop.browser(ADDRESS.lagos);
  await thief.post('/login?user=alice', { 'user-agent': '<script>alert(1)</script>' });
  const sessionId = await thief.sessionId();
  const found = await until(async () => (await desk.incidents({ userId: 'alice' }, 1, null)).incidents[0]);
  await until(async () => (await thief.user()) !== 'alice');
  await until(async () => ((await desk.incident(found.id)) as IncidentRecord).visitCount > 0);
  // The worker tells it last, behind the incident.
  await until(async () => (await desk.history('alice', 10)).length === 2);

  expect((await pages.get('/incidents')).html).toContain(found.id);
  const { text, html } = await pages.get(`/incidents/${found.id}`);
  expect(text).toContain('logs in from United Kingdom (GB) and this login came from Nigeria (NG)');
  expect(text).toContain('Browser <script>alert(1)</script>');
  expect(text).toContain('was refused 105.112.10.20 GET /me');
  expect(text).toContain('First refused request');
  expect(html).not.toContain('<script>alert');
  expect((await pages.get('/user?id=alice')).text).toContain('Nigeria (NG): 1 login');
  for (const path of [`/incidents/${found.id}`, '/user?id=alice', `/address?address=${ADDRESS.lagos}`]) {
    expect((await pages.get(path)).html).not.toContain(sessionId);
  }

  const { status, flash } = await pages.post(`/incidents/${found.id}/answer`, { disposition: 'safe', giveBack: 'yes' });
  expect(status).toBe(303);
  expect(flash).toContain('Answered: safe.');
  expect(flash).toContain('The session lives again');
  const second = await pages.post(`/incidents/${found.id}/answer`, { disposition: 'confirmed' }, { by: 'zoe' });
  expect(second.status).toBe(409);
  expect(second.text).toMatch(/Answer safe By rita/);
  expect((await pages.get('/user?id=alice')).text).toContain('Nigeria (NG) country, certain');
});
