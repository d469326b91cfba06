/** The audit, and notifications that could not be delivered. */
import { describe, expect, test } from '@jest/globals';
import type { DeadLetter } from '../../../src/desk-ports.ts';
import type { AuditEntry } from '../../../src/ports.ts';
import { memoryDesk } from '../../support/desk.ts';
import { NOON } from '../../support/desk-cases.ts';
import { openConsole } from '../../support/desk-pages.ts';

const act = (i: number, over: Partial<AuditEntry> = {}): AuditEntry => ({
  atMs: NOON - i,
  what: 'end',
  by: 'bo',
  why: `reason ${i}.`,
  userId: 'alice',
  lid: 'a-lid-of-alice',
  outcome: 'ended',
  ...over,
});

describe('the audit', () => {
  const open = (...entries: AuditEntry[]) => {
    const store = memoryDesk();
    store.noted.push(...entries);
    return openConsole(store);
  };

  test('says who did what, when and why, and names no login', async () => {
    const { text, html } = await open(
      act(1, { what: 'answer', outcome: 'safe', caseId: 'K7QX-2M9F-4T8A' }),
      act(2, { what: 'brake_reset', userId: null, lid: null, why: '' }),
    ).get('/audit');
    expect(text).toContain('2026-03-01 11:59:59.999 bo answered safe alice K7QX-2M9F-4T8A reason 1.');
    expect(text).toContain('bo let the safety brake go ended');
    expect(html).toContain('href="/incidents/K7QX-2M9F-4T8A"');
    expect(html).not.toContain('a-lid-of-alice');
  });

  test('comes in pages', async () => {
    const console = open(...Array.from({ length: 250 }, (_, i) => act(i)));
    const pages = [];
    let path: string | undefined = '/audit';
    while (path !== undefined) {
      const { html, text } = await console.get(path);
      pages.push([...text.matchAll(/reason (\d+)\./g)].map(([, i]) => Number(i)));
      path = /rel="next" href="([^"]+)"/.exec(html)?.[1];
    }
    expect(pages.map((page) => page.length)).toEqual([100, 100, 50]);
    expect(pages.flat()).toEqual(Array.from({ length: 250 }, (_, i) => i));
  });

  test.each(['0', '-1', 'x', '1e3', '99999', ''])('page %j is the first', async (number) => {
    const { status, text } = await open(act(1)).get(`/audit?page=${number}`);
    expect([status, text]).toEqual([200, expect.stringContaining('reason 1.')]);
  });

  test('asks for a bounded number of entries, however far a page is', async () => {
    const store = memoryDesk();
    const asked: number[] = [];
    const audit = async (limit: number) => {
      asked.push(limit);
      return [];
    };
    Object.assign(store, { audit });
    const { text } = await openConsole(store).get('/audit?page=9999');
    expect(asked).toEqual([5001]);
    expect(text).toContain('Nothing is on record so far back.');
    expect((await openConsole(store).get('/audit')).text).toContain('Nothing is on record yet.');
  });
});

describe('notifications', () => {
  const letter = (over: Partial<DeadLetter> = {}): DeadLetter => ({
    id: 'incident.recorded-K7QX-2M9F-4T8A-hook',
    event: 'incident.recorded',
    host: 'hooks.example',
    caseId: 'K7QX-2M9F-4T8A',
    atMs: NOON,
    attempts: 10,
    why: '503',
    ...over,
  });

  test('that could not be delivered are shown, each to be sent again', async () => {
    const store = memoryDesk();
    Object.assign(store, {
      deadLetters: async () => [letter(), letter({ id: 'b', caseId: null, event: 'brake.reset' })],
    });
    const { text, html } = await openConsole(store).get('/notifications');
    expect(text).toContain('2026-03-01 12:00:00 incident.recorded hooks.example K7QX-2M9F-4T8A 503 10');
    expect(text).toContain('brake.reset hooks.example 503 10');
    expect(html.match(/action="\/notifications\/retry"/g)).toHaveLength(2);
    const seen = await openConsole(store).get('/notifications', { role: 'viewer' });
    expect(seen.html).not.toContain('/notifications/retry');
  });

  test('there may be none', async () => {
    expect((await openConsole(memoryDesk()).get('/notifications')).text).toContain('There is none');
  });

  test('are sent again, or were gone', async () => {
    const store = memoryDesk();
    const console = openConsole(store);
    const gone = await console.post('/notifications/retry', { letter: 'b' });
    expect([gone.status, gone.location, gone.flash]).toEqual([303, '/notifications', 'It is not there any more.']);
    expect(store.acts).toMatchObject([{ what: 'retryDeadLetter', args: ['b'], by: 'rita' }]);
    Object.assign(store, { retryDeadLetter: async () => true });
    expect((await console.post('/notifications/retry', { letter: 'b' })).flash).toBe('It is sent again.');
    expect((await console.post('/notifications/retry', {})).status).toBe(400);
  });
});
