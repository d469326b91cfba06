import { describe, expect, test } from '@jest/globals';
import { runsOf } from '../../../src/console/pages/user-history.tsx';
import { memoryDesk } from '../../support/desk.ts';
import { addCase, aLogin, aVisit, NOON } from '../../support/desk-cases.ts';
import { openConsole } from '../../support/desk-pages.ts';

const HOUR = 3_600_000;
const place = (...countries: string[]) => ({ countries, agreed: true, firstSeenMs: NOON - 9 * HOUR, lastSeenMs: NOON });

function desk(userId = 'alice') {
  const store = memoryDesk();
  const incident = addCase(store, { userId });
  store.live.set(userId, [aLogin('lid-of-laptop-1'), aLogin('lid-of-phone-22', { deviceId: 'phone', countries: [] })]);
  store.past.set(userId, [
    aVisit('l4', { atMs: NOON, countries: ['FR'], action: 'revoke', reason: 'country_changed', caseId: incident.id }),
    aVisit('l3', { atMs: NOON - HOUR, deviceId: 'phone' }),
    aVisit('l2', { atMs: NOON - 2 * HOUR, action: 'flag' }),
    aVisit('l1', { atMs: NOON - 3 * HOUR, countries: ['DE'], address: null, deviceId: undefined }),
  ]);
  const network = { network: '81.2.69.0/24', firstSeenMs: NOON - HOUR, lastSeenMs: NOON };
  store.known.set(userId, {
    v4: { places: [place('GB')], networks: [network] },
    v6: { places: [place('IE', 'GB')], networks: [] },
  });
  const path = `/user?${new URLSearchParams({ id: userId })}`;
  const act = (name: string) => path.replace('?', `/${name}?`);
  return { store, incident, path, act, console: openConsole(store) };
}

describe('the page of a user', () => {
  test('shows live sessions, a timeline of countries, what is trusted and since when', async () => {
    const { console, path, incident } = desk();
    const { status, text, html } = await console.get(path);
    expect(status).toBe(200);
    for (const part of [
      '2026-03-01 12:00:00 2026-03-02 12:00:00 81.2.69.142 GB laptop Firefox/140',
      '81.2.69.142 unknown phone Firefox/140',
      'Germany (DE): 1 login, 2026-03-01 09:00:00',
      'United Kingdom (GB): 2 logins, 2026-03-01 10:00:00 to 2026-03-01 11:00:00 , 1 flagged or ended',
      'France (FR): 1 login, 2026-03-01 12:00:00 , 1 flagged or ended',
      'Each of the newest 4 logins',
      'United Kingdom (GB) country, certain 2026-03-01 03:00:00 2026-03-01 12:00:00 Forget GB',
      'Ireland (IE) or United Kingdom (GB)',
      '81.2.69.0/24 network 2026-03-01 11:00:00',
      incident.id,
    ]) {
      expect(text).toContain(part);
    }
    expect(html).toContain('role="img"');
    expect(html).toContain('href="/privacy?user=alice"');
  });

  test.each([
    [200, 200, false],
    [3000, 200, true],
  ])('of %p sessions shows %p, the newest', async (count, shown, isSaid) => {
    const { store, path, console } = desk();
    const logins = Array.from({ length: count }, (_, i) => aLogin(`lid-${i}`, { loginAtMs: NOON + i }));
    store.live.set('alice', logins);
    const { html, text } = await console.get(path);
    const picks = [...html.matchAll(/name="lid" value="lid-(\d+)"/g)].map(([, i]) => Number(i));
    expect(picks).toEqual(Array.from({ length: shown }, (_, i) => count - shown + i));
    expect(text.includes('The newest 200 of 3,000 are shown')).toBe(isSaid);
  });

  test('is the same for somebody of whom nothing is known', async () => {
    const { text, status } = await openConsole(memoryDesk()).get('/user?id=nobody');
    expect(status).toBe(200);
    expect(text).toContain('No session lives.');
    expect(text).toContain('No login is on record.');
    expect(text).toContain('Nothing is known of this user');
  });

  test.each([
    '..',
    '.',
    'a/b',
    'a b',
    ' padded ',
    'a+b%2F&c=d#e?',
    '<b>',
    '用户',
    '\u0000\u001b',
    '\ud800',
    'x'.repeat(256),
  ])('any text may be an id: %j', async (userId) => {
    const { console, path, store, act } = desk(userId);
    const { status, html } = await console.get(path);
    expect(status).toBe(200);
    expect(html).not.toContain('<b>');
    const action = /action="([^"]*\/user\/trust\?[^"]*)"/.exec(html)?.[1]?.replaceAll('&amp;', '&') ?? '';
    expect(action).toBe(act('trust'));
    await console.post(action, { what: 'country', value: 'de', why: 'moved' });
    // Half a surrogate pair cannot be sent: that user is the one with U+FFFD in the name, everywhere.
    expect(store.acts[0]?.args).toEqual([userId.replace('\ud800', '\ufffd'), 'DE', 'moved']);
  });

  test.each(['/user', '/user?id=', `/user?id=${'x'.repeat(257)}`])('%s: 400', async (path) => {
    expect((await openConsole(memoryDesk()).get(path)).status).toBe(400);
  });

  test('a viewer sees no form that writes, an analyst none that ends sessions', async () => {
    const { console, path } = desk();
    expect((await console.get(path, { role: 'viewer' })).html).not.toContain('method="post"');
    const { html } = await console.get(path, { role: 'analyst' });
    expect(html).toContain('/user/trust?');
    expect(html).not.toContain('/user/end');
    expect(html).not.toContain('lid-of-laptop-1');
  });

  test('without a recent password an admin sees the sessions, and where to give it', async () => {
    const { console, path } = desk();
    const { html, text } = await console.get(path, { fresh: false });
    expect(text).toContain('laptop');
    expect(html).toContain('/again?back=');
    expect(html).not.toContain('name="lid"');
  });
});

