/** The review desk over a real shop, a real worker and a real Redis: what an answer does, and what takes it back. */
import { describe, expect, test } from '@jest/globals';
import { type OpenDesk, openDesk } from '../../src/desk.ts';
import type { Actor } from '../../src/desk-ports.ts';
import { emptyBaseline } from '../../src/domain/decide.ts';
import type { IncidentRecord } from '../../src/domain/incident.ts';
import { redisBaselines } from '../../src/redis/baselines.ts';
import { redisSessions } from '../../src/redis/ender.ts';
import { redisIncidents } from '../../src/redis/incidents.ts';
import { type Keys, keysFor, userTag } from '../../src/redis/keys.ts';
import { redisRegistry } from '../../src/redis/registry.ts';
import { openRoom } from '../support/console.ts';
import { Hooks, hookUp } from '../support/hooked-redis.ts';
import { anIncident } from '../support/incidents.ts';
import { type CapturedLog, captureLog, connect, release, testPrefix, until } from '../support/index.ts';
import { ADDRESS, type Browser, openShop, type Shop } from '../support/shop.ts';
import { openWorker } from '../support/worker.ts';

const ANN: Actor = { by: 'ann', role: 'analyst' };
const BOB: Actor = { by: 'bob', role: 'analyst' };
const HOUR_MS = 3_600_000;
const SAFE = { disposition: 'safe', note: 'on holiday' } as const;
const CONFIRMED = { disposition: 'confirmed', note: 'not the user' } as const;

interface World {
  readonly keys: Keys;
  readonly redis: ReturnType<typeof connect>;
  readonly hooks: Hooks;
  readonly shop: Shop;
  readonly desk: OpenDesk;
  readonly log: CapturedLog;
  /** Logs in and waits until the login has its incident. */
  seen(browser: Browser, user?: string): Promise<Seen>;
  open(): Promise<readonly IncidentRecord[]>;
}

interface Seen {
  readonly incident: IncidentRecord;
  readonly lid: string;
  /** As the browser had it before the bounce. */
  readonly cookie: string;
}

async function world(options: Parameters<typeof openWorker>[1] = {}): Promise<World> {
  const prefix = testPrefix();
  const keys = keysFor(prefix);
  const redis = connect();
  const hooks = new Hooks();
  const log = captureLog();
  const desk = openDesk({ redis: hookUp(connect(), hooks), keys, clock: Date.now, log });
  release(() => desk.close());
  const shop = await openShop(prefix);
  const worker = await openWorker(prefix, options);
  release(() => worker.close());
  const open = async () => (await desk.incidents({ status: 'open' }, 50, null)).incidents;
  const known = shop.browser(ADDRESS.london);
  await known.login('alice');
  await until(async () => (await redisRegistry(redis, keys).list('alice', Date.now()))[0]?.countries.length === 1);
  const seen = async (browser: Browser, user = 'alice'): Promise<Seen> => {
    const { lid } = (await browser.login(user)).json();
    const cookie = await browser.jar.getCookieString(shop.url);
    const incident = await until(async () => (await open()).find((one) => one.lid === lid));
    return { incident, lid: String(lid), cookie };
  };
  return { keys, redis, hooks, shop, desk, log, seen, open };
}

/** With the cookie as it was, whatever the browser has now. */
async function userWith({ shop }: World, cookie: string): Promise<unknown> {
  const headers = { cookie, accept: 'text/html', 'x-forwarded-for': ADDRESS.lagos };
  const response = await fetch(`${shop.url}/me`, { redirect: 'manual', headers });
  const body = await response.text();
  return response.status === 200 ? (JSON.parse(body) as { user: unknown }).user : `status ${response.status}`;
}

const acts = async ({ desk }: World) =>
  (await desk.audit(20)).map(({ what, by, outcome }) => `${what} ${by}: ${outcome}`).reverse();

