import { describe, expect, test } from '@jest/globals';
import { readFilter } from '../../../src/console/incident-filter.ts';
import { memoryDesk } from '../../support/desk.ts';
import { addCase, NOON } from '../../support/desk-cases.ts';
import { openConsole } from '../../support/desk-pages.ts';
import { locatedAt } from '../../support/incidents.ts';

function desk() {
  const store = memoryDesk();
  const cases = ['alice', 'bob', 'carol'].map((userId, i) => addCase(store, { userId, decidedAtMs: NOON + i }));
  return { store, cases, ids: cases.map(({ id }) => id), console: openConsole(store) };
}

const links = (html: string) =>
  [...html.matchAll(/href="([^"]+)"/g)].map(([, href = '']) => href.replaceAll('&amp;', '&'));

describe('the queue', () => {
  test('shows what is open first, newest on top', async () => {
    const { store, console, ids } = desk();
    const answered = addCase(store, { status: 'safe', userId: 'dora' });
    const { status, html, text } = await console.get('/incidents');
    expect(status).toBe(200);
    expect(html).not.toContain(answered.id);
    expect(ids.map((id) => text.indexOf(id))).toEqual([...ids.map((id) => text.indexOf(id))].sort((a, b) => b - a));
    expect(text).toContain('GB → FR');
    expect((await console.get('/incidents?status=all')).html).toContain(answered.id);
  });

  test('is narrowed by its filter, which stays in the form and in the link to the next page', async () => {
    const { store, console } = desk();
    const sighting = locatedAt('198.51.100.7', '198.51.100.0/24', 'US');
    for (let i = 0; i < 51; i++) addCase(store, { userId: 'eve', sighting, decidedAtMs: NOON + 10 + i });
    const first = await console.get('/incidents?country=US&user=eve');
    expect(first.html.match(/name="case"/g)).toHaveLength(50);
    expect(first.html).not.toContain('alice');
    expect(first.html).toMatch(/name="country"[^>]* value="US"/);
    const next = links(first.html).find((href) => href.includes('cursor='));
    expect(next).toContain('country=US');
    const second = await console.get(next ?? '');
    expect(second.html.match(/name="case"/g)).toHaveLength(1);
    expect(second.text).toContain('That is all');
    expect(links(second.html)).toContain('/incidents?status=open&country=US&user=eve');
  });

  test.each([
    ['', 'more', 'None matches among the newest ones; there are older ones'],
    ['&cursor=1', 'more', 'None matches among those that this page looked at; there are older ones'],
    ['&cursor=1', null, 'No older incident matches.'],
    ['', null, 'No incident matches.'],
  ])('that is empty at %s, with %s to come, says so', async (cursor, more, words) => {
    const store = Object.assign(memoryDesk(), { incidents: async () => ({ incidents: [], cursor: more }) });
    const { text, html } = await openConsole(store).get(`/incidents?action=flag&country=DE${cursor}`);
    expect(text).toContain(words);
    expect(text.includes('No incident matches.')).toBe(words === 'No incident matches.');
    expect(html.includes('rel="next"')).toBe(more !== null);
  });

  test('by the safety brake: what it held, or all', async () => {
    const { console } = desk();
    const { html } = await console.get('/incidents?brake=held&status=all');
    expect(html).toContain('<option value="held" selected="">held</option>');
    expect((await console.get('/incidents?brake=maybe')).text).toContain('Held by the brake: give held');
    expect(readFilter(new URLSearchParams('brake=held&status=all')).query).toEqual({ brake: true });
  });

  test('says which part of a filter, or that a cursor, cannot be read', async () => {
    const { console, ids } = desk();
    const { status, text, html } = await console.get('/incidents?country=%3Cb%3E&cursor=half');
    expect(status).toBe(200);
    expect(text).toContain('Seen from country: give two letters, such as DE');
    expect(text).toContain('That page could not be found: this is the first one.');
    expect(html).not.toContain('<b>');
    expect(html).toContain('aria-invalid="true"');
    for (const id of ids) expect(html).toContain(id);
  });

  test('links stay below the mount', async () => {
    const { store } = desk();
    const { html } = await openConsole(store, '/desk').get('/incidents');
    expect(links(html).filter((href) => href.startsWith('/') && !href.startsWith('/desk/'))).toEqual([]);
    expect(html).toContain('action="/desk/incidents/answer"');
  });

  test('a viewer sees it without the boxes', async () => {
    const { console, ids } = desk();
    const { html } = await console.get('/incidents', { role: 'viewer' });
    expect(html).toContain(ids[0]);
    expect(html).not.toContain('name="case"');
    expect(html).not.toContain('/incidents/answer');
  });
});