test('logins from the same countries, one after the other, are one run', () => {
  const runs = runsOf([
    aVisit('5', { atMs: 5, countries: ['GB'] }),
    aVisit('4', { atMs: 4, countries: ['GB', 'US'] }),
    aVisit('2', { atMs: 2, countries: ['GB'], action: 'flag' }),
    aVisit('1', { atMs: 1, countries: ['GB'] }),
    aVisit('3', { atMs: 3, countries: [] }),
  ]);
  expect(runs.map(({ key, fromMs, toMs, logins, stopped }) => [key, fromMs, toMs, logins, stopped])).toEqual([
    ['GB', 1, 2, 2, 1],
    ['', 3, 3, 1, 0],
    ['GB|US', 4, 4, 1, 0],
    ['GB', 5, 5, 1, 0],
  ]);
});

describe('what an admin ends', () => {
  test('one session', async () => {
    const { store, console, act, path } = desk();
    const { status, location, flash } = await console.post(act('end'), { lid: 'lid-of-phone-22', why: 'lost' });
    expect([status, location, flash]).toEqual([303, path, 'The session is ended.']);
    expect(store.acts).toEqual([{ what: 'endSession', by: 'rita', args: ['alice', 'lid-of-phone-22', 'lost'] }]);
    expect((await console.post(act('end'), { lid: 'lid-of-phone-22', why: 'lost' })).flash).toMatch(/no such session/);
  });

  test('all others than the picked one', async () => {
    const { store, console, act } = desk();
    const { flash } = await console.post(act('end-others'), { lid: 'lid-of-phone-22', why: 'lost' });
    expect(flash).toBe('1 session ended.');
    expect(store.live.get('alice')).toMatchObject([{ lid: 'lid-of-phone-22' }]);
  });

  test('all of them', async () => {
    const { store, console, act } = desk();
    store.endAll = async () => ({ ended: 2, failed: 1 });
    expect((await console.post(act('end-all'), { why: 'lost' })).flash).toMatch(
      /^2 sessions ended\. 1 could not be ended/,
    );
  });

  test.each([
    ['end', 'by an analyst', { role: 'analyst' }, {}, 403],
    ['end', 'without the password', { fresh: false }, {}, 403],
    ['end', 'without a why', {}, { why: '' }, 400],
    ['end', 'with nothing picked', {}, { lid: '' }, 400],
    ['end', 'with a wrong token', {}, { csrf: 'wrong' }, 403],
    ['end-others', 'by an analyst', { role: 'analyst' }, {}, 403],
    ['end-others', 'without the password', { fresh: false }, {}, 403],
    ['end-all', 'by an analyst', { role: 'analyst' }, {}, 403],
    ['end-all', 'without the password', { fresh: false }, {}, 403],
    ['end-all', 'by nobody', { role: null }, {}, 401],
  ] as const)('%s %s: nothing', async (name, _, visitor, over, expected) => {
    const { store, console, act } = desk();
    const fields = { lid: 'lid-of-laptop-1', why: 'x', ...over };
    expect((await console.post(act(name), fields, visitor)).status).toBe(expected);
    expect(store.acts).toEqual([]);
    expect(store.live.get('alice')).toHaveLength(2);
  });
});