describe('what the workers keep longer than is usual', () => {
  const AGES = { baselineTtlDays: 400, incidentTtlDays: 730, tombstoneTtlDays: 60 } as const;
  const DAY_MS = 24 * HOUR_MS;

  test('a desk that was told no ages keeps as long, and drops nothing as too old', async () => {
    const w = await world(AGES);
    const { keys, redis, desk } = w;
    const old = anIncident({ userId: 'zed', decidedAtMs: Date.now() - 500 * DAY_MS });
    const store = redisIncidents(redis, keys, AGES.incidentTtlDays * DAY_MS);
    await store.record([old]);
    await store.resolve(old.id, { disposition: 'confirmed', by: 'ann', note: '', atMs: Date.now() - 499 * DAY_MS });
    const stored = redisBaselines(redis, keys, AGES.baselineTtlDays * DAY_MS, w.log);
    const [before] = await stored.load(['alice']);
    const longAgo = { firstSeenMs: Date.now() - 390 * DAY_MS, lastSeenMs: Date.now() - 300 * DAY_MS };
    const germany = { countries: ['DE'], agreed: true, ...longAgo };
    const { v4, v6 } = before?.baseline ?? emptyBaseline;
    const baseline = { v4: { ...v4, places: [...v4.places, germany] }, v6 };
    await stored.save([{ userId: 'alice', revision: before?.revision ?? 0, baseline }]);

    const [one, two] = [await w.seen(w.shop.browser(ADDRESS.lagos)), await w.seen(w.shop.browser(ADDRESS.newYork))];
    await desk.answer(one.incident.id, SAFE, ANN);
    const places = (await stored.load(['alice']))[0]?.baseline.v4.places.map(({ countries }) => countries.join());
    expect(places?.sort()).toEqual(['DE', 'GB', 'NG']);
    expect(await redis.pttl(keys.baseline('alice'))).toBeGreaterThan(399 * DAY_MS);
    await desk.answer(two.incident.id, CONFIRMED, ANN);
    const confirmed = (await desk.incidents({ status: 'confirmed' }, 10, null)).incidents.map(({ id }) => id);
    expect(confirmed).toEqual([two.incident.id, old.id]);
    expect(await redis.pttl(keys.incidentsByStatus('confirmed'))).toBeGreaterThan(729 * DAY_MS);
    const flagged = await w.shop.browser(ADDRESS.london).login('alice');
    const { lid } = flagged.json();
    await until(async () => (await desk.sessions('alice')).some((login) => login.lid === lid));
    await desk.endAll('alice', 'all of them', BOB);
    expect(await redis.pttl(keys.loginEnd(String(lid)))).toBeGreaterThan(59 * DAY_MS);
    expect(await redis.pttl(keys.epoch(userTag('alice')))).toBeGreaterThan(399 * DAY_MS);
  });
});

