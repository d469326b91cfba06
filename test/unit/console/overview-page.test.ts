import { describe, expect, test } from '@jest/globals';
import { barsOf, periodOf, totalOf } from '../../../src/console/counts.ts';
import { worldMap } from '../../../src/console/world-map.ts';
import type { Overview, WorkerStatus } from '../../../src/desk-ports.ts';
import { memoryDesk } from '../../support/desk.ts';
import { openConsole } from '../../support/desk-pages.ts';

const HOUR = 3_600_000;
const NOW = Date.UTC(2026, 2, 8, 12, 34);

const COUNTS = { logins: 400, revokes: 40 };
const TRIP = { atMs: NOW - HOUR, why: 'share', window: COUNTS, day: { logins: 9000, revokes: 50 } } as const;

const worker = (over: Partial<WorkerStatus> = {}): WorkerStatus => ({
  id: 'w1',
  host: 'host-a',
  pid: 4711,
  version: '0.1.0',
  mode: 'enforce',
  startedAtMs: NOW - HOUR,
  seenAtMs: NOW,
  sources: [
    { database: 'city', origin: '/data/city.mmdb', builtOn: '2025-01-01', ageDays: 431, ok: true, role: 'country' },
    { database: 'own', origin: '/data/own.csv', builtOn: null, ageDays: null, ok: true, role: 'override' },
    { database: 'gone', origin: '/data/gone.mmdb', builtOn: null, ageDays: null, ok: false, problem: 'no such file' },
  ],
  ...over,
});

/** A desk whose overview is this; `asked` are the periods it was asked for. */
function open(over: Partial<Overview> = {}) {
  const store = memoryDesk();
  const asked: number[][] = [];
  const before = store.overview;
  Object.assign(store, {
    async overview(fromMs: number, toMs: number) {
      asked.push([fromMs, toMs]);
      return { ...(await before(fromMs, toMs)), ...over };
    },
  });
  return { store, asked, console: openConsole(store) };
}

const hour = () => Math.floor(Date.now() / HOUR) * HOUR;

test('an installation that has seen nothing yet has an overview', async () => {
  const { text, status } = await open().console.get('/');
  expect(status).toBe(200);
  expect(text).toContain('0 open incidents');
  expect(text).toContain('No worker runs: no login is checked');
  expect(text).toContain('Checked: 0 none');
  expect(text).toContain('No login of this time could be placed');
  expect(text).not.toContain('Observing');
});

