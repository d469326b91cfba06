/** Files of incidents: whole, in the formats' own rules, and harmless in a spreadsheet whatever an outsider wrote. */
import { describe, expect, test } from '@jest/globals';
import type { IncidentRecord } from '../../src/domain/incident.ts';
import type { IncidentPage } from '../../src/ports.ts';
import { type ExportFormat, exportAudit, exportIncidents } from '../../src/review/exports.ts';
import { anIncident } from '../support/incidents.ts';

function record(over: Partial<IncidentRecord> = {}): IncidentRecord {
  return { ...anIncident(over), status: 'open', visitCount: 0, visits: [], ...over };
}

/** As the store gives them: pages, of which one in between may be empty. */
function storeOf(incidents: readonly IncidentRecord[], perPage = 2) {
  const pages: IncidentRecord[][] = [[]];
  for (let i = 0; i < incidents.length; i += perPage) pages.push(incidents.slice(i, i + perPage));
  const asked: unknown[] = [];
  return {
    asked,
    incidents: {
      async list(query: unknown, _limit: number, cursor: string | null): Promise<IncidentPage> {
        asked.push(query);
        const at = Number(cursor ?? 0);
        return { incidents: pages[at] ?? [], cursor: at + 1 < pages.length ? String(at + 1) : null };
      },
    },
  };
}

async function exported(incidents: readonly IncidentRecord[], format: ExportFormat): Promise<string> {
  let text = '';
  for await (const piece of exportIncidents(storeOf(incidents), {}, format)) text += piece;
  return text;
}

/** RFC 4180, strictly: every cell quoted. */
function parseCsv(text: string): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  const cell = /"((?:[^"]|"")*)"(,|\r\n)/y;
  for (let at = 0; at < text.length; ) {
    cell.lastIndex = at;
    const found = cell.exec(text);
    if (found === null) throw new Error(`not RFC 4180 at ${at}: ${text.slice(at, at + 40)}`);
    row.push((found[1] ?? '').replaceAll('""', '"'));
    if (found[2] === '\r\n') {
      rows.push(row);
      row = [];
    }
    at = cell.lastIndex;
  }
  return rows;
}

const HOSTILE = [
  '=HYPERLINK("https://evil.example","x")',
  '+1+1',
  "-2+3+cmd|' /C calc'!A0",
  '@SUM(A1)',
  '\t=1+1',
  '\r=1+1',
  '\n=1+1',
  '  =1+1',
  '\u0000=1+1',
  '\u200b=1+1',
  '\uFF1D1+1',
  '"=1+1',
  '",=1+1,"',
  '"\r\n"=1+1","',
  "'=1+1",
  '<script>alert(1)</script>',
  '\u202egpj.exe',
  '\u001b[31mred',
  '\u009b31mred',
  'x\u2028y',
  `=${'A'.repeat(10_000)}`,
];

/** Control and format characters, but for TAB and line breaks. */
const UNSEEN = /(?![\t\r\n])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