describe('safe', () => {
  test('the session lives again, the country is known, and the re-checks let it live; a new end ends it', async () => {
    const w = await world({ recheckDelaysMs: [300] });
    const { incident, lid, cookie } = await w.seen(w.shop.browser(ADDRESS.lagos));
    expect(await userWith(w, cookie)).toBe('status 303');
    const answered = await w.desk.answer(incident.id, SAFE, ANN);
    expect(answered).toMatchObject({ taught: true, closed: [], ended: 0, givenBack: 'given_back', blocked: null });
    expect(answered.incident).toMatchObject({ status: 'safe', resolvedBy: 'ann', note: 'on holiday' });
    expect(await userWith(w, cookie)).toBe('alice');
    // All three at one moment: between two looks it could have gone from one list to another.
    const jobs = `${w.keys.queuePrefix}:rechecks`;
    const waiting = () => w.redis.multi().zcard(`${jobs}:delayed`).llen(`${jobs}:wait`).llen(`${jobs}:active`).exec();
    await until(async () => (await waiting())?.every(([, count]) => count === 0));
    expect(await userWith(w, cookie)).toBe('alice');
    expect((await w.desk.sessions('alice')).map((one) => one.lid)).toContain(lid);
    expect(await w.desk.endSession('alice', lid, 'after all', BOB)).toBe('ended');
    expect(await userWith(w, cookie)).toBe(null);
    expect(await w.desk.undo(incident.id, 'once more', ANN)).toBe('blocked');
    expect(await acts(w)).toEqual([
      'answer ann: safe',
      'undo ann: given_back',
      'answer ann: safe, taught',
      'end bob: ended',
      'undo ann: blocked',
    ]);
  });

  test('not given back where that is not wanted; undo does it later', async () => {
    const w = await world();
    const { incident, cookie } = await w.seen(w.shop.browser(ADDRESS.lagos));
    const answered = await w.desk.answer(incident.id, { ...SAFE, giveBack: false }, ANN);
    expect(answered).toMatchObject({ taught: true, givenBack: null });
    expect(await userWith(w, cookie)).toBe('status 303');
    expect(await w.desk.undo(incident.id, 'asked for it', ANN)).toBe('given_back');
    expect(await userWith(w, cookie)).toBe('alice');
    expect(await w.desk.incident(incident.id)).toMatchObject({ status: 'safe' });
  });

  test('closes what is alike, and nothing else', async () => {
    const w = await world({ mode: 'observe' });
    const first = await w.seen(w.shop.browser(ADDRESS.lagos));
    const alike = await w.seen(w.shop.browser('105.112.99.20'));
    const elsewhere = await w.seen(w.shop.browser(ADDRESS.newYork));
    const answered = await w.desk.answer(first.incident.id, SAFE, ANN);
    expect(answered).toMatchObject({ closed: [alike.incident.id], givenBack: 'not_ended' });
    expect((await w.open()).map(({ id }) => id)).toEqual([elsewhere.incident.id]);
    expect(await w.desk.incident(alike.incident.id)).toMatchObject({
      status: 'safe',
      note: `the same country as ${first.incident.id}`,
    });
  });

  test('does not take back what ended the login since, for another reason', async () => {
    const w = await world();
    const { incident, lid, cookie } = await w.seen(w.shop.browser(ADDRESS.lagos));
    await w.desk.undo(incident.id, 'looks right', ANN);
    const reuse = { lid, handle: incident.handle, reason: 'session_reused', caseId: 'X', atMs: Date.now() } as const;
    await redisSessions(w.redis, w.keys, HOUR_MS).revoke([reuse]);
    expect(await w.desk.answer(incident.id, SAFE, ANN)).toMatchObject({ taught: true, givenBack: 'blocked' });
    expect(await userWith(w, cookie)).toBe('status 303');
  });
});

describe('confirmed', () => {
  test('ends the login and those from its network, now, and blocks the address', async () => {
    const w = await world({ mode: 'observe' });
    const thief = await w.seen(w.shop.browser(ADDRESS.lagos));
    const second = await w.seen(w.shop.browser('105.112.10.99'));
    const owner = w.shop.browser(ADDRESS.london);
    await owner.login('alice');
    expect(await userWith(w, thief.cookie)).toBe('alice');
    const answered = await w.desk.answer(thief.incident.id, { ...CONFIRMED, blockAddressForMs: HOUR_MS }, ANN);
    expect(answered).toMatchObject({ taught: false, ended: 1, givenBack: null });
    expect(await userWith(w, thief.cookie)).toBe('status 303');
    expect(await userWith(w, second.cookie)).toBe(null);
    expect(await owner.user()).toBe('alice');
    const [entry] = await w.desk.lists();
    expect(entry).toMatchObject({
      id: answered.blocked,
      list: 'block',
      kind: 'address',
      value: ADDRESS.lagos,
      by: 'ann',
    });
    expect(await acts(w)).toEqual([
      'answer ann: confirmed',
      'end ann: ended',
      'end ann: ended',
      `list_add ann: block address ${ADDRESS.lagos}`,
      'answer ann: confirmed, ended 1 others, blocked the address',
    ]);
  });

  test('a wrong one is taken back: the session lives, the incident is open, and can be answered safe', async () => {
    const w = await world();
    const { incident, cookie } = await w.seen(w.shop.browser(ADDRESS.lagos));
    await w.desk.answer(incident.id, CONFIRMED, ANN);
    await expect(w.desk.answer(incident.id, SAFE, ANN)).rejects.toMatchObject({ code: 'incident_closed' });
    expect(await w.desk.undo(incident.id, 'she called', BOB)).toBe('given_back');
    expect(await userWith(w, cookie)).toBe('alice');
    const open = await w.desk.incident(incident.id);
    expect(open).toMatchObject({ status: 'open' });
    expect(open).not.toHaveProperty('resolvedBy');
    expect((await w.open()).map(({ id }) => id)).toEqual([incident.id]);
    expect(await w.desk.answer(incident.id, SAFE, BOB)).toMatchObject({ taught: true, givenBack: 'given_back' });
    expect(await acts(w)).toEqual([
      'answer ann: confirmed',
      'undo bob: given_back',
      'answer bob: reopened',
      'answer bob: safe',
      'undo bob: given_back',
      'answer bob: safe, taught',
    ]);
  });

  test('after it was given back, ends it again', async () => {
    const w = await world();
    const { incident, cookie } = await w.seen(w.shop.browser(ADDRESS.lagos));
    await w.desk.undo(incident.id, 'looks right', ANN);
    expect(await userWith(w, cookie)).toBe('alice');
    await w.desk.answer(incident.id, CONFIRMED, ANN);
    expect(await userWith(w, cookie)).toBe('status 303');
  });
});

