import { describe, expect, test } from '@jest/globals';
import { caseOf } from '../../src/case-of.ts';
import { openDesk } from '../../src/desk.ts';
import type { Actor } from '../../src/desk-ports.ts';
import type { LoginEvent } from '../../src/domain/types.ts';
import { redisSessions } from '../../src/redis/ender.ts';
import { redisIncidents } from '../../src/redis/incidents.ts';
import { keysFor } from '../../src/redis/keys.ts';
import { incidentOf } from '../support/incident.ts';
import { captureLog, connect, release, testPrefix, until } from '../support/index.ts';
import { ADDRESS, type Browser, openShop } from '../support/shop.ts';
import { openWorker } from '../support/worker.ts';

const ANN: Actor = { by: 'ann', role: 'analyst' };
const MINUTE_MS = 60_000;

/** Alice, known in London, whose login from Lagos was ended, answered `safe` and given back. */
async function givenBack() {
  const prefix = testPrefix();
  const time = { now: Date.now() };
  const clock = () => time.now;
  const shop = await openShop(prefix, { bouncer: { clock, rotate: { everyRequests: 1 } } });
  await openWorker(prefix, { clock });
  const desk = openDesk({ redis: connect(), keys: keysFor(prefix), clock, log: captureLog() });
  release(() => desk.close());
  const home = shop.browser(ADDRESS.london);
  await until(async () => (await home.login('alice')).json().saved);
  await until(async () => (await shop.bouncer.sessions.list('alice')).some(({ countries }) => countries.length === 1));
  const owner = shop.browser(ADDRESS.lagos);
  await owner.login('alice');
  const first = await until(async () => (await desk.incidents({ userId: 'alice' }, 10, null)).incidents[0]);
  await owner.get('/me');
  time.now += 1000;
  await desk.answer(first.id, { disposition: 'safe', note: '' }, ANN);
  time.now += 1000;
  await owner.get('/me');
  /** The owner goes on; then a copy of an id from before comes back, late. */
  const reuse = async () => {
    const thief: Browser = shop.browser(ADDRESS.lagos);
    for (const cookie of await owner.jar.getCookies(shop.url)) await thief.jar.setCookie(cookie, shop.url);
    for (let i = 0; i < 3; i++) await owner.get('/me');
    time.now += 2 * MINUTE_MS;
    return { thief, page: await thief.get('/me') };
  };
  return { shop, desk, owner, first, time, reuse, prefix };
}

describe('a login that was given back and ends again', () => {
  test('by a reuse: an open incident of its own, which gets the visits', async () => {
    const { desk, first, owner, reuse } = await givenBack();
    const { page } = await reuse();
    const caseId = caseOf(first.lid, 'session_reused');
    expect([page.status, page.location]).toEqual([303, `/gotcha?case=${caseId}`]);
    const found = await until(async () => (await desk.incident(caseId)) ?? undefined);
    expect(found).toMatchObject({ status: 'open', reason: 'session_reused', outcome: 'revoked', lid: first.lid });
    expect((await owner.get('/me')).location).toBe(`/gotcha?case=${caseId}`);
    await until(async () => ((await desk.incident(caseId))?.visitCount ?? 0) >= 2);
    expect(await desk.incident(first.id)).toMatchObject({ status: 'safe', reason: 'country_changed' });
    expect((await desk.incidents({ status: 'open' }, 10, null)).incidents.map(({ id }) => id)).toEqual([caseId]);
  });

  test('by a second reuse: the answered incident is open again, and says why', async () => {
    const { desk, first, owner, reuse, time } = await givenBack();
    await reuse();
    const caseId = caseOf(first.lid, 'session_reused');
    await until(async () => (await desk.incident(caseId)) ?? undefined);
    time.now += 1000;
    const answer = { disposition: 'safe', note: 'both were hers', giveBack: true } as const;
    expect(await desk.answer(caseId, answer, ANN)).toMatchObject({ givenBack: 'given_back' });
    time.now += 1000;
    await owner.get('/me');
    expect(await owner.user()).toBe('alice');
    // An id that is new is not changed again at once.
    time.now += MINUTE_MS;
    await reuse();
    const again = await until(async () => {
      const found = await desk.incident(caseId);
      return found?.endedAgain === undefined ? undefined : found;
    });
    expect(again).toMatchObject({ status: 'open', endedAgain: { reason: 'session_reused', was: 'safe' } });
    expect(again.resolvedBy).toBeUndefined();
    expect(again.endedAgain?.atMs).toBeGreaterThan(again.revokedAtMs ?? 0);
    const { incidents } = await desk.incidents({ status: 'open' }, 10, null);
    expect(incidents.map(({ id }) => id)).toEqual([caseId]);
  });

  test('undo of the first case leaves the end by the reuse alone; that one is lifted by a choice of its own', async () => {
    const { desk, first, owner, reuse, time, shop } = await givenBack();
    const { thief } = await reuse();
    const kept = await owner.jar.getCookies(shop.url);
    const caseId = caseOf(first.lid, 'session_reused');
    await until(async () => (await desk.incident(caseId)) ?? undefined);
    time.now += 1000;
    expect(await desk.undo(first.id, 'ended again, says the user', ANN)).toBe('blocked');
    const again = { disposition: 'safe', note: '', giveBack: true } as const;
    await expect(desk.answer(first.id, again, ANN)).rejects.toMatchObject({ code: 'incident_closed' });
    expect((await owner.get('/me')).status).toBe(303);
    expect(await thief.user()).not.toBe('alice');
    const end = await desk.standingEnd(first);
    expect(end).toMatchObject({ reason: 'session_reused', caseId });
    await expect(desk.undo(caseId, 'both hers', ANN)).rejects.toMatchObject({ code: 'option_invalid' });
    expect(await desk.undo(caseId, 'both hers', ANN, { reuse: true, endedAtMs: (end?.atMs ?? 0) - 1 })).toBe('blocked');
    const asShown = { reuse: true, endedAtMs: end?.atMs };
    expect(await desk.undo(caseId, 'both hers', ANN, asShown)).toBe('given_back');
    const back = shop.browser(ADDRESS.lagos);
    for (const cookie of kept) await back.jar.setCookie(cookie, shop.url);
    expect(await back.user()).toBe('alice');
    expect(await desk.standingEnd(first)).toBeNull();
  });

  test('safe alone does not give a reused session back', async () => {
    const { desk, first, owner, reuse, time } = await givenBack();
    await reuse();
    const caseId = caseOf(first.lid, 'session_reused');
    await until(async () => (await desk.incident(caseId)) ?? undefined);
    time.now += 1000;
    expect(await desk.answer(caseId, { disposition: 'safe', note: '' }, ANN)).toMatchObject({ givenBack: null });
    expect((await owner.get('/me')).status).toBe(303);
  });

  test('not by a repeat of the job of its old end', async () => {
    const { desk, first, owner, prefix, time } = await givenBack();
    time.now += 1000;
    const { lid, handle, loginAtMs, reason } = first;
    const sessions = redisSessions(connect(), keysFor(prefix), 1e9);
    const repeat = { lid, handle, reason, caseId: first.id, atMs: time.now, loginAtMs };
    expect(await sessions.revoke([repeat])).toMatchObject([{ lifted: true }]);
    expect(await owner.user()).toBe('alice');
    expect(await desk.incident(first.id)).toMatchObject({ status: 'safe' });
  });
});