describe('CSV', () => {
  test.each(HOSTILE.map((text) => [JSON.stringify(text).slice(0, 40), text] as const))(
    '%s is text, in one cell',
    async (_, text) => {
      const rows = parseCsv(
        await exported([record({ userId: text, userAgent: text, deviceId: text, note: text })], 'csv'),
      );
      expect(rows).toHaveLength(2);
      const [head = [], cells = []] = rows;
      expect(cells).toHaveLength(head.length);
      for (const name of ['user', 'browser', 'device', 'note']) {
        const shown = cells[head.indexOf(name)] ?? '';
        expect(shown).not.toMatch(/^[\s\p{Cc}\p{Cf}]*[=+\-@\uFF1D]/u);
        // Nothing is lost but what would not be seen as what it is; apostrophes are added.
        expect(shown).not.toMatch(UNSEEN);
        expect(shown.replaceAll("'", '')).toBe(text.replace(UNSEEN, '\uFFFD').replaceAll("'", ''));
      }
    },
  );

  /** As a program does that parts cells at `separator`: quotes count only where one begins a cell. */
  function cellsAt(separator: string, text: string): string[] {
    const lines = text.split(/\r\n|\r|\n/);
    const cells = lines.flatMap((line) => line.split(separator));
    return cells.map((cell) => cell.replace(/^[\s"]+/, ''));
  }

  test.each([
    ...[';', '\t', '|'].flatMap((separator) => [
      [separator, `x${separator}=HYPERLINK("https://evil.example")`],
      [separator, `x${separator} +1+1`],
      [separator, `x${separator}"@SUM(A1)`],
      [separator, `x${separator}\u200b\uFF0D1`],
      [separator, `x\r\n=1+1`],
      [separator, `${separator}${separator}-1`],
    ]),
    [',', 'x,=1+1'],
    [',', '","=1+1'],
  ])('where %j parts cells, no cell of %j is a formula', async (separator, text) => {
    const csv = await exported([record({ userId: text, userAgent: text, deviceId: text, note: text })], 'csv');
    const formulas = cellsAt(separator, csv).filter((cell) => /^[\s\p{Cc}\p{Cf}]*[=+\-@\uFF0D]/u.test(cell));
    expect(formulas).toEqual([]);
  });

  test('what is no beginning of a cell stays as it is', async () => {
    const text = 'a=1; b=2 (x-y; z), me@example.org';
    const [head = [], cells = []] = parseCsv(await exported([record({ userAgent: text })], 'csv'));
    expect(cells[head.indexOf('browser')]).toBe(text);
  });

  test('a long text of separators comes through', async () => {
    const text = '; \t'.repeat(100_000);
    const [head = [], cells = []] = parseCsv(await exported([record({ note: text })], 'csv'));
    expect(cells[head.indexOf('note')]).toBe(text);
  });

  test('has a head, all pages, both sides and the times', async () => {
    const many = Array.from({ length: 5 }, (_, i) => record({ userId: `user-${i}` }));
    const [head = [], ...rows] = parseCsv(await exported(many, 'csv'));
    expect(rows.map((row) => row[head.indexOf('case')])).toEqual(many.map(({ id }) => id));
    const first = Object.fromEntries(head.map((name, i) => [name, rows[0]?.[i]]));
    expect(first).toMatchObject({ countries: 'FR', known_countries: 'GB', address: '2.125.160.217', status: 'open' });
    expect(first).toMatchObject({ login_at: '2023-11-14T22:13:20.000Z', answered_at: '', visits: '0' });
  });

  test('says of a case that ended again when, why and what it was then; of another nothing', async () => {
    const endedAgain = { reason: 'session_reused', atMs: 1_700_000_000_000, eventAtMs: 1, was: 'safe' } as const;
    const hostile = { ...endedAgain, reason: '=1+1' as 'session_reused' };
    const [head = [], ...rows] = parseCsv(
      await exported([record({ endedAgain }), record(), record({ endedAgain: hostile })], 'csv'),
    );
    const of = (row: readonly string[] = []) =>
      ['at', 'reason', 'was'].map((what) => row[head.indexOf(`ended_again_${what}`)]);
    expect(of(rows[0])).toEqual(['2023-11-14T22:13:20.000Z', 'session_reused', 'safe']);
    expect(of(rows[1])).toEqual(['', '', '']);
    expect(of(rows[2])[1]).toBe("'=1+1");
  });

  test('of nothing is a head alone; a time that is none does not end it', async () => {
    expect(parseCsv(await exported([], 'csv'))).toHaveLength(1);
    expect(parseCsv(await exported([record({ resolvedAtMs: Number.NaN })], 'csv'))).toHaveLength(2);
  });
});

describe('NDJSON', () => {
  const ACT = {
    atMs: 1,
    by: 'ann',
    what: 'answer',
    why: '',
    userId: null,
    lid: null,

    outcome: '',
  } as const;

  test('is one value a line, whatever is in it', async () => {
    const incidents = HOSTILE.map((text) => record({ userAgent: text }));
    const lines = (await exported(incidents, 'ndjson')).split('\n');
    expect(lines.pop()).toBe('');
    expect(lines.map((line) => (JSON.parse(line) as IncidentRecord).userAgent)).toEqual(HOSTILE);
    for (const line of lines) expect(line).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
  });

  test('of the audit neither', async () => {
    const acts = HOSTILE.map((why) => ({ ...ACT, why }));
    const audit = {
      async *pages() {
        yield acts;
      },
    };
    let text = '';
    for await (const piece of exportAudit(audit, 'ndjson')) text += piece;
    const lines = text.trimEnd().split('\n');
    expect(lines.map((line) => (JSON.parse(line) as typeof ACT).why)).toEqual(HOSTILE);
    for (const line of lines) expect(line).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
  });
});

describe('both', () => {
  test.each(['csv', 'ndjson'] as const)('%s names no session, handle or login id', async (format) => {
    const one = record();
    const text = await exported([one], format);
    expect(text).toContain(one.id);
    expect(text).not.toContain(one.handle);
    expect(text).not.toContain(one.lid);
  });

  test('come page by page, of what was asked for', async () => {
    const store = storeOf(Array.from({ length: 6 }, () => record()));
    const pieces: string[] = [];
    for await (const piece of exportIncidents(store, { country: 'FR' }, 'ndjson')) {
      pieces.push(piece);
      // Nothing is read ahead.
      expect(store.asked.length).toBe(pieces.length + 1);
    }
    expect(pieces).toHaveLength(3);
    expect(store.asked).toEqual(Array.from({ length: 4 }, () => ({ country: 'FR' })));
  });
});
