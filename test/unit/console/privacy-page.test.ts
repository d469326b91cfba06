import { describe, expect, test } from '@jest/globals';
import { safeJson } from '../../../src/domain/hostile-text.ts';
import { memoryDesk } from '../../support/desk.ts';
import { addCase, aVisit } from '../../support/desk-cases.ts';
import { openConsole } from '../../support/desk-pages.ts';

const ODD = ['\u202e', '\u001b'];

function open(userId = 'alice') {
  const store = memoryDesk();
  addCase(store, { userId, userAgent: '<script>\u202eevil' });
  store.past.set(userId, [aVisit('l1', { userAgent: 'Firefox\u001b[31m' })]);
  return {
    store,
    console: openConsole(store),
    at: (path: string) => `${path}?${new URLSearchParams({ user: userId })}`,
  };
}

test('asks whom, then offers both', async () => {
  const { console } = open();
  const first = await console.get('/privacy');
  expect(first.html).not.toContain('method="post" action="/privacy');
  const { text, html } = await console.get('/privacy?user=alice');
  expect(text).toContain('User alice');
  expect(html).toContain('action="/privacy/holdings?user=alice"');
  expect(html).toContain('action="/privacy/forget?user=alice"');
});

test('a user id is of 1 to 256 characters', async () => {
  const { console, store } = open();
  const long = 'x'.repeat(257);
  expect((await console.get(`/privacy?user=${long}`)).text).toContain('A user id has 1 to 256 characters.');
  for (const query of ['', '?user=', `?user=${long}`]) {
    for (const path of ['/privacy/holdings', '/privacy/forget']) {
      expect((await console.post(path + query, { why: 'x', confirm: long })).status).toBe(400);
    }
  }
  expect([store.acts, store.noted]).toEqual([[], []]);
});

test('forms are for those who may, and ask for a recent proof', async () => {
  const { console, at } = open();
  const viewer = await console.get(at('/privacy'), { role: 'viewer' });
  expect(viewer.html).not.toContain('action="/privacy/holdings');
  expect(viewer.text).toMatch(/needs the role analyst.*needs the role admin/);
  const analyst = await console.get(at('/privacy'), { role: 'analyst' });
  expect(analyst.html).toContain('action="/privacy/holdings');
  expect(analyst.html).not.toContain('action="/privacy/forget');
  const stale = await console.get(at('/privacy'), { fresh: false });
  expect(stale.html).not.toContain('action="/privacy/holdings');
  expect(stale.text.match(/Confirm your password/g)).toHaveLength(2);
});

describe('what is held', () => {
  test('comes as a file of JSON, noted in the audit', async () => {
    const { console, store } = open();
    const { status, html } = await console.post('/privacy/holdings?user=alice', { as: 'file', why: 'request 7' });
    expect(status).toBe(200);
    const held = JSON.parse(html);
    expect(held).toMatchObject({ userId: 'alice', incidents: [{ userAgent: '<script>\u202eevil' }] });
    for (const odd of ODD) expect(html).not.toContain(odd);
    expect(store.noted).toMatchObject([
      { what: 'hold', by: 'rita', userId: 'alice', why: 'request 7', outcome: 'json' },
    ]);
  });

  test('or as a page, as text', async () => {
    const { console, store } = open();
    const { html, text } = await console.post('/privacy/holdings?user=alice', { as: 'page' });
    expect(text).toMatch(/logins in the history 1 incidents 1/);
    expect(html).toContain('&lt;script&gt;\\u202eevil');
    for (const odd of [...ODD, '<script>']) expect(html).not.toContain(odd);
    expect(store.noted).toMatchObject([{ what: 'hold', outcome: 'shown' }]);
  });

  test('a large part of which is in the file only', async () => {
    const { console, store } = open();
    store.past.set(
      'alice',
      Array.from({ length: 1000 }, (_, i) => aVisit(`l${i}`)),
    );
    const page = await console.post('/privacy/holdings?user=alice', { as: 'page' });
    expect(page.text).toContain('The first 100,000 characters');
    expect(page.html.length).toBeLessThan(250_000);
    const file = await console.post('/privacy/holdings?user=alice', { as: 'file' });
    expect(JSON.parse(file.html).history).toHaveLength(1000);
  });

  test('is handed out only where that could be noted', async () => {
    const { console, store } = open();
    Object.assign(store, { note: () => Promise.reject(new Error('Connection is closed.')) });
    const { status, html } = await console.post('/privacy/holdings?user=alice', { as: 'file' });
    expect(status).toBe(503);
    expect(html).not.toContain('history');
  });
});

test('JSON for people has nothing that changes how others read, and is the same', () => {
  const value = { a: '\u202e\u0085\u2028 \u{e0041}\ud800\n\t é 👍', b: [1, null] };
  const text = safeJson(value, 2);
  expect(JSON.parse(text)).toEqual(value);
  expect(text).not.toMatch(/[\p{Cf}\p{Zl}\p{Cs}]|(?!\n)\p{Cc}/u);
  expect(text).toContain('é 👍');
});

describe('forgetting', () => {
  const counts = { baseline: 1, history: 1200, incidents: 3, what_is_new: 2 };

  test('takes the user’s id and a reason, and says what it did', async () => {
    const { console, store } = open();
    Object.assign(store, { forget: async () => ({ counts, pseudonym: 'forgotten-7Kx' }) });
    const { status, text } = await console.post('/privacy/forget?user=alice', { confirm: 'alice', why: 'request 8' });
    expect(status).toBe(200);
    expect(text).toContain('they are called forgotten-7Kx now');
    expect(text).toContain('logins in the history: erased 1,200');
    expect(text).toContain('incidents: under the pseudonym 3');
    expect(text).toContain('what_is_new 2');
  });

  test.each([
    [{ confirm: 'alice', why: 'r' }, 200],
    [{ confirm: ' alice ', why: 'r' }, 200],
    [{ confirm: 'Alice', why: 'r' }, 400],
    [{ confirm: 'forget user', why: 'r' }, 400],
    [{ confirm: '', why: 'r' }, 400],
    [{ confirm: 'alice', why: ' ' }, 400],
  ])('with %j is answered %d', async (fields, expected) => {
    const { console, store } = open();
    const { status } = await console.post('/privacy/forget?user=alice', fields);
    expect(status).toBe(expected);
    expect(store.acts.length).toBe(expected === 200 ? 1 : 0);
  });

  test.each([' alice', 'a\u202eb', 'a\nb', '\u0000', 'ann  lee', 'ann\u00a0lee'])(
    'an id that nobody can type, %j, takes two words',
    async (userId) => {
      const { console, store, at } = open(userId);
      expect((await console.get(at('/privacy'))).text).toContain('Type forget user to confirm');
      expect((await console.post(at('/privacy/forget'), { confirm: userId, why: 'r' })).status).toBe(400);
      expect((await console.post(at('/privacy/forget'), { confirm: 'forget user', why: 'r' })).status).toBe(200);
      expect(store.acts).toMatchObject([{ what: 'forget', args: [userId, 'r'] }]);
    },
  );
});
