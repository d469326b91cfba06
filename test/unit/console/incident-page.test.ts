import { describe, expect, test } from '@jest/globals';
import { momentsOf } from '../../../src/console/pages/incident-story.tsx';
import type { UndoOutcome } from '../../../src/desk-ports.ts';
import type { IncidentRecord } from '../../../src/domain/incident.ts';
import { BouncerError } from '../../../src/errors.ts';
import { memoryDesk } from '../../support/desk.ts';
import { addCase, NOON } from '../../support/desk-cases.ts';
import { openConsole } from '../../support/desk-pages.ts';
import { FRANCE } from '../../support/incidents.ts';

const DAY = 86_400_000;

const visit = (atMs: number, kind: 'refused' | 'gotcha', path: string) => ({
  atMs,
  kind,
  path,
  address: '203.0.113.9',
  userAgent: 'curl/8',
  method: 'POST',
});

function desk(over: Partial<IncidentRecord> = {}) {
  const store = memoryDesk();
  const evidence = { ...FRANCE.evidence[0], database: 'GeoCity', builtOn: '2026-02-19', country: 'FR' } as const;
  const known = { countries: ['GB'], agreed: true, firstSeenMs: NOON - 40 * DAY, lastSeenMs: NOON - 3 * DAY };
  const incident = addCase(store, {
    loginAtMs: NOON,
    queuedAtMs: NOON + 12,
    decidedAtMs: NOON + 47,
    revokedAtMs: NOON + 51,
    firstRefusedAtMs: NOON + 1551,
    baseline: { v4: { places: [known], networks: [] }, v6: { places: [], networks: [] } },
    sighting: {
      ...FRANCE,
      flags: undefined,
      evidence: [{ ...evidence, network: '2.125.0.0/16', asn: 64500, holder: 'Example Net', note: 'override' }],
    },
    deviceId: 'a-phone',
    visitCount: 7,
    visits: [
      visit(NOON + 1551, 'refused', '/orders'),
      visit(NOON + 1600, 'gotcha', '/gotcha'),
      visit(NOON + 9000, 'gotcha', '/g'),
    ],
    ...over,
  });
  const console = openConsole(store);
  const path = `/incidents/${incident.id}`;
  return { store, incident, console, path };
}

describe('the page of an incident', () => {
  test('answers "why": both sides, each source, times, visits, distance', async () => {
    const { console, path, incident } = desk();
    const { status, text } = await console.get(path);
    expect(status).toBe(200);
    for (const part of [
      `Case ${incident.id}`,
      'Ended because this user logs in from United Kingdom (GB) and this login came from France (FR).',
      'Certain United Kingdom (GB) since 2026-01-20 12:00:00 , last 2026-02-26 12:00:00',
      'Address 2.125.160.217',
      'Network 2.125.160.0/24',
      'Device a-phone',
      'Browser ThiefBrowser/6.6',
      'Time apart 3 d after the user was last seen where they are known',
      'United Kingdom to France: about',
      '(from the middle of United Kingdom and the middle of France)',
      'GeoCity 2026-02-19 10 days old FR 2.125.0.0/16 AS64500 Example Net',
      'Decided 2026-03-01 12:00:00.047 35 ms 47 ms',
      'First refused request 2026-03-01 12:00:01.551 1,500 ms 1,551 ms',
      '7 visits; the 3 kept ones',
      'was refused 203.0.113.9 POST /orders curl/8',
    ]) {
      expect(text).toContain(part);
    }
  });

  test('the timeline goes from the login to the last view of the gotcha page', () => {
    const { incident } = desk({ resolvedAtMs: NOON + 20_000 });
    expect(momentsOf(incident).map(({ what, atMs }) => [what, atMs - NOON])).toEqual([
      ['Login', 0],
      ['Queued', 12],
      ['Decided', 47],
      ['Session ended (tombstone written)', 51],
      ['First refused request', 1551],
      ['Gotcha page first seen', 1600],
      ['Gotcha page last seen', 9000],
      ['Answered', 20_000],
    ]);
  });

  test('shows the other incidents of user, address and network, and the acts on this case', async () => {
    const { store, console, path, incident } = desk();
    const ofUser = addCase(store, { sighting: { ...FRANCE, address: '9.9.9.9', network: '9.9.9.0/24' } });
    const ofNetwork = addCase(store, { userId: 'bob', sighting: { ...FRANCE, address: '2.125.160.5' } });
    const entry = {
      what: 'undo',
      by: 'zoe',
      why: 'a call',
      userId: 'alice',
      lid: null,
      outcome: 'given_back',
    } as const;
    await store.note({ ...entry, caseId: incident.id });
    await store.note({ ...entry, caseId: ofUser.id, why: 'another matter' });
    const { text, html } = await console.get(path);
    expect(html).toContain(ofUser.id);
    expect(html).toContain(ofNetwork.id);
    expect(text).toMatch(/Other incidents of this address None\./);
    expect(text).toContain('zoe gave a session back ( given back ): a call');
    expect(text).not.toContain('another matter');
  });

  test('an entry of a list, the brake, a registry and a user that spoke are told', async () => {
    const { store, console, path } = desk({
      reason: 'blocked',
      listEntryId: 'e1',
      brake: true,
      userWord: { said: 'no', atMs: NOON },
      registry: { settlement: 'elsewhere', evidence: [], atMs: NOON },
    });
    const entry = { list: 'block', kind: 'asn', value: '64500', by: 'bo', why: 'spam', expiresAtMs: null } as const;
    store.entries.push({ ...entry, id: 'e1', createdAtMs: NOON });
    const { text } = await console.get(path);
    expect(text).toContain('the safety brake was on');
    expect(text).toContain('The entry: block asn 64500 , by bo : spam');
    expect(text).toContain('the user said no at');
    expect(text).toContain('names a country that this user is not known in');
  });

  test('one without an address, a baseline or a visit is shown too', async () => {
    const nothing = { places: [], networks: [] };
    const { console, path } = desk({
      reason: 'session_reused',
      sighting: { kind: 'unlocatable', why: 'no_address', address: null, evidence: [] },
      baseline: { v4: nothing, v6: nothing },
      visits: [],
      visitCount: 0,
      deviceId: undefined,
    });
    const { status, text, html } = await console.get(path);
    expect(status).toBe(200);
    expect(text).toContain('The late request Address unknown Network unknown Not located the web tier knew no address');
    expect(text).toContain('Nothing was known of this user.');
    expect(html).not.toContain('name="block"');
  });

  test.each(['/incidents/AAAA-AAAA-AAAA', '/incidents/x', '/incidents/%00', '/incidents/..%2f..%2f'])(
    '%s: 404',
    async (path) => {
      expect((await desk().console.get(path)).status).toBe(404);
    },
  );

  test('a case number may be typed in small letters', async () => {
    const { console, path } = desk();
    expect((await console.get(path.toLowerCase())).status).toBe(200);
  });
});