describe('what an analyst trusts or forgets', () => {
  test.each([
    ['trust', { what: 'country', value: ' uk ' }, 'trustCountry', 'GB'],
    ['trust', { what: 'network', value: '192.0.2.9' }, 'trustNetwork', '192.0.2.0/24'],
    ['forget', { what: 'country', value: 'GB' }, 'forgetCountry', 'GB'],
    ['forget', { what: 'network', value: '2001:db8:1::/48' }, 'forgetNetwork', '2001:db8:1::/48'],
  ])('%s %j', async (name, fields, what, value) => {
    const { store, console, act, path } = desk();
    const { status, location } = await console.post(act(name), { ...fields, why: 'moved' }, { role: 'analyst' });
    expect([status, location]).toEqual([303, path]);
    expect(store.acts).toEqual([{ what, by: 'rita', args: ['alice', value, 'moved'] }]);
  });

  test('a country: says which networks went with it, and that others are still trusted', async () => {
    const { store, console, act } = desk();
    store.forgetCountry = async () => ({ countries: ['NG'], networks: ['105.112.10.0/24'] });
    const post = () => console.post(act('forget'), { what: 'country', value: 'NG', why: 'a thief' });
    const networks = [{ network: '81.2.69.0/24', firstSeenMs: 1, lastSeenMs: 2 }];
    store.known.set('alice', { v4: { places: [], networks }, v6: { places: [], networks: [] } });
    const said = 'It is forgotten. So are the networks that were seen there: 105.112.10.0/24.';
    expect((await post()).flash).toBe(
      `${said} Logins from the networks that are still trusted are not compared: forget below what is not theirs.`,
    );
    store.known.delete('alice');
    expect((await post()).flash).toBe(said);
  });

  test.each([
    ['trust', { what: 'country', value: 'ZZ' }, {}, 400],
    ['trust', { what: 'network', value: '10.0.0.0/8' }, {}, 400],
    ['trust', { what: 'planet', value: 'DE' }, {}, 400],
    ['trust', { what: 'country', value: 'DE', why: '' }, {}, 400],
    ['trust', { what: 'country', value: 'DE' }, { role: 'viewer' }, 403],
    ['forget', { what: 'country', value: 'DE' }, { role: 'viewer' }, 403],
    ['trust-device', { device: 'x' }, { role: 'viewer' }, 403],
    ['list', { list: 'block', for: '1h' }, { role: 'viewer' }, 403],
    ['unlist', { entry: 'x' }, { role: 'viewer' }, 403],
  ] as const)('%s %j %j changes nothing', async (name, fields, visitor, expected) => {
    const { store, console, act } = desk();
    expect((await console.post(act(name), { why: 'x', ...fields }, visitor)).status).toBe(expected);
    expect(store.acts).toEqual([]);
  });

  test('a device of this user, which the form does not spell', async () => {
    const { store, console, act, path } = desk();
    const { html } = await console.get(path);
    const marks = [...html.matchAll(/name="device" value="([^"]+)"/g)].map(([, mark = '']) => mark);
    expect(marks).toHaveLength(2);
    const { flash } = await console.post(act('trust-device'), { device: marks[0] ?? '', why: 'seen' });
    expect(flash).toBe('The device is trusted.');
    expect(store.entries).toMatchObject([{ list: 'allow', kind: 'device', value: 'alice laptop', why: 'seen' }]);
    expect((await console.get(path)).text).toContain('on the allow list since');
    expect((await console.post(act('trust-device'), { device: 'x', why: 'seen' })).flash).toMatch(/not on record/);
  });

  test('but no device whose id holds a blank: the lists would take it for another user’s', async () => {
    const { store, console, act, path } = desk();
    store.live.set('alice', [aLogin('l', { deviceId: 'm laptop' })]);
    store.past.delete('alice');
    const { text, html } = await console.get(path);
    expect(text).toContain('cannot be: its id holds a blank');
    expect(html).not.toContain('name="device"');
    expect(store.acts).toEqual([]);
    expect((await console.post(act('trust-device'), { device: 'x', why: 'x' })).status).toBe(303);
    expect(store.acts).toEqual([]);
  });

  test('the user as a whole, on a list', async () => {
    const { store, console, act } = desk();
    await console.post(act('list'), { list: 'block', for: '1h', why: 'a call' }, { role: 'analyst' });
    expect(store.entries).toMatchObject([{ list: 'block', kind: 'user', value: 'alice' }]);
    await console.post(act('unlist'), { entry: store.entries[0]?.id ?? '', why: 'over' }, { role: 'analyst' });
    expect(store.entries).toEqual([]);
  });
});
