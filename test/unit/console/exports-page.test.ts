import { describe, expect, test } from '@jest/globals';
import type { ExportFormat, IncidentQuery } from '../../../src/desk-ports.ts';
import { openRoom, person } from '../../support/console.ts';
import { memoryDesk } from '../../support/desk.ts';
import { addCase, NOON } from '../../support/desk-cases.ts';

function open(count = 3) {
  const desk = memoryDesk();
  const cases = Array.from({ length: count }, (_, i) =>
    addCase(desk, { userId: i === 0 ? 'alice' : 'bob', decidedAtMs: NOON + i }),
  );
  return { desk, cases, room: openRoom({}, desk) };
}

/** A desk whose export is these pieces; an error among them is thrown. */
function openPieces(...pieces: readonly (string | Error)[]) {
  const { desk, room } = open(0);
  const seen = { read: 0, ended: false };
  async function* made() {
    try {
      for (const piece of pieces) {
        seen.read++;
        if (piece instanceof Error) throw piece;
        yield piece;
      }
    } finally {
      seen.ended = true;
    }
  }
  Object.assign(desk, {
    exportIncidents: (_: IncidentQuery, __: ExportFormat) => ({ type: 'text/csv', pieces: made() }),
  });
  return { desk, room, seen };
}

test.each([
  ['csv', 'text/csv; charset=utf-8; header=present'],
  ['ndjson', 'application/x-ndjson; charset=utf-8'],
])('a %s of the filter, as a file of its own name, noted in the audit', async (format, type) => {
  const { desk, cases, room } = open();
  const response = await room.post(`/incidents.${format}?user=alice&status=all&country=FR`);
  expect(response.status).toBe(200);
  expect(response.headers.get('content-type')).toBe(type);
  const name = new RegExp(`^attachment; filename="incidents-\\d{4}-\\d\\d-\\d\\dT\\d{6}\\.${format}"$`);
  expect(response.headers.get('content-disposition')).toMatch(name);
  expect(response.headers.get('cache-control')).toBe('no-store');
  const text = await response.text();
  expect(text).toContain(cases[0]?.id);
  for (const one of cases) for (const secret of [one.handle, one.lid]) expect(text).not.toContain(secret);
  expect(text).not.toContain(cases[1]?.id);
  expect(desk.noted).toMatchObject([
    { what: 'export', by: 'a-admin', userId: 'alice', outcome: `${format} status=all country=FR` },
  ]);
});

test('more than a page of incidents is all there', async () => {
  const { cases, room } = open(450);
  const lines = (await (await room.post('/incidents.ndjson')).text()).trim().split('\n');
  expect(new Set(lines.map((line) => JSON.parse(line).id))).toEqual(new Set(cases.map(({ id }) => id)));
});

test('a filter that cannot be read exports nothing rather than everything', async () => {
  const { desk, room } = open();
  expect((await room.post('/incidents.csv?country=Atlantis')).status).toBe(400);
  expect(desk.noted).toEqual([]);
  expect(await (await room.get('/incidents?country=Atlantis')).text()).not.toContain('/incidents.csv');
});

test('the queue offers it with its own filter, to those who may', async () => {
  const { room } = open();
  const link = 'action="/desk/incidents.csv?status=open&amp;user=bob"';
  expect(await (await room.get('/incidents?user=bob')).text()).toContain(link);
  room.as(person('viewer'));
  expect(await (await room.get('/incidents?user=bob')).text()).not.toContain('/incidents.csv');
});

describe('pieces', () => {
  test('are read as the browser takes them, and no further when it goes away', async () => {
    const { room, seen } = openPieces(...Array.from({ length: 1000 }, (_, i) => `${i}\n`));
    const reader = (await room.post('/incidents.csv')).body?.getReader();
    expect(new TextDecoder().decode((await reader?.read())?.value)).toBe('0\n');
    await reader?.cancel();
    expect(seen.read).toBeLessThan(10);
    expect(seen.ended).toBe(true);
  });

  test('that fail at once are an error page, and nothing is noted', async () => {
    const { desk, room } = openPieces(new Error('Connection is closed.'));
    const response = await room.post('/incidents.csv');
    expect([response.status, response.headers.get('content-disposition')]).toEqual([503, null]);
    expect(desk.noted).toEqual([]);
  });

  test('that fail later break the transfer off, and the log says so', async () => {
    const { room } = openPieces('a\n', 'b\n', new Error('secret of the inside'));
    const response = await room.post('/incidents.csv');
    await expect(response.text()).rejects.toThrow('The export stopped half way');
    expect(room.log.text()).toContain('An export stopped half way');
    expect(room.log.text()).not.toContain('secret of the inside');
  });

  test('where the audit cannot be written are not handed out', async () => {
    const { desk, room, seen } = openPieces('a\n', 'b\n');
    Object.assign(desk, { note: () => Promise.reject(new Error('Connection is closed.')) });
    const response = await room.post('/incidents.csv');
    expect([response.status, await response.text()]).toEqual([503, expect.not.stringContaining('a\n')]);
    expect(seen.read).toBe(1);
  });
});

test('the whole audit as a file, for admins, noted too; no login id is in it, and no formula', async () => {
  const { desk, room } = open(0);
  const act = { atMs: NOON, what: 'end', by: 'zoe', userId: '=1+1', lid: 'lid-1', outcome: 'ended' } as const;
  desk.noted.push({ ...act, why: 'a call', caseId: 'K7QX-2M9F-4T8A' });
  const csv = await (await room.post('/audit.csv')).text();
  const rows = csv.split('\r\n');
  expect(rows[0]).toBe('"at","by","what","outcome","user","case","why"');
  expect(rows).toContain(`"${new Date(NOON).toISOString()}","zoe","end","ended","'=1+1","K7QX-2M9F-4T8A","a call"`);
  const lines = (await (await room.post('/audit.ndjson')).text()).trim().split('\n');
  expect(lines.map((line) => JSON.parse(line))).toContainEqual(expect.objectContaining({ by: 'zoe', why: 'a call' }));
  expect(csv + lines.join()).not.toContain('lid-1');
  expect(desk.noted).toContainEqual(expect.objectContaining({ what: 'export', outcome: 'audit csv', by: 'a-admin' }));
  room.as(person('analyst'));
  expect((await room.post('/audit.csv')).status).toBe(403);
  expect(await (await room.get('/audit')).text()).not.toContain('/audit.csv');
});