describe('an answer', () => {
  test('of each kind does what was asked, and says what it did', async () => {
    const { store, console, path, incident } = desk();
    const { status, location } = await console.post(`${path}/answer`, {
      disposition: 'confirmed',
      note: ' seen\r\nbefore ',
      block: '7d',
      giveBack: 'yes',
    });
    expect([status, location]).toEqual([303, path]);
    expect(store.acts).toEqual([
      {
        what: 'answer',
        by: 'rita',
        args: [incident.id, { disposition: 'confirmed', note: 'seen\nbefore', blockAddressForMs: 7 * DAY }],
      },
    ]);
    const { text, html } = await console.get(path);
    expect(text).toContain('By rita');
    // The one who answered may complete it; nobody else is asked.
    expect(text).toContain('Give the same answer again');
    expect((await console.get(path, { by: 'zoe' })).html).not.toContain('name="disposition"');
    expect(html).toContain('badge confirmed');
  });

  test('safe gives the session back unless that was unticked; dismissed only closes', async () => {
    for (const [fields, request] of [
      [
        { disposition: 'safe', giveBack: 'yes', block: '7d' },
        { disposition: 'safe', note: '', giveBack: true },
      ],
      [{ disposition: 'safe' }, { disposition: 'safe', note: '', giveBack: false }],
      [
        { disposition: 'dismissed', giveBack: 'yes', block: 'forever' },
        { disposition: 'dismissed', note: '' },
      ],
      [
        { disposition: 'confirmed', block: 'forever' },
        { disposition: 'confirmed', note: '', blockAddressForMs: null },
      ],
    ] as const) {
      const { store, console, path } = desk();
      await console.post(`${path}/answer`, fields);
      expect(store.acts.map(({ args }) => args[1])).toEqual([request]);
    }
  });

  test('of the second of two analysts is told who was first, and changes nothing', async () => {
    const { store, console, path, incident } = desk();
    const both = await Promise.all([
      console.post(`${path}/answer`, { disposition: 'dismissed', note: 'mine' }, { by: 'zoe', role: 'analyst' }),
      console.post(`${path}/answer`, { disposition: 'dismissed', note: 'no, mine' }, { by: 'zoe', role: 'analyst' }),
    ]);
    expect(both.map(({ status }) => status).sort()).toEqual([303, 409]);
    const late = await console.post(`${path}/answer`, { disposition: 'confirmed', note: 'late' }, { by: 'rita' });
    expect(late.status).toBe(409);
    expect(late.text).toContain('Somebody answered this before you');
    expect(late.text).toMatch(/Answer dismissed By zoe At .* Note (no, )?mine/);
    expect(store.acts).toHaveLength(1);
    expect(store.cases.get(incident.id)).toMatchObject({ status: 'dismissed', resolvedBy: 'zoe' });
  });

  test('whose effects failed half way says so', async () => {
    const { store, console, path } = desk();
    store.answer = () => Promise.reject(new BouncerError('answer_incomplete', 'answered safe, but not: give_back'));
    const { status, location } = await console.post(`${path}/answer`, { disposition: 'safe', giveBack: 'yes' });
    expect([status, location]).toEqual([303, path]);
  });

  test('of the registry worker may be answered by anybody', async () => {
    const { console, path } = desk({ status: 'dismissed', resolvedBy: 'registry', resolvedAtMs: NOON });
    const { html, text } = await console.get(path, { by: 'zoe', role: 'analyst' });
    expect(html).toContain('name="disposition"');
    expect(text).toContain('By registry');
  });

  test.each([
    ['answer', 'by a viewer', { role: 'viewer' }, {}, 403],
    ['answer', 'by nobody', { role: null }, {}, 401],
    ['answer', 'with a wrong token', {}, { csrf: 'wrong' }, 403],
    ['answer', 'of another kind', {}, { disposition: 'open' }, 400],
    ['answer', 'with a note that is too long', {}, { note: 'x'.repeat(2001) }, 400],
    ['answer', 'with an unknown duration', {}, { disposition: 'confirmed', block: '9y' }, 400],
    ['answer', 'that ends sessions, without the password', { fresh: false }, { disposition: 'confirmed' }, 403],
    [
      'answer',
      'that gives back, without the password',
      { fresh: false },
      { disposition: 'safe', giveBack: 'yes' },
      403,
    ],
    ['undo', 'by a viewer', { role: 'viewer' }, { why: 'x' }, 403],
    ['undo', 'without the password', { fresh: false }, { why: 'x' }, 403],
    ['undo', 'without a why', {}, { why: ' ' }, 400],
  ] as const)('%s %s changes nothing', async (act, _, visitor, over, expected) => {
    const { store, console, path } = desk();
    const { status } = await console.post(`${path}/${act}`, { disposition: 'dismissed', note: '', ...over }, visitor);
    expect(status).toBe(expected);
    expect(store.acts).toEqual([]);
  });

  test('without a recent password the page links to where it is given, and dismissing works all the same', async () => {
    const { store, console, path } = desk();
    const { html } = await console.get(path, { fresh: false });
    expect(html).toContain(`/again?back=${encodeURIComponent(path)}`);
    expect((await console.post(`${path}/answer`, { disposition: 'dismissed' }, { fresh: false })).status).toBe(303);
    expect(store.acts).toHaveLength(1);
  });
});

