/** A wrong answer is corrected: the user's own by any reviewer, a reviewer's by opening the case again. */
import { describe, expect, test } from '@jest/globals';
import { openDesk } from '../../src/desk.ts';
import type { Actor } from '../../src/desk-ports.ts';
import { keysFor } from '../../src/redis/keys.ts';
import { openUserAnswers } from '../../src/user-answers.ts';
import { linkTag, signLink } from '../../src/web/user-link.ts';
import { captureLog, connect, release, testPrefix, until } from '../support/index.ts';
import { ADDRESS, openShop } from '../support/shop.ts';
import { openWorker } from '../support/worker.ts';

const ANN: Actor = { by: 'ann', role: 'analyst' };
const SECRET = 'a'.repeat(40);

/** Alice is known in London; somebody logs in as her from Lagos, and is ended, or from where it is only flagged. */
async function world(from: string = ADDRESS.lagos) {
  const prefix = testPrefix();
  const keys = keysFor(prefix);
  const redis = connect();
  const log = captureLog();
  const desk = openDesk({ redis: connect(), keys, clock: Date.now, log });
  release(() => desk.close());
  const shop = await openShop(prefix);
  await openWorker(prefix);
  await shop.browser(ADDRESS.london).login('alice');
  await until(async () => (await shop.bouncer.sessions.list('alice'))[0]?.countries.length === 1);
  const thief = shop.browser(from);
  const { lid } = (await thief.login('alice')).json();
  const find = async (id: unknown) =>
    (await desk.incidents({ userId: 'alice' }, 50, null)).incidents.find((one) => one.lid === id);
  const incident = await until(() => find(lid));
  const page = openUserAnswers({ redis, keys, desk, clock: Date.now, log }, { secrets: [SECRET] });
  const says = (answer: 'yes' | 'no') => {
    const claims = { caseId: incident.id, userTag: linkTag('alice'), expiresAtMs: Date.now() + 1e6 };
    const body = new URLSearchParams({ t: signLink(claims, SECRET), answer });
    return page(new Request('http://desk.test/', { method: 'POST', body }));
  };
  const known = async () => {
    const { v4 } = (await desk.trust('alice')).baseline;
    return [...v4.places.flatMap(({ countries }) => countries), ...v4.networks.map(({ network }) => network)];
  };
  return { desk, shop, thief, incident, says, known, find };
}

const LAGOS = ['NG', '105.112.10.0/24'];

describe("what the user's link answered", () => {
  test('a wrong yes is overruled by a reviewer: what it taught is forgotten, and the next login is stopped', async () => {
    const { desk, thief, incident, says, known, find } = await world();
    expect((await says('yes')).status).toBe(200);
    expect(await desk.incident(incident.id)).toMatchObject({ status: 'safe', resolvedBy: 'user' });
    expect(await known()).toEqual(expect.arrayContaining(LAGOS));
    await desk.answer(incident.id, { disposition: 'confirmed', note: 'her mail was read' }, ANN);
    const record = await desk.incident(incident.id);
    expect(record).toMatchObject({ status: 'confirmed', resolvedBy: 'ann', overruled: 'safe' });
    expect(await known()).toEqual(expect.not.arrayContaining(LAGOS));
    expect((await desk.incidents({ status: 'safe' }, 10, null)).incidents).toEqual([]);
    expect((await desk.incidents({ status: 'confirmed' }, 10, null)).incidents).toHaveLength(1);
    const { lid } = (await thief.login('alice')).json();
    expect(await until(() => find(lid))).toMatchObject({ reason: 'country_changed', outcome: 'revoked' });
  });

  test.each([true, false])(
    'a wrong no of what was only flagged is overruled: the session is given back, then: %s',
    async (giveBack) => {
      const { desk, thief, incident, says } = await world(ADDRESS.parisV6);
      expect(incident).toMatchObject({ action: 'flag', outcome: 'none' });
      expect((await says('no')).status).toBe(200);
      expect(await desk.standingEnd(incident)).toMatchObject({ caseId: incident.id });
      const done = await desk.answer(incident.id, { disposition: 'safe', note: 'she called', giveBack }, ANN);
      expect(done.givenBack).toBe(giveBack ? 'given_back' : null);
      if (!giveBack) expect(await desk.undo(incident.id, 'she called again', ANN)).toBe('given_back');
      expect(await thief.user()).toBe('alice');
    },
  );

  test('the link does not overrule a reviewer, nor one reviewer another', async () => {
    const { desk, incident, says } = await world();
    await desk.answer(incident.id, { disposition: 'dismissed', note: '' }, ANN);
    await says('yes');
    expect(await desk.incident(incident.id)).toMatchObject({ status: 'dismissed', resolvedBy: 'ann' });
    const other = desk.answer(incident.id, { disposition: 'safe', note: '' }, { by: 'bob', role: 'analyst' });
    await expect(other).rejects.toMatchObject({ code: 'incident_closed' });
  });
});

describe('a case that is opened again', () => {
  test('says what safe taught, forgets it where that is wanted, and is answered anew', async () => {
    const { desk, incident, known } = await world();
    await desk.answer(incident.id, { disposition: 'safe', note: '', giveBack: false }, ANN);
    const learned = { countries: ['NG'], networks: ['105.112.10.0/24'] };
    expect(await desk.learned(incident)).toEqual(learned);
    const kept = await desk.reopen(incident.id, 'too quick', ANN);
    expect(kept).toEqual({ was: 'safe', learned, forgotten: false });
    expect(await known()).toEqual(expect.arrayContaining(LAGOS));
    await desk.answer(incident.id, { disposition: 'safe', note: '', giveBack: false }, ANN);
    const before = await known();
    expect(await desk.reopen(incident.id, 'she called', ANN, { forget: true })).toMatchObject({ forgotten: true });
    expect((await known()).sort()).toEqual(before.filter((name) => !LAGOS.includes(name)).sort());
    expect(await desk.incident(incident.id)).toMatchObject({ status: 'open' });
    expect((await desk.incident(incident.id))?.resolvedBy).toBeUndefined();
    const acts = (await desk.audit(20)).map(({ what, by, why, outcome }) => `${what} ${by}: ${outcome} (${why})`);
    expect(acts).toContain('answer ann: reopened, was safe, forgotten (she called)');
    expect(acts).toContain('forget_trust ann: NG, 105.112.10.0/24 (she called)');
    await desk.answer(incident.id, { disposition: 'confirmed', note: '' }, ANN);
    expect(await desk.incident(incident.id)).toMatchObject({ status: 'confirmed' });
  });

  test('only where the answer was safe or dismissed, with a why', async () => {
    const { desk, incident } = await world();
    await expect(desk.reopen(incident.id, 'x', ANN)).rejects.toMatchObject({ code: 'option_invalid' });
    await desk.answer(incident.id, { disposition: 'dismissed', note: '' }, ANN);
    await expect(desk.reopen(incident.id, ' ', ANN)).rejects.toMatchObject({ code: 'option_invalid' });
    expect(await desk.reopen(incident.id, 'x', ANN)).toEqual({ was: 'dismissed', learned: null, forgotten: false });
    await desk.answer(incident.id, { disposition: 'confirmed', note: '' }, ANN);
    await expect(desk.reopen(incident.id, 'x', ANN)).rejects.toMatchObject({ code: 'option_invalid' });
    await expect(desk.reopen('AAAA-BBBB-CCCC', 'x', ANN)).rejects.toMatchObject({ code: 'incident_unknown' });
  });
});