describe('a case that is recorded once more', () => {
  const store = () => redisIncidents(connect(), keysFor(testPrefix()), 1e9);
  const answer = { by: 'ann', note: 'n', atMs: 20 };

  test.each(['safe', 'dismissed'] as const)('a new end opens a %s one again, once', async (disposition) => {
    const incidents = store();
    const incident = incidentOf('bob', { revokedAtMs: 10 });
    expect(await incidents.record([incident])).toEqual([true]);
    await incidents.resolve(incident.id, { ...answer, disposition });
    expect(await incidents.record([incident])).toEqual([false]);
    const later = { ...incident, revokedAtMs: 30, loginAtMs: 25 };
    expect(await incidents.record([later])).toEqual(['ended_again']);
    const endedAgain = { reason: 'country_changed', atMs: 30, eventAtMs: 25, was: disposition };
    expect(await incidents.get(incident.id)).toMatchObject({ status: 'open', revokedAtMs: 10, endedAgain });
    expect(await incidents.existing([incident.id])).toMatchObject([{ endedAgain }]);
    expect((await incidents.list({ status: disposition }, 10)).incidents).toEqual([]);
    expect((await incidents.list({ status: 'open' }, 10)).incidents).toHaveLength(1);
    await incidents.resolve(incident.id, { ...answer, disposition, atMs: 40 });
    expect(await incidents.record([later, incident])).toEqual([false, false]);
    expect(await incidents.get(incident.id)).toMatchObject({ status: disposition });
  });

  test.each([
    ['confirmed: a person ended it then', 'confirmed', {}],
    ['ended by another case', 'safe', { endedByCase: 'AAAA-BBBB-CCCC' }],
    ['not ended at all', 'safe', { revokedAtMs: undefined }],
  ] as const)('but not where it was %s', async (_, disposition, over) => {
    const incidents = store();
    const incident = incidentOf('bob', { revokedAtMs: 10 });
    await incidents.record([incident]);
    await incidents.resolve(incident.id, { ...answer, disposition });
    expect(await incidents.record([{ ...incident, revokedAtMs: 30, ...over }])).toEqual([false]);
    expect(await incidents.get(incident.id)).toMatchObject({ status: disposition });
  });
});

test('a signal has a case of its own, and a login keeps the one that it always had', () => {
  const lid: LoginEvent['lid'] = 'abcdefghijklmnopABCDEFGHIJKLMNOPQRSTUV';
  expect(caseOf(lid, 'session_reused')).not.toBe(caseOf(lid));
});