describe('counts over time', () => {
  test('of a day are bars of an hour, of a week of six, the present one last', () => {
    const [day, week] = [periodOf('day', NOW), periodOf('week', NOW)];
    expect([day.fromMs, day.bars]).toEqual([Date.UTC(2026, 2, 7, 13), 24]);
    expect([week.fromMs, week.bars]).toEqual([Date.UTC(2026, 2, 1, 18), 28]);
    for (const period of [day, week]) {
      const last = barsOf([], period).at(-1)?.atMs ?? 0;
      expect(last).toBeLessThanOrEqual(NOW);
      expect(last + period.barMs).toBeGreaterThan(NOW);
    }
  });

  test('are summed per bar; what is outside and what is not asked for is left out', () => {
    const period = periodOf('week', NOW);
    const at = (i: number) => period.fromMs + i * HOUR;
    const bars = barsOf(
      [
        { atMs: at(0), counts: { checked: 5, suspect: 9 } },
        { atMs: at(5), counts: { checked: 2, flagged: 1 } },
        { atMs: at(6), counts: { checked: 1, would_revoke: 3 } },
        { atMs: at(-1), counts: { checked: 1000 } },
        { atMs: at(28 * 6), counts: { checked: 1000 } },
      ],
      period,
    );
    expect(bars.slice(0, 2).map(({ counts }) => counts)).toEqual([
      { checked: 7, unchecked: 0, flagged: 1, revoked: 0, would_revoke: 0 },
      { checked: 1, unchecked: 0, flagged: 0, revoked: 0, would_revoke: 3 },
    ]);
    expect(totalOf(bars, 'checked')).toBe(8);
  });

  test('are shown as pictures with a text of their own, and as a table', async () => {
    const series = [
      { atMs: hour(), counts: { checked: 1234, flagged: 2 } },
      { atMs: hour() - HOUR, counts: { checked: 1000, revoked: 1, unchecked: 7 } },
    ];
    const { text, html } = await open({ series }).console.get('/');
    expect(text).toContain('Checked: 2,234 at most 1,234 in an hour');
    expect(text).toContain('Not checked: 7');
    expect(text).toContain('Flagged: 2');
    expect(text).toContain('Ended: 1');
    expect(text).not.toContain('Would have ended');
    expect(html).toContain('aria-label="Checked over the last day: 2,234, in bars of an hour"');
    expect(text).toMatch(/1,000 7 0 1 .* 1,234 0 2 0/);
    expect(html.match(/class="bars" d="M/g)).toHaveLength(4);
    expect(html).not.toContain('NaN');
  });

  test('of a day or of a week, as the page’s address says; anything else is a day', async () => {
    const { asked, console } = open();
    for (const path of ['/', '/?period=week', '/?period=__proto__']) await console.get(path);
    const days = asked.map(([from = 0, to = 0]) => Math.round((to - from) / (24 * HOUR)));
    expect(days).toEqual([1, 7, 1]);
    expect((await console.get('/?period=week')).html).toMatch(/period=week" aria-current="true"/);
  });
});

describe('the map', () => {
  const countries = [
    { country: 'DE', checked: 5000, flagged: 0, revoked: 0 },
    { country: 'FR', checked: 20, flagged: 1, revoked: 0 },
    { country: 'SG', checked: 3, flagged: 0, revoked: 2 },
    { country: 'ZZ', checked: 1, flagged: 0, revoked: 0 },
    { country: '<b>', checked: 1, flagged: 1, revoked: 0 },
  ];

  test('is small, and knows every country that has letters', () => {
    const { shapes, drawn, width, height } = worldMap();
    expect(shapes.reduce((sum, { d }) => sum + d.length, 0)).toBeLessThan(90_000);
    expect(shapes.filter(({ code }) => code === null).length).toBeLessThanOrEqual(2);
    for (const code of ['DE', 'BR', 'XK', 'US', 'JP', 'NZ', 'FR', 'NO']) expect(drawn).toContain(code);
    for (const { d } of shapes) expect(d).toMatch(/^M[\d.,MLZ-]+$/);
    for (const code of ['SG', 'MT', 'DE', 'US', 'FJ']) {
      const [x, y] = worldMap().pointOf(code) ?? [-1, -1];
      expect(x > 0 && x < width && y > 0 && y < height).toBe(true);
    }
    expect(worldMap().pointOf('ZZ')).toBeNull();
  });

  test('shades by logins and rings what was caught, also where a country is too small to be drawn', async () => {
    const { html } = await open({ countries }).console.get('/');
    const germany = worldMap().shapes.find(({ code }) => code === 'DE')?.d;
    const brazil = worldMap().shapes.find(({ code }) => code === 'BR')?.d;
    expect(html).toContain(`<path class="land s5" d="${germany}"`);
    expect(html).toContain(`<path class="land s0" d="${brazil}"`);
    expect(html.match(/<circle class="land s1"/g)).toHaveLength(1);
    expect(html.match(/<circle class="caught"/g)).toHaveLength(2);
    expect(html.length).toBeLessThan(150_000);
  });

  test('is a table too: what was caught first, each with its incidents', async () => {
    const { text, html } = await open({ countries }).console.get('/');
    expect(text).toMatch(
      /Country Checked Flagged Ended Singapore \(SG\) 3 0 2 France \(FR\) 20 1 0 <b> 1 1 0 Germany \(DE\) 5,000 0 0/,
    );
    expect(html).not.toContain('<b>');
    expect(html).toMatch(/href="\/incidents\?country=FR&amp;status=all&amp;from=\d{4}-\d\d-\d\dT\d\d%3A00"/);
  });

  test('tells of what observing would have ended', async () => {
    const observed = [{ country: 'NG', checked: 9, flagged: 0, revoked: 0, wouldRevoke: 4 }];
    const { text, html } = await open({ countries: observed }).console.get('/');
    expect(text).toContain('Would have ended Nigeria (NG) 9 0 0 4');
    expect(html.match(/<circle class="caught"/g)).toHaveLength(1);
  });
});

describe('how the workers do', () => {
  test('queues with what waits and for how long', async () => {
    const queues = [
      { name: 'logins', waiting: 1200, active: 3, delayed: 0, failed: 1, lagMs: 90_000 },
      { name: 'sweeps', waiting: 0, active: 0, delayed: 1, failed: 0, lagMs: null },
    ];
    const { text } = await open({ queues }).console.get('/');
    expect(text).toContain('logins 1,200 3 0 1 1 min');
    expect(text).toContain('sweeps 0 0 1 0 nothing waits');
  });

  test('databases once for all workers that have the same, old and broken ones marked', async () => {
    const [mine, ...others] = worker().sources;
    const newer = { ...(mine as (typeof others)[number]), builtOn: '2026-03-01', ageDays: 7 };
    const workers = [
      worker(),
      worker({ id: 'w2', host: 'host-b' }),
      worker({ id: 'w3', host: 'host-c', sources: [newer] }),
    ];
    const { text } = await open({ workers }).console.get('/');
    expect(text).toContain('city country 2025-01-01 431 days: old yes host-a, host-b');
    expect(text).toContain('city country 2026-03-01 7 days yes host-c');
    expect(text).toContain('own override unknown your own word yes');
    expect(text).toContain('gone unknown unknown unknown no no such file');
  });

  test('workers with host, process, version and mode', async () => {
    const workers = [worker(), worker({ id: 'w2', mode: 'observe' })];
    const { text } = await open({ workers }).console.get('/');
    expect(text).toContain('2 workers at work, 1 of them only observing');
    expect(text).toMatch(/host-a 4711 0\.1\.0 enforce 2026-03-08 11:34:00/);
  });

  test('why logins were not checked, the most frequent first', async () => {
    const totals = { logins: 5000, 'why:no_data': 3, 'why:special_address': 1200, 'reason:unlocatable': 1203 };
    const { text } = await open({ totals }).console.get('/');
    expect(text).toMatch(/of 5,000 logins: 1,200: a private or other special address .* 3: no source has an answer/);
  });

  test('what waits for somebody, and what observing would have ended', async () => {
    const over = { openIncidents: 1, deadLetters: 12, wouldHaveEnded: { sessions: 31, users: 1 } };
    const { text, html } = await open(over).console.get('/');
    expect(text).toContain('1 open incident ');
    expect(text).toContain('12 notifications could not be delivered');
    expect(html).toContain('href="/notifications"');
    expect(text).toMatch(/would have ended 31 sessions of 1 user in this time/);
  });
});

describe('what observing would have ended', () => {
  const some = { sessions: 31, users: 1 };
  const [observing, enforcing] = [[worker({ mode: 'observe' }), worker()], [worker()]];
  const brake = { kind: 'tripped', trip: TRIP } as const;

  test.each([
    [
      'while a worker observes',
      { workers: observing, wouldHaveEnded: some },
      'Observing: enforcing would have ended 31',
    ],
    ['while it finds nothing', { workers: observing }, 'Observing: enforcing would have ended 0 sessions of 0 users'],
    ['while the brake holds', { workers: enforcing, brake }, 'Observing: enforcing would have ended 0 sessions'],
    [
      'once it is over',
      { workers: enforcing, wouldHaveEnded: some },
      'While workers observed or the brake held, enforcing would have ended 31 sessions of 1 user in this time',
    ],
    ['where nobody observed', { workers: enforcing }, null],
  ] as const)('is told %s', async (_, over, words) => {
    const { text } = await open(over).console.get('/');
    if (words === null) expect(text).not.toContain('would have ended');
    else expect(text).toContain(words);
    expect(text.includes('Observing:')).toBe(words?.startsWith('Observing') === true);
  });
});

describe('the safety brake', () => {
  const tripped = { brake: { kind: 'tripped', trip: TRIP } } as const;

  test('says what it does', async () => {
    expect((await open({ brake: { kind: 'off' } }).console.get('/')).text).toContain('Safety brake It is off');
    const { text, html } = await open({ lastTrip: TRIP }).console.get('/');
    expect(text).toContain('It does not hold: sessions are ended. It last held from 2026-03-08 11:34:00');
    expect(html).not.toContain('/brake/reset');
  });

  test('says why it holds, and an admin lets it go with a reason', async () => {
    const { store, console } = open(tripped);
    const { text, html } = await console.get('/');
    expect(text).toContain('It holds since 2026-03-08 11:34:00');
    expect(text).toContain('40 users in 400 logins in the window, 50 users in 9,000 logins in the day');
    expect(html).toContain('action="/brake/reset"');
    expect((await console.post('/brake/reset', { why: ' ' })).status).toBe(400);
    expect(store.acts).toEqual([]);
    Object.assign(store, { resetBrake: async () => tripped.brake });
    const done = await console.post('/brake/reset', { why: 'the file is put back' });
    expect([done.status, done.location]).toEqual([303, '/#brake']);
    expect(done.flash).toBe('The brake is let go: sessions are ended again.');
  });

  test('is told when it was not holding any more', async () => {
    const { store, console } = open();
    expect((await console.post('/brake/reset', { why: 'all is well' })).flash).toBe('The brake did not hold.');
    expect(store.acts).toMatchObject([{ what: 'resetBrake', args: ['all is well'], by: 'rita' }]);
  });

  test('is not let go by an analyst, nor without a recent proof', async () => {
    const { store, console } = open(tripped);
    const analyst = await console.get('/', { role: 'analyst' });
    expect(analyst.text).toContain('Somebody with the role admin can let it go');
    expect(analyst.html).not.toContain('/brake/reset');
    const stale = await console.get('/', { fresh: false });
    expect(stale.html).not.toContain('/brake/reset');
    expect(stale.text).toContain('Confirm your password to do this');
    expect((await console.post('/brake/reset', { why: 'x' }, { role: 'analyst' })).status).toBe(403);
    expect((await console.post('/brake/reset', { why: 'x' }, { fresh: false })).status).toBe(403);
    expect(store.acts).toEqual([]);
  });
});
