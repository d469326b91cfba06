import { describe, expect, test } from '@jest/globals';
import { entriesForAddress, entriesForNetwork } from '../../../src/console/covering.ts';
import type { ListEntry, ListKind } from '../../../src/domain/lists.ts';
import { memoryDesk } from '../../support/desk.ts';
import { addCase, NOON } from '../../support/desk-cases.ts';
import { openConsole } from '../../support/desk-pages.ts';
import { FRANCE } from '../../support/incidents.ts';

const entry = (kind: ListKind, value: string): ListEntry => ({
  id: `${kind}-${value}`,
  list: 'block',
  kind,
  value,
  by: 'bo',
  why: 'spam',
  expiresAtMs: null,
  createdAtMs: NOON,
});

const SIGHTING = { ...FRANCE, evidence: FRANCE.evidence.map((one) => ({ ...one, asn: 64500 })) };
const ENTRIES = [
  entry('address', '2.125.160.217'),
  entry('address', '2.125.160.9'),
  entry('address', '2.125.161.1'),
  entry('network', '2.125.0.0/16'),
  entry('network', '2.125.160.128/25'),
  entry('network', '2.0.0.0/9'),
  entry('network', '2001:db8::/32'),
  entry('asn', '64500'),
  entry('asn', '6450'),
  entry('country', 'FR'),
  entry('country', 'GB'),
  entry('user', '2.125.160.217'),
];
const values = (entries: readonly ListEntry[]) => entries.map(({ value }) => value);

test('entries that cover an address', () => {
  const covering = ['2.125.160.217', '2.125.0.0/16', '2.125.160.128/25', '2.0.0.0/9'];
  expect(values(entriesForAddress(ENTRIES, '2.125.160.217', null))).toEqual(covering);
  expect(values(entriesForAddress(ENTRIES, '2.125.160.217', SIGHTING))).toEqual([...covering, '64500', 'FR']);
  expect(values(entriesForAddress(ENTRIES, '2001:db8:1::5', null))).toEqual(['2001:db8::/32']);
});

test('entries that cover a network or a part of it', () => {
  const covering = ['2.125.160.217', '2.125.160.9', '2.125.0.0/16', '2.125.160.128/25', '2.0.0.0/9'];
  expect(values(entriesForNetwork(ENTRIES, '2.125.160.0/24', null))).toEqual(covering);
  expect(values(entriesForNetwork(ENTRIES, '2001:db8:1::/48', null))).toEqual(['2001:db8::/32']);
});

const PAGES = [
  ['address', '/address?address=2.125.160.217', '2.125.160.217'],
  ['network', '/network?network=2.125.160.0%2F24', '2.125.160.0/24'],
] as const;