test.each<[UndoOutcome, RegExp]>([
  ['given_back', /lives again/],
  ['expired', /would have ended by now/],
  ['not_ended', /nothing to give back/],
  ['gone', /nothing is left/],
  ['log_in_again', /the user must log in again/],
  ['blocked', /another end/],
])('undo that comes to %s says so', async (outcome, words) => {
  const { store, console, path, incident } = desk();
  store.undoing = outcome;
  const { status, flash } = await console.post(`${path}/undo`, { why: 'a call' });
  expect(status).toBe(303);
  expect(store.acts).toEqual([{ what: 'undo', by: 'rita', args: [incident.id, 'a call', { reuse: false }] }]);
  expect(flash).toMatch(words);
});

test('at a PHP site nothing is given back, and the page says so before and after', async () => {
  const { store, console, path, incident } = desk({ atPhp: true, php: { how: 'nulled' } });
  store.end = { reason: 'country_changed', caseId: incident.id, atMs: NOON };
  const before = (await console.get(path)).text;
  expect(before).toContain('Lift the end of this login');
  expect(before).toContain('with safe: lift the end of this login. A PHP site’s session cannot be given back');
  expect(before).not.toContain('same browser is signed in again');
  store.end = null;
  expect((await console.get(path)).text).toContain('No end of this login stands any more. A PHP site’s session');
  const other = desk();
  // A case number may say PHP too.
  const words = (await other.console.get(other.path)).text.replaceAll(other.incident.id, '');
  expect(words).not.toMatch(/PHP/);
});