describe('a bulk answer', () => {
  test('answers each by itself and names those whom others were faster with', async () => {
    const { store, console, ids } = desk();
    const [a = '', b = '', c = ''] = ids;
    await store.answer(b, { disposition: 'confirmed', note: '' }, { by: 'zoe', role: 'analyst' });
    const gone = 'ZZZZ-ZZZZ-ZZZZ';
    const fields = { case: [a, b, gone, 'not a case'], disposition: 'dismissed', note: 'rain' };
    const { status, text } = await console.post('/incidents/answer', fields);
    expect(status).toBe(200);
    expect(text).toContain('1 of 3 answered: dismissed');
    expect(text).toContain(`${b} was answered before: confirmed by zoe`);
    expect(text).toContain(`${gone} no incident has this case number`);
    expect(store.cases.get(a)).toMatchObject({ status: 'dismissed', note: 'rain', resolvedBy: 'rita' });
    expect(store.cases.get(b)).toMatchObject({ status: 'confirmed', resolvedBy: 'zoe' });
    expect(store.cases.get(c)?.status).toBe('open');
  });

  test('that closes one alike, which is further down, answers both', async () => {
    const { store, console, ids } = desk();
    const [a = '', b = ''] = ids;
    const answer = store.answer;
    Object.assign(store, {
      async answer(...[caseId, request, actor]: Parameters<typeof answer>) {
        const answered = await answer(caseId, request, actor);
        if (caseId !== a) return answered;
        await answer(b, request, actor);
        return { ...answered, closed: [b] };
      },
    });
    const { text } = await console.post('/incidents/answer', { case: [a, b], disposition: 'safe' });
    expect(text).toContain('2 of 2 answered: safe');
    expect(text).toContain(`${b} is alike and was closed with ${a}`);
    expect(text).not.toContain('Not answered by you');
  });

  test('gives sessions back only where that was left ticked', async () => {
    const { store, console, ids } = desk();
    const [a = '', b = ''] = ids;
    await console.post('/incidents/answer', { case: a, disposition: 'safe', giveBack: 'yes' });
    await console.post('/incidents/answer', { case: b, disposition: 'safe' });
    expect(store.acts.map(({ args }) => args[1])).toEqual([
      // But for reused ones, as the desk does unasked.
      { disposition: 'safe', note: '', giveBack: undefined },
      { disposition: 'safe', note: '', giveBack: false },
    ]);
  });

  test.each([
    ['by a viewer', { role: 'viewer' }, {}, 403],
    ['by nobody', { role: null }, {}, 401],
    ['without the token', {}, { csrf: 'x' }, 403],
    ['that ends sessions, without the password again', { fresh: false }, { disposition: 'confirmed' }, 403],
    ['that gives back, without the password again', { fresh: false }, { disposition: 'safe', giveBack: 'yes' }, 403],
    ['of no kind', {}, { disposition: 'perhaps' }, 400],
    ['of nothing', {}, { case: 'x' }, 400],
  ] as const)('%s changes nothing', async (_, visitor, over, expected) => {
    const { store, console, ids } = desk();
    const fields = { case: ids, disposition: 'dismissed', ...over };
    const { status } = await console.post('/incidents/answer', fields, visitor);
    expect(status).toBe(expected);
    expect(store.acts).toEqual([]);
  });

  test('is refused with the token of another person', async () => {
    const { store, console, ids } = desk();
    const { html } = await console.get('/incidents', { by: 'zoe' });
    const token = /name="csrf" value="([^"]+)"/.exec(html)?.[1] ?? '';
    const { status } = await console.send('/incidents/answer', { csrf: token, case: ids, disposition: 'dismissed' });
    expect(token).not.toBe('');
    expect(status).toBe(403);
    expect(store.acts).toEqual([]);
  });

  test('dismissing needs no password again', async () => {
    const { store, console, ids } = desk();
    const { status } = await console.post(
      '/incidents/answer',
      { case: ids, disposition: 'dismissed' },
      { fresh: false },
    );
    expect(status).toBe(200);
    expect(store.acts).toHaveLength(3);
  });

  test('that stops half way tells what was done', async () => {
    const { store, console, ids } = desk();
    const [a = '', b = ''] = ids;
    const whole = store.answer;
    store.answer = async (caseId, ...rest) => {
      if (caseId === b) throw new Error('Connection is closed.');
      return whole(caseId, ...rest);
    };
    const { status, text } = await console.post('/incidents/answer', { case: ids, disposition: 'dismissed' });
    expect(status).toBe(200);
    expect(text).toContain('1 of 3 answered');
    expect(text).toContain(`${b} failed: look whether it is open still`);
    expect(store.cases.get(a)?.status).toBe('dismissed');
    expect(console.log.entries.map(({ fields }) => fields)).toEqual([
      expect.objectContaining({ event: 'console_failed' }),
    ]);
  });
});