describe('answers', () => {
  test('dismissed only closes', async () => {
    const w = await world();
    const { incident, cookie } = await w.seen(w.shop.browser(ADDRESS.lagos));
    const answered = await w.desk.answer(incident.id, { disposition: 'dismissed', note: '' }, ANN);
    expect(answered).toMatchObject({ taught: false, closed: [], ended: 0, givenBack: null, blocked: null });
    expect(await userWith(w, cookie)).toBe('status 303');
  });

  test('of two at once the second is told, and only the first has effects', async () => {
    const w = await world();
    const { incident, cookie } = await w.seen(w.shop.browser(ADDRESS.lagos));
    const both = await Promise.allSettled([
      w.desk.answer(incident.id, SAFE, ANN),
      w.desk.answer(incident.id, CONFIRMED, BOB),
    ]);
    expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    const refused = both.find((one) => one.status === 'rejected');
    expect(refused?.reason).toMatchObject({ code: 'incident_closed' });
    const { status } = (await w.desk.incident(incident.id)) ?? {};
    expect(await userWith(w, cookie)).toBe(status === 'safe' ? 'alice' : 'status 303');
  });

  test('what failed is told, and the same answer by the same person completes it', async () => {
    const w = await world();
    const { incident, cookie } = await w.seen(w.shop.browser(ADDRESS.lagos));
    w.hooks.fail(({ name }) => name === 'lift');
    const first = w.desk.answer(incident.id, SAFE, ANN);
    await expect(first).rejects.toMatchObject({
      code: 'answer_incomplete',
      message: expect.stringContaining('give_back'),
    });
    expect(await w.desk.incident(incident.id)).toMatchObject({ status: 'safe' });
    expect(await userWith(w, cookie)).toBe('status 303');
    await expect(w.desk.answer(incident.id, SAFE, BOB)).rejects.toMatchObject({ code: 'incident_closed' });
    expect(await w.desk.answer(incident.id, SAFE, ANN)).toMatchObject({ taught: false, givenBack: 'given_back' });
    expect(await userWith(w, cookie)).toBe('alice');
    await expect(w.desk.answer(incident.id, SAFE, ANN)).rejects.toMatchObject({ code: 'incident_closed' });
    expect((await acts(w)).filter((one) => one.startsWith('answer'))).toEqual([
      'answer ann: safe',
      'answer ann: safe, taught, give_back failed',
      'answer ann: safe',
    ]);
  });

  test('what was left half done by a process that died is in the audit, and anybody completes it', async () => {
    const w = await world({ mode: 'observe' });
    const { incident, cookie } = await w.seen(w.shop.browser(ADDRESS.lagos));
    // It goes no further than the answer, as if it had been killed there.
    const dead = w.hooks.hold(({ name }) => name === 'mark');
    release(() => dead.release());
    w.desk.answer(incident.id, { ...CONFIRMED, blockAddressForMs: HOUR_MS }, ANN).catch(() => {});
    await dead.reached;
    expect(await acts(w)).toEqual(['answer ann: confirmed']);
    expect(await w.desk.incident(incident.id)).toMatchObject({ status: 'confirmed', pending: {} });
    expect(await userWith(w, cookie)).toBe('alice');
    let nowMs = Date.now();
    const other = openDesk({ redis: connect(), keys: w.keys, clock: () => nowMs, log: captureLog() });
    release(() => other.close());
    const room = openRoom({ desk: other, clock: () => nowMs });
    const page = async () => (await room.get(`/incidents/${incident.id}`)).text();
    expect(await page()).not.toContain('may not all be done');
    await expect(other.answer(incident.id, CONFIRMED, BOB)).rejects.toMatchObject({ code: 'incident_closed' });
    nowMs += 31_000;
    expect(await page()).toContain('what follows from it may not all be done');
    await expect(other.answer(incident.id, SAFE, BOB)).rejects.toMatchObject({ code: 'incident_closed' });
    const completed = await other.answer(incident.id, CONFIRMED, BOB);
    expect(completed.incident).toMatchObject({ status: 'confirmed', resolvedBy: 'ann', note: 'not the user' });
    expect(completed.blocked).toBe((await w.desk.lists())[0]?.id);
    expect(await userWith(w, cookie)).toBe('status 303');
    expect(await w.desk.incident(incident.id)).not.toHaveProperty('pending');
    expect(await page()).not.toContain('may not all be done');
    await expect(other.answer(incident.id, CONFIRMED, BOB)).rejects.toMatchObject({ code: 'incident_closed' });
    expect(await acts(w)).toEqual([
      'answer ann: confirmed',
      'end bob: ended',
      `list_add bob: block address ${ADDRESS.lagos}`,
      'answer bob: confirmed, blocked the address',
    ]);
  });

  test.each([
    ['no such case', 'ZZZZ-ZZZZ-ZZZZ', {}, ANN, 'incident_unknown'],
    ['nobody', null, {}, { ...ANN, by: ' ' }, 'option_invalid'],
    ['the registry worker', null, {}, { ...ANN, by: 'registry' }, 'option_invalid'],
    ['the brake', null, {}, { ...ANN, by: 'Brake' }, 'option_invalid'],
    ['a long note', null, { note: 'n'.repeat(2001) }, ANN, 'option_invalid'],
    ['a block without a theft', null, { blockAddressForMs: 1 }, ANN, 'option_invalid'],
    ['a block of no length', null, { disposition: 'confirmed', blockAddressForMs: 0 }, ANN, 'option_invalid'],
  ] as const)('%s is refused, and nothing is done', async (_, caseId, more, actor, code) => {
    const w = await world();
    const { incident, cookie } = await w.seen(w.shop.browser(ADDRESS.lagos));
    const answer = w.desk.answer(caseId ?? incident.id, { ...SAFE, ...more }, actor);
    await expect(answer).rejects.toMatchObject({ code });
    expect(await w.desk.incident(incident.id)).toMatchObject({ status: 'open' });
    expect([await userWith(w, cookie), await acts(w)]).toEqual(['status 303', []]);
  });
});

