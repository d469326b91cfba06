import { describe, expect, test } from '@jest/globals';
import { LIST_KINDS, type ListEntry } from '../../../src/domain/lists.ts';
import { memoryDesk } from '../../support/desk.ts';
import { NOON } from '../../support/desk-cases.ts';
import { openConsole } from '../../support/desk-pages.ts';

const entry = (id: string, over: Partial<ListEntry> = {}): ListEntry => ({
  id,
  list: 'block',
  kind: 'network',
  value: '203.0.113.0/24',
  by: 'bo',
  why: 'spam',
  expiresAtMs: null,
  createdAtMs: NOON,
  ...over,
});

function open(...entries: ListEntry[]) {
  const store = memoryDesk();
  store.entries.push(...entries);
  return { store, console: openConsole(store) };
}

const FIELDS = { kind: 'country_pair', value: 'DE>FR', list: 'allow', for: '30d', why: 'an office moves' };

test('shows every entry, the newest first, with who, why and until when', async () => {
  const { console } = open(
    entry('e1'),
    entry('e2', { kind: 'user', value: 'eve', list: 'allow', createdAtMs: NOON + 1, expiresAtMs: NOON + 86_400_000 }),
  );
  const { text, html } = await console.get('/lists');
  expect(text).toContain('2 entries.');
  expect(text).toMatch(
    /allow user eve spam bo 2026-03-01 12:00:00 2026-03-02 12:00:00 .* block network 203\.0\.113\.0\/24 spam bo 2026-03-01 12:00:00 never/,
  );
  expect(html).toContain('aria-current="page"');
});

test('an empty list says so', async () => {
  expect((await open().console.get('/lists')).text).toContain('0 entries. No entry of the lists.');
});

describe('finding', () => {
  const many = Array.from({ length: 250 }, (_, i) =>
    entry(`e${i}`, { value: `10.${i}.0.0/16`, createdAtMs: NOON + i }),
  );

  test('by any part of an entry, in any case', async () => {
    const { console } = open(...many, entry('x', { kind: 'country_pair', value: 'DE>FR', why: 'Office' }));
    for (const q of ['de>f', 'office', 'country pair', 'country_pair']) {
      expect((await console.get(`/lists?${new URLSearchParams({ q })}`)).text).toContain('1 of 251 entries.');
    }
    expect((await console.get('/lists?q=nothing')).text).toContain('0 of 251 entries.');
  });

  test('of many the newest 200 are shown', async () => {
    const { text } = await open(...many).console.get('/lists');
    expect(text).toContain('250 entries; the newest 200 are shown.');
    expect(text).toContain('10.249.0.0/16');
    expect(text).not.toContain('10.49.0.0/16');
  });

  test('quotes what was looked for as text', async () => {
    const { html } = await open().console.get(`/lists?${new URLSearchParams({ q: '"><script>' })}`);
    expect(html).toContain('value="&quot;&gt;&lt;script&gt;"');
  });
});

describe('adding', () => {
  test.each(LIST_KINDS)('offers the kind %s, and says what it takes', async (kind) => {
    const { html, text } = await open().console.get('/lists');
    expect(html).toContain(`<option value="${kind}">`);
    expect(text.split('What each kind takes')[1]).toContain(kind.replaceAll('_', ' '));
  });

  test('puts an entry on a list, with its end', async () => {
    const { store, console } = open();
    const before = Date.now();
    const { status, location, flash } = await console.post('/lists/add', FIELDS);
    expect([status, location, flash]).toEqual([303, '/lists', 'It is on the allow list.']);
    const { list, kind, value, why, by, expiresAtMs } = store.entries[0] as ListEntry;
    expect({ list, kind, value, why, by }).toEqual({
      list: 'allow',
      kind: 'country_pair',
      value: 'DE>FR',
      why: 'an office moves',
      by: 'rita',
    });
    expect((expiresAtMs ?? 0) - before).toBeGreaterThanOrEqual(30 * 86_400_000);
  });

  test.each([
    ['kind', 'planet', 'kind: give one of'],
    ['list', 'grey', 'list: give one of'],
    ['for', '2h', 'for: give one of'],
    ['value', ' ', 'value: say it'],
    ['value', 'x'.repeat(401), 'value: at most'],
    ['why', '', 'why: say it'],
    ['why', 'x'.repeat(501), 'why: at most'],
  ])('with %s %s is refused, with what to give', async (field, value, said) => {
    const { store, console } = open();
    const { status, text } = await console.post('/lists/add', { ...FIELDS, [field]: value });
    expect([status, text]).toEqual([400, expect.stringContaining(said)]);
    expect(store.entries).toEqual([]);
  });
});

describe('without a fresh proof', () => {
  const STALE = { fresh: false };

  test.each([
    ['network', '203.0.113.0/24'],
    ['asn', '64500'],
    ['country', 'FR'],
    ['country_pair', 'DE>FR'],
  ])('to block or to allow a %s is refused, and adds nothing', async (kind, value) => {
    const { store, console } = open();
    for (const list of ['block', 'allow']) {
      const fields = { ...FIELDS, kind, value, list };
      const refused = await console.post('/lists/add', fields, STALE);
      expect([refused.status, refused.text]).toEqual([403, expect.stringContaining('needs your password again')]);
      expect(store.entries).toEqual([]);
      expect((await console.post('/lists/add', fields)).status).toBe(303);
      store.entries.length = 0;
    }
  });

  test('one address or user is blocked or allowed all the same', async () => {
    const { store, console } = open();
    for (const list of ['block', 'allow']) {
      for (const [kind, value] of [
        ['address', '203.0.113.7'],
        ['user', 'eve'],
      ] as const) {
        const { status } = await console.post('/lists/add', { ...FIELDS, kind, value, list }, STALE);
        expect(status).toBe(303);
      }
    }
    expect(store.entries).toHaveLength(4);
  });

  test('the form says so, with the way to give one', async () => {
    const { console } = open();
    expect((await console.get('/lists', STALE)).html).toContain('<a href="/again?back=%2Flists">');
    expect((await console.get('/lists')).text).not.toContain('needs a fresh proof');
    expect((await console.get('/user?id=eve', STALE)).text).not.toContain('needs a fresh proof');
  });
});

test('says which entry decides: an allowed address stands above a blocked user', async () => {
  expect((await open().console.get('/lists')).text).toContain('an allowed address lets a blocked user in');
});

test('removing takes a reason, and says when somebody was faster', async () => {
  const { store, console } = open(entry('e1'));
  expect((await console.post('/lists/remove', { entry: 'e1', why: '' })).status).toBe(400);
  expect((await console.post('/lists/remove', { entry: 'e1', why: 'over' })).flash).toBe('The entry is removed.');
  expect(store.entries).toEqual([]);
  expect((await console.post('/lists/remove', { entry: 'e1', why: 'over' })).flash).toBe(
    'That entry was gone already.',
  );
});

test('a viewer sees the entries and no form', async () => {
  const { html, text } = await open(entry('e1')).console.get('/lists', { role: 'viewer' });
  expect(text).toContain('203.0.113.0/24');
  expect(html).not.toContain('method="post"');
});