describe.each(PAGES)('the page of an %s', (kind, path, value) => {
  const act = (name: string) => path.replace('?', `/${name}?`);
  const open = () => {
    const store = memoryDesk();
    const mine = ['alice', 'bob', 'alice'].map((userId, i) =>
      addCase(store, { userId, sighting: SIGHTING, decidedAtMs: NOON + i, loginAtMs: NOON + i }),
    );
    const other = addCase(store, {
      userId: 'carol',
      sighting: { ...FRANCE, address: '3.3.3.3', network: '3.3.3.0/24' },
    });
    return { store, mine, other, console: openConsole(store) };
  };

  test('shows what it did, whom it touched, what the sources said last and the lists', async () => {
    const { store, mine, other, console } = open();
    store.entries.push(...ENTRIES);
    const { status, text, html } = await console.get(path);
    expect(status).toBe(200);
    for (const { id } of mine) expect(html).toContain(id);
    expect(html).not.toContain(other.id);
    expect(text).toContain('3 incidents, 3 open, of 2 users');
    expect(text).toMatch(/alice : 2 incidents.* bob : 1 incident,/);
    expect(text).toMatch(/Users touched Of incidents only: whoever logged in from here and was let in/);
    expect(text).toContain('block network 2.125.0.0/16 spam bo');
    expect(text).not.toContain('2001:db8::/32');
    expect(text).toContain('What the sources said last');
    expect(text).toContain('AS64500');
  });

  test('has pages, and counts the newest hundred', async () => {
    const { store, console } = open();
    for (let i = 0; i < 120; i++) addCase(store, { userId: `u${i}`, sighting: SIGHTING, decidedAtMs: NOON + 10 + i });
    const first = await console.get(path);
    expect(first.text).toContain('The newest 100 incidents');
    const next = /rel="next" href="([^"]+)"/.exec(first.html)?.[1]?.replaceAll('&amp;', '&') ?? '';
    const second = await console.get(next);
    expect(second.status).toBe(200);
    expect(second.text).toContain('First page');
    expect((await console.get(`${path}&cursor=half`)).status).toBe(400);
  });

  test('blocks or allows it, with a why and an end', async () => {
    const { store, console } = open();
    const before = Date.now();
    const fields = { list: 'block', for: '7d', why: 'a scanner' };
    const { status, location, flash } = await console.post(act('list'), fields, { role: 'analyst' });
    expect([status, location, flash]).toEqual([303, path, 'It is on the block list.']);
    expect(store.entries).toMatchObject([{ list: 'block', kind, value, why: 'a scanner', by: 'rita' }]);
    const expiresAtMs = store.entries[0]?.expiresAtMs ?? 0;
    expect(expiresAtMs).toBeGreaterThanOrEqual(before + 7 * 86_400_000);
    await console.post(act('list'), { list: 'allow', for: 'forever', why: 'ours' });
    expect(store.entries[1]).toMatchObject({ list: 'allow', expiresAtMs: null });
  });

  test('takes an entry away, once', async () => {
    const { store, console } = open();
    store.entries.push(entry('network', '2.125.0.0/16'));
    const fields = { entry: 'network-2.125.0.0/16', why: 'a mistake' };
    expect((await console.post(act('unlist'), fields)).flash).toBe('The entry is removed.');
    expect((await console.post(act('unlist'), fields)).flash).toBe('That entry was gone already.');
    expect(store.entries).toEqual([]);
  });

  test.each([
    ['list', 'by a viewer', { role: 'viewer' }, {}, 403],
    ['list', 'by nobody', { role: null }, {}, 401],
    ['list', 'with a wrong token', {}, { csrf: 'wrong' }, 403],
    ['list', 'without a why', {}, { why: '' }, 400],
    ['list', 'on no list', {}, { list: 'maybe' }, 400],
    ['list', 'for no time', {}, { for: '' }, 400],
    ['unlist', 'by a viewer', { role: 'viewer' }, {}, 403],
    ['unlist', 'without a why', {}, { why: '' }, 400],
  ] as const)('%s %s changes nothing', async (name, _, visitor, over, expected) => {
    const { store, console } = open();
    store.entries.push(entry('network', '2.125.0.0/16'));
    const fields = { list: 'block', for: '7d', why: 'x', entry: 'network-2.125.0.0/16', ...over };
    expect((await console.post(act(name), fields, visitor)).status).toBe(expected);
    expect(store.acts).toEqual([]);
    expect(store.entries).toHaveLength(1);
  });

  test('a viewer sees no form', async () => {
    const { store, console } = open();
    store.entries.push(...ENTRIES);
    expect((await console.get(path, { role: 'viewer' })).html).not.toContain('method="post"');
  });
});

test.each([
  ['/address', 400],
  ['/address?address=1.2.3', 400],
  ['/address?address=%3Cscript%3E', 400],
  ['/network?network=10.0.0.0/8', 400],
  ['/network?network=x', 400],
  // Other spellings are the same address, and one without incidents has a page all the same.
  ['/address?address=::ffff:2.125.160.217', 200],
  ['/address?address=2001:DB8:0:0::1', 200],
  ['/network?network=2001:db8:1:2::7', 200],
])('%s: %d', async (path, expected) => {
  const { status, html } = await openConsole(memoryDesk()).get(path);
  expect(status).toBe(expected);
  expect(html).not.toContain('<script>');
});