describe('beside the answers', () => {
  test('related incidents, without the one itself', async () => {
    const w = await world({ mode: 'observe' });
    const mine = await w.seen(w.shop.browser(ADDRESS.lagos));
    const again = await w.seen(w.shop.browser(ADDRESS.lagos));
    const near = await w.seen(w.shop.browser('105.112.10.99'));
    const found = await w.desk.related(mine.incident, 10);
    const ids = Object.fromEntries(Object.entries(found).map(([name, all]) => [name, all.map(({ id }) => id)]));
    expect(ids).toEqual({
      user: [near.incident.id, again.incident.id],
      address: [again.incident.id],
      network: [near.incident.id, again.incident.id],
    });
  });

  test('trust: a country and a network, by a person, with the audit', async () => {
    const w = await world();
    const places = async () => (await w.desk.trust('alice')).baseline.v4.places.map(({ countries }) => countries[0]);
    await w.desk.trustCountry('alice', 'ng', 'moves there', ANN);
    expect(await places()).toEqual(['NG', 'GB']);
    await w.desk.trustNetwork('alice', ADDRESS.lagos, 'the office', ANN);
    expect((await w.desk.trust('alice')).baseline.v4.networks[0]?.network).toBe('105.112.10.0/24');
    const nigeria = { countries: ['NG'], networks: [] };
    expect(await w.desk.forgetCountry('alice', 'NG', 'is back', ANN)).toEqual(nigeria);
    expect(await w.desk.forgetCountry('alice', 'NG', 'is back', ANN)).toBe(null);
    expect(await w.desk.forgetNetwork('alice', '105.112.10.0/24', 'is back', ANN)).toBe(true);
    expect(await places()).toEqual(['GB']);
    for (const bad of ['XX', 'France']) {
      await expect(w.desk.trustCountry('alice', bad, 'why', ANN)).rejects.toMatchObject({ code: 'option_invalid' });
    }
    await expect(w.desk.trustCountry('nobody', 'NG', 'why', ANN)).rejects.toMatchObject({ code: 'option_invalid' });
    await expect(w.desk.trustNetwork('alice', '105.0.0.0/8', 'why', ANN)).rejects.toMatchObject({
      code: 'option_invalid',
    });
    expect(await acts(w)).toEqual([
      'trust ann: country NG',
      'trust ann: network 105.112.10.0/24',
      'forget_trust ann: country NG',
      'forget_trust ann: network 105.112.10.0/24',
    ]);
  });

  test('a country is forgotten with the networks it was seen in: a thief who was called safe is not let in again', async () => {
    const w = await world();
    const { incident } = await w.seen(w.shop.browser(ADDRESS.lagos));
    await w.desk.answer(incident.id, { ...SAFE, giveBack: false }, ANN);
    expect(await w.desk.forgetCountry('alice', 'NG', 'was a thief', BOB)).toEqual({
      countries: ['NG'],
      networks: ['105.112.10.0/24'],
    });
    const { baseline } = await w.desk.trust('alice');
    expect(baseline.v4.networks.map(({ network }) => network)).toEqual(['81.2.69.0/24']);
    expect((await acts(w)).at(-1)).toBe('forget_trust bob: country NG, network 105.112.10.0/24');
    const again = await w.seen(w.shop.browser('105.112.10.99'));
    expect(again.incident).toMatchObject({ action: 'revoke', reason: 'country_changed' });
  });

  test('the overview holds what the parts say', async () => {
    const w = await world({ mode: 'observe' });
    await w.seen(w.shop.browser(ADDRESS.lagos));
    const overview = await until(async () => {
      const now = await w.desk.overview(Date.now() - HOUR_MS, Date.now());
      // The sessions are counted with the logins, the users a moment later.
      return now.wouldHaveEnded?.users === 1 && now.workers.length === 1 && now;
    });
    expect(overview).toMatchObject({
      openIncidents: 1,
      wouldHaveEnded: { sessions: 1, users: 1 },
      deadLetters: 0,
      lastTrip: null,
      totals: { logins: 2 },
    });
    expect(overview.countries.map(({ country }) => country).sort()).toEqual(['GB', 'NG']);
    expect(overview.queues.map(({ name }) => name)).toContain('logins');
  });

  test('no session id, and no handle, in the audit', async () => {
    const w = await world();
    const browser = w.shop.browser(ADDRESS.lagos);
    const { incident, cookie } = await w.seen(browser);
    await w.desk.answer(incident.id, SAFE, ANN);
    const text = JSON.stringify(await w.desk.audit(100)) + w.log.text();
    const id = decodeURIComponent(cookie).split('s:')[1]?.split('.')[0] ?? '';
    expect(id.length).toBeGreaterThan(20);
    expect(text).not.toContain(id);
    expect(text).not.toContain(incident.handle);
  });

  test('a baseline that a worker changes at the same time loses nothing', async () => {
    const w = await world();
    const { incident } = await w.seen(w.shop.browser(ADDRESS.lagos));
    await Promise.all([
      w.desk.answer(incident.id, SAFE, ANN),
      w.desk.trustCountry('alice', 'FR', 'a', ANN),
      w.desk.trustCountry('alice', 'DE', 'b', ANN),
    ]);
    const [stored] = await redisBaselines(w.redis, w.keys, HOUR_MS, w.log).load(['alice']);
    const countries = stored?.baseline.v4.places.flatMap((one) => one.countries).sort();
    expect(countries).toEqual(['DE', 'FR', 'GB', 'NG']);
  });
});
