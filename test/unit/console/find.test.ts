import { describe, expect, test } from '@jest/globals';
import { memoryDesk } from '../../support/desk.ts';
import { addCase } from '../../support/desk-cases.ts';
import { openConsole } from '../../support/desk-pages.ts';

const find = (text: string) => `/find?${new URLSearchParams({ q: text })}`;
const user = (id: string) => `/user?${new URLSearchParams({ id })}`;

describe('the field at the top', () => {
  test.each([
    ['', '/incidents'],
    ['alice', user('alice')],
    ['anna lee', user('anna lee')],
    ['a/b', user('a/b')],
  ])('%j leads to %s, and nothing else could be meant', async (text, path) => {
    expect((await openConsole(memoryDesk()).get(find(text))).location).toBe(path);
    expect((await openConsole(memoryDesk(), '/desk').get(find(text))).location).toBe(`/desk${path}`);
  });

  test.each([
    [' alice ', user('alice')],
    ['  ', '/incidents'],
    ['10.0.0.1', '/address?address=10.0.0.1'],
    ['2001:db8::1', '/address?address='],
    ['10.0.0.0/8', '/network?network=10.0.0.0%2F8'],
    ['10.0.0.0/24', '/network?network=10.0.0.0%2F24'],
  ])('%j leads to %s, and from there to the user who is called so', async (text, path) => {
    const console = openConsole(memoryDesk(), '/desk');
    const { location } = await console.get(find(text));
    expect(location).toContain(`/desk${path}`);
    const { html } = await console.get((location ?? '').slice('/desk'.length));
    expect(html).toContain(`href="/desk${user(text)}"`);
  });

  test('a case number may be a user as well, also where there is no such case', async () => {
    const store = memoryDesk();
    const { id } = addCase(store);
    for (const [text, status] of [
      [id, 200],
      ['ABCD-EFGH-JKMN', 404],
    ] as const) {
      const { location } = await openConsole(store).get(find(text));
      const page = await openConsole(store).get(location ?? '');
      expect([page.status, page.html]).toEqual([status, expect.stringContaining(`href="${user(text)}"`)]);
    }
  });

  test('what it was asked for shows as text', async () => {
    const asked = '<b>\u202e"';
    const { html, text } = await openConsole(memoryDesk()).get(`/lists?${new URLSearchParams({ asked })}`);
    expect(html).not.toContain('<b>');
    expect(html).not.toContain('\u202e');
    expect(text).toContain('Show the user “<b>⟨U+202E⟩"”');
    expect((await openConsole(memoryDesk()).get('/lists')).text).not.toContain('Show the user');
    const nobody = await openConsole(memoryDesk()).get(`/lists?${new URLSearchParams({ asked })}`, { role: null });
    expect(nobody.text).not.toContain('Show the user');
  });
});