test('whether the end of a session stands is told', async () => {
  const { store, console, path, incident } = desk();
  expect((await console.get(path)).text).toContain('No end of this login stands any more: it was given back, or');
  store.end = { reason: 'country_changed', caseId: incident.id, atMs: NOON };
  const standing = (await console.get(path)).text;
  expect(standing).toMatch(/This login has ended, at .*, by this case\./);
  expect(standing).not.toContain('No end of this login');
  const flagged = desk({ action: 'flag', outcome: 'none', reason: 'country_disputed' });
  expect((await flagged.console.get(flagged.path)).text).not.toContain('No end of this login');
});

test.each<[string, Partial<IncidentRecord>]>([
  ['the user was forgotten, as the end is not found by that name', { userId: 'forgotten-x1', lid: 'forgotten-x1' }],
  [
    'the answer that ends it is not done',
    { action: 'flag', outcome: 'none', status: 'confirmed', resolvedBy: 'ann', pending: {} },
  ],
])('nobody says that no end stands where %s', async (_why, over) => {
  const { console, path } = desk(over);
  const { status, text } = await console.get(path);
  expect([status, text]).toEqual([200, expect.not.stringContaining('No end of this login')]);
});

test('what was never ended has no undo', async () => {
  const { console, path } = desk({ action: 'flag', outcome: 'none', reason: 'country_disputed' });
  expect((await console.get(path)).html).not.toContain(`${path}/undo`);
});

const AT_MS = Date.UTC(2026, 2, 1, 12);

test('the end that stands is named with its time, and given back only as it was shown', async () => {
  const { store, console, path, incident } = desk();
  store.end = { reason: 'country_changed', caseId: incident.id, atMs: AT_MS };
  expect((await console.get(path)).html).toContain(`name="endedAtMs" value="${AT_MS}"`);
  await console.post(`${path}/undo`, { why: 'a call', endedAtMs: String(AT_MS) });
  expect(store.acts[0]?.args).toEqual([incident.id, 'a call', { reuse: false, endedAtMs: AT_MS }]);
});

test('the end that stands is given back, also where the answer that ended a flagged login was taken off', async () => {
  const { store, console, path, incident } = desk({ action: 'flag', outcome: 'none', reason: 'country_disputed' });
  store.end = { reason: 'country_disputed', caseId: incident.id, atMs: AT_MS };
  expect((await console.get(path)).html).toContain(`${path}/undo`);
  store.end = null;
  store.cases.set(incident.id, { ...incident, status: 'dismissed', resolvedBy: 'ann', overruled: 'confirmed' });
  expect((await console.get(path)).html).toContain(`${path}/undo`);
});

test('an end by another case is not offered: the page leads there', async () => {
  const { store, console, path } = desk();
  store.end = { reason: 'session_reused', caseId: 'K7QX-2M9F-4T8A', atMs: AT_MS };
  const { html } = await console.get(path);
  expect(html).toContain('/incidents/K7QX-2M9F-4T8A');
  expect(html).not.toContain(`${path}/undo`);
});

test('of a reused session giving it back is a choice of its own, in both forms', async () => {
  const { store, console, path, incident } = desk({ reason: 'session_reused' });
  const { html } = await console.get(path);
  expect(html).toMatch(/<input[^>]*name="reuse"[^>]*required/);
  expect(html).not.toMatch(/<input[^>]*name="giveBack"[^>]*checked/);
  await console.post(`${path}/undo`, { why: 'both hers', reuse: 'yes' });
  expect(store.acts[0]?.args).toEqual([incident.id, 'both hers', { reuse: true }]);
});

test('a wrong safe is opened again, and what it taught is forgotten by choice', async () => {
  const { store, console, path, incident } = desk();
  store.cases.set(incident.id, { ...incident, status: 'safe', resolvedBy: 'zoe', resolvedAtMs: AT_MS, note: '' });
  store.learnedThen = { countries: ['NG'], networks: ['105.112.10.0/24'] };
  expect((await console.get(path)).html).toMatch(/Nigeria \(NG\), 105\.112\.10\.0\/24/);
  expect((await console.post(`${path}/reopen`, { why: 'x' }, { role: 'viewer' })).status).toBe(403);
  const { status, flash } = await console.post(`${path}/reopen`, { why: 'the mail was read', forget: 'yes' });
  expect(status).toBe(303);
  expect(flash).toMatch(/open again.*Forgotten: Nigeria/);
  expect(store.acts).toEqual([
    { what: 'reopen', by: 'rita', args: [incident.id, 'the mail was read', { forget: true }] },
  ]);
});

test("what a user's link has answered is still asked of a person, and cannot be completed by them", async () => {
  const { store, console, path, incident } = desk();
  store.cases.set(incident.id, { ...incident, status: 'safe', resolvedBy: 'user', resolvedAtMs: AT_MS, note: '' });
  const { html } = await console.get(path);
  expect(html).toContain(`${path}/answer`);
  expect(html).toContain('value="confirmed"');
});
