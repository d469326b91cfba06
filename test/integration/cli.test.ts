/** The command as an operator runs it: a process of its own, a real Redis, what it prints and how it ends. */
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, jest, test } from '@jest/globals';
import { Queue } from 'bullmq';
import type { HistoryEntry } from '../../src/desk-ports.ts';
import type { Incident, IncidentRecord } from '../../src/domain/incident.ts';
import { DEFAULT_POLICY } from '../../src/domain/policy.ts';
import type { Located, Place } from '../../src/domain/types.ts';
import { openChain } from '../../src/geo/chain.ts';
import type { Baselines } from '../../src/ports.ts';
import { redisBaselines } from '../../src/redis/baselines.ts';
import { redisCounters } from '../../src/redis/counters.ts';
import { redisHistory } from '../../src/redis/history.ts';
import { redisIncidents } from '../../src/redis/incidents.ts';
import { type Keys, keysFor, LOGIN_QUEUE } from '../../src/redis/keys.ts';
import { guardedSessions } from '../../src/redis/sessions.ts';
import { redisSetAside } from '../../src/redis/set-aside.ts';
import { redisWorkers } from '../../src/redis/workers.ts';
import { teach } from '../../src/review/baseline.ts';
import {
  captureLog,
  connect,
  freePort,
  privateRedis,
  release,
  spawnNode,
  testPrefix,
  testRedisUrl,
} from '../support/index.ts';
import { writeMmdb } from '../support/mmdb-writer.ts';

/** Most of the time of a test here is the start of processes, one after the other: up to six. */
jest.setTimeout(90_000);

const DAY_MS = 86_400_000;
const BASE_MS = Date.UTC(2026, 0, 31, 12);
const HOSTILE = 'eve\u001b[31m\u001b]0;title\u0007\u202Egnp.exe\u200B\u2028\u0085end';
const FORBIDDEN = /[\p{Cf}\p{Zl}\p{Zp}]|(?!\n)\p{Cc}/u;

interface Answer {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly ms: number;
}

async function run(args: readonly string[], env: Record<string, string | undefined> = {}): Promise<Answer> {
  const startedMs = Date.now();
  const given = { REDIS_URL: undefined, NO_COLOR: undefined, COLUMNS: undefined, ...env };
  const spawned = spawnNode('src/cli/main.js', args, given, { cwd: emptyDir });
  const { code } = await spawned.exited;
  return { code, stdout: spawned.stdout, stderr: spawned.stderr, ms: Date.now() - startedMs };
}

/** No configuration file is found here by accident. */
const emptyDir = mkdtempSync(join(tmpdir(), 'session-bouncer-cli-'));
release(() => rmSync(emptyDir, { recursive: true, force: true }));

/** Flags after the command, so that they reach it. */
class Cli {
  readonly prefix = testPrefix();
  readonly keys: Keys = keysFor(this.prefix);
  readonly redis = connect();
  readonly incidents = redisIncidents(this.redis, this.keys, 30 * DAY_MS);
  readonly baselines = redisBaselines(this.redis, this.keys, 180 * DAY_MS, captureLog());

  run(...args: string[]): Promise<Answer> {
    return this.runWith({}, ...args);
  }

  runWith(env: Record<string, string>, ...args: string[]): Promise<Answer> {
    return run([...args, '--redis', testRedisUrl(), '--prefix', this.prefix], env);
  }

  async json<T>(...args: string[]): Promise<T> {
    const { code, stdout, stderr } = await this.run(...args, '--json');
    if (code !== 0) throw new Error(`exit ${code}: ${stderr}`);
    return JSON.parse(stdout) as T;
  }

  async seed(...incidents: Incident[]): Promise<void> {
    expect(await this.incidents.record(incidents)).toEqual(incidents.map(() => true));
  }
}

function sighting(address: string): Located {
  return {
    kind: 'located',
    address,
    family: 4,
    network: address.replace(/\d+$/, '0/24'),
    candidates: ['BR'],
    agreed: true,
    evidence: [
      { database: 'GeoLite2-Country', builtOn: '2026-01-20', country: 'BR', network: '200.160.0.0/16' },
      { database: 'DBIP-Country', builtOn: '2026-01-01', country: null, network: null, note: 'pseudo:EU' },
    ],
  };
}

function incident(number: number, over: Partial<Incident> = {}): Incident {
  const atMs = BASE_MS + number * 60_000;
  return {
    id: `AAAA-BBBB-${String(number).padStart(4, '0')}`,
    lid: `lid-of-incident-${number}`,
    handle: 'h'.repeat(43),
    userId: 'alice',
    action: 'revoke',
    reason: 'country_changed',
    mode: 'enforce',
    outcome: 'revoked',
    baseline: {
      v4: {
        places: [{ countries: ['GB'], agreed: true, firstSeenMs: BASE_MS - 9 * DAY_MS, lastSeenMs: BASE_MS - DAY_MS }],
        networks: [{ network: '81.2.69.0/24', firstSeenMs: BASE_MS - 9 * DAY_MS, lastSeenMs: BASE_MS - DAY_MS }],
      },
      v6: { places: [], networks: [] },
    },
    sighting: sighting('200.160.2.3'),
    userAgent: 'Mozilla/5.0',
    loginAtMs: atMs,
    queuedAtMs: atMs + 3,
    decidedAtMs: atMs + 5,
    revokedAtMs: atMs + 6,
    ...over,
  };
}

describe('incidents list', () => {
  test('newest first, page by page, and by user, address and status', async () => {
    const cli = new Cli();
    const bob = { userId: 'bob', sighting: sighting('198.41.0.4') };
    await cli.seed(incident(1), incident(2, bob), incident(3), incident(4), incident(5));
    await cli.incidents.resolve('AAAA-BBBB-0004', { disposition: 'dismissed', by: 'ann', note: '', atMs: BASE_MS });
    interface Page {
      incidents: IncidentRecord[];
      cursor: string | null;
    }
    const ids = async (...args: string[]) => {
      const { incidents, cursor } = await cli.json<Page>('incidents', 'list', ...args);
      return { ids: incidents.map(({ id }) => Number(id.slice(-4))), cursor };
    };
    expect(await ids()).toEqual({ ids: [5, 4, 3, 2, 1], cursor: null });
    const first = await ids('--limit', '2');
    expect(first.ids).toEqual([5, 4]);
    expect((await ids('--limit', '4', '--cursor', first.cursor ?? '')).ids).toEqual([3, 2, 1]);
    expect((await ids('--user', 'bob')).ids).toEqual([2]);
    expect((await ids('--address', '::ffff:200.160.2.3', '--status', 'open')).ids).toEqual([5, 3, 1]);
    expect((await ids('--status', 'dismissed')).ids).toEqual([4]);
  });

  test.each([60, 80, 100, 200])('its table fits %d columns, hostile text and all', async (columns) => {
    const cli = new Cli();
    await cli.seed(
      incident(1, { userId: HOSTILE }),
      incident(2, {
        userId: '漢字'.repeat(60),
        sighting: { ...sighting('200.160.2.3'), candidates: ['AR', 'BR', 'UY'] },
      }),
      incident(3, { userId: 'e\u0301\u0302\u0303\u0304\u0305\u0306'.repeat(20) }),
    );
    const { stdout, code } = await cli.runWith({ COLUMNS: String(columns) }, 'incidents', 'list');
    expect(code).toBe(0);
    const lines = stdout.trimEnd().split('\n');
    expect(lines).toHaveLength(4);
    expect(lines[0]).toMatch(/^CASE +(LOGIN \(UTC\) +)?USER +ADDRESS/);
    expect(lines[3]).toContain('AAAA-BBBB-0001');
    // The widest cells are cut with an ellipsis. Ideographs take two columns.
    const width = (line: string) =>
      [...line.replace(/\p{M}/gu, '')].reduce((n, c) => n + (/[漢字]/.test(c) ? 2 : 1), 0);
    expect(Math.max(...lines.map(width))).toBeLessThanOrEqual(columns);
    expect(stdout).not.toMatch(FORBIDDEN);
  });

  test('ends with how many logins could not be checked, where there are any', async () => {
    const cli = new Cli();
    await cli.seed(incident(1));
    const list = async () => (await cli.run('incidents', 'list')).stdout;
    expect(await list()).not.toContain('checked');
    const counts = new Map(Object.entries({ logins: 10, 'why:tunnel': 1, 'why:stale_data': 2 }));
    await redisCounters(cli.redis, cli.keys).add('one', counts);
    expect(await list()).toMatch(
      /AAAA-BBBB-0001[\s\S]*\n\n3 of 10 logins could not be checked: stale_data 2, tunnel 1 \(session-bouncer doctor\)\n$/,
    );
    expect(await cli.json('incidents', 'list')).toMatchObject({ cursor: null });
  });

  test('says so when there is none', async () => {
    expect(await new Cli().run('incidents', 'list')).toMatchObject({ code: 0, stdout: 'No incidents.\n', stderr: '' });
  });

  test.each([
    [['--limit', '0'], 'option_invalid'],
    [['--limit', 'many'], 'option_invalid'],
    [['--status', 'closed'], 'option_invalid'],
    [['--address', '10.0.0.1:80'], 'option_invalid'],
    [['--cursor', '\u001b[2J'], 'cursor_invalid'],
    [['--bogus\u001b[2J'], 'option_invalid'],
  ])('%j is refused in one line', async (args, code) => {
    const answer = await new Cli().run('incidents', 'list', ...args);
    expect(answer).toMatchObject({ code: 1, stdout: '' });
    expect(answer.stderr).toMatch(new RegExp(`^${code}: .+\\n$`));
    expect(answer.stderr).not.toMatch(FORBIDDEN);
  });
});

describe('incidents show', () => {
  async function seeded() {
    const cli = new Cli();
    await cli.seed(incident(1, { userId: HOSTILE, userAgent: HOSTILE, deviceId: HOSTILE }));
    const atMs = BASE_MS + 60_150;
    const visit = { atMs, address: '200.160.2.3', userAgent: HOSTILE, method: 'GET', path: `/${HOSTILE}` };
    await cli.incidents.visit('AAAA-BBBB-0001', { ...visit, kind: 'refused' });
    await cli.incidents.visit('AAAA-BBBB-0001', { ...visit, kind: 'gotcha', atMs: atMs + 40 });
    return cli;
  }

  test('both sides, the evidence with dates, the times between, the visits', async () => {
    const cli = await seeded();
    const { stdout, code } = await cli.runWith({ COLUMNS: '100' }, 'incidents', 'show', 'aaaa-bbbb-0001');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^KNOWN BEFORE +THIS LOGIN$/m);
    expect(stdout).toMatch(/^v4 {2}GB {2}certain {2}2026-01-22\.\.2026-01-30 +v4 {2}BR {2}certain$/m);
    expect(stdout).toMatch(/^v4 {2}81\.2\.69\.0\/24 {2}2026-01-22\.\.2026-01-30 +Address {2}200\.160\.2\.3$/m);
    expect(stdout).toMatch(/^GeoLite2-Country +2026-01-20 +BR +200\.160\.0\.0\/16$/m);
    expect(stdout).toMatch(/^DBIP-Country +2026-01-01 +- +- +pseudo:EU$/m);
    expect(stdout).toMatch(/^queued +2026-01-31 12:01:00\.003 +3 ms$/m);
    expect(stdout).toMatch(/^decided .* 2 ms\nrevoked .* 1 ms\nfirst refused request .* 144 ms$/m);
    expect(stdout).toMatch(/^Visits \(2\)$/m);
    expect(stdout).not.toMatch(FORBIDDEN);
    for (const line of stdout.split('\n')) expect([...line].length).toBeLessThanOrEqual(100);
  });

  test('why the user is known where: the last login there before this one', async () => {
    const cli = new Cli();
    const { baseline } = incident(1);
    const six = { places: [{ ...baseline.v4.places[0], countries: ['FR'] } as Place], networks: [] };
    const one = incident(1, { baseline: { ...baseline, v6: six } });
    await cli.seed(one);
    const seen = (lid: string, daysBefore: number, countries: string[], address: string): HistoryEntry => {
      const atMs = one.loginAtMs - daysBefore * DAY_MS;
      const network = address.includes(':') ? '2a00:1::/48' : address.replace(/\d+$/, '0/24');
      const decision = { action: 'allow', reason: 'same_country', caseId: null } as const;
      return { lid, atMs, address, network, countries, ...decision };
    };
    await redisHistory(cli.redis, cli.keys, 90 * DAY_MS).add('alice', [
      seen('a', 9, ['GB'], '81.2.69.1'),
      seen('b', 2, ['GB', 'IE'], '81.2.70.1'),
      seen('c', 1, ['DE'], '79.192.10.20'),
      seen('later', -1, ['GB'], '81.2.71.1'),
      { ...seen(one.lid, 0, ['GB'], '200.160.2.3'), action: 'revoke' },
    ]);
    const { stdout } = await cli.runWith({ COLUMNS: '120' }, 'incidents', 'show', one.id);
    expect(stdout).toMatch(/^GB +2026-01-29 12:01 +GB\|IE +81\.2\.70\.1 +81\.2\.70\.0\/24 +same_country$/m);
    expect(stdout).toMatch(/^FR +not kept any more$/m);
    const json = await cli.json<{ knownFrom: unknown[] }>('incidents', 'show', one.id);
    expect(json.knownFrom).toMatchObject([
      { countries: ['GB'], login: { address: '81.2.70.1' } },
      { countries: ['FR'], login: null },
    ]);
  });

  test('what a source said beside the country: flags, the network, a place', async () => {
    const cli = new Cli();
    const where = { latitude: 58.4167, longitude: 15.6167, radiusKm: 76 };
    const evidence = [
      { database: 'GeoLite2-City', builtOn: '2026-01-20', country: 'SE', network: '200.160.0.0/16', ...where },
      { database: 'ASN', builtOn: '2026-01-20', country: null, network: null, asn: 29518, holder: HOSTILE },
    ];
    const flags = ['anonymiser'] as const;
    await cli.seed(
      incident(1, { reason: 'anonymous_network', sighting: { ...sighting('200.160.2.3'), evidence, flags } }),
    );
    const { stdout } = await cli.run('incidents', 'show', 'AAAA-BBBB-0001');
    expect(stdout).toMatch(/^GeoLite2-City .* 58\.42, 15\.62 within 76 km$/m);
    expect(stdout).toMatch(/^ASN .* AS29518 eve/m);
    expect(stdout).toMatch(/Flags {4}anonymiser/);
    expect(stdout).not.toMatch(FORBIDDEN);
  });

  test('as JSON: the same values, lossless, and still harmless on a terminal', async () => {
    const cli = await seeded();
    const { stdout } = await cli.run('incidents', 'show', 'AAAA-BBBB-0001', '--json');
    expect(stdout).not.toMatch(FORBIDDEN);
    const shown = JSON.parse(stdout) as IncidentRecord;
    expect(shown).toMatchObject({ userId: HOSTILE, visitCount: 2, firstRefusedAtMs: BASE_MS + 60_150, status: 'open' });
  });

  test.each(['AAAA-BBBB-0009', 'nonsense', '\u001b[2J'])('%p is unknown', async (caseId) => {
    const answer = await new Cli().run('incidents', 'show', caseId);
    expect(answer).toMatchObject({ code: 1, stdout: '' });
    expect(answer.stderr).toMatch(/^incident_unknown: [^\n]+\n$/);
    expect(answer.stderr).not.toMatch(FORBIDDEN);
  });
});

describe('incidents resolve', () => {
  const SAFE = ['--as', 'safe', '--by', 'ann', '--note', 'on holiday'];

  test('safe: answered, and the owner may log in from there again', async () => {
    const cli = new Cli();
    await cli.seed(incident(1));
    const { stdout, code } = await cli.run('incidents', 'resolve', 'AAAA-BBBB-0001', ...SAFE);
    expect(stdout).toBe(
      'AAAA-BBBB-0001: safe; alice may log in from BR and 200.160.2.0/24; nothing of the session is left to give back\n',
    );
    expect(code).toBe(0);
    expect(await cli.incidents.get('AAAA-BBBB-0001')).toMatchObject({
      status: 'safe',
      resolvedBy: 'ann',
      note: 'on holiday',
    });
    const [stored] = await cli.baselines.load(['alice']);
    expect(stored?.baseline.v4.places).toMatchObject([{ countries: ['BR'], agreed: true }]);
    expect(stored?.baseline.v4.networks).toMatchObject([{ network: '200.160.2.0/24' }]);
  });

  test('a second answer is refused; the same one completes what was interrupted', async () => {
    const cli = new Cli();
    await cli.seed(incident(1));
    // As if the process had died after its first step.
    const answer = { disposition: 'safe', by: 'ann', note: '', atMs: Date.now() } as const;
    expect(await cli.incidents.resolve('AAAA-BBBB-0001', answer)).toBe('resolved');
    const again = await cli.json('incidents', 'resolve', 'AAAA-BBBB-0001', ...SAFE);
    expect(again).toMatchObject({ taught: true, incident: { status: 'safe', note: '' } });
    for (const as of ['safe', 'confirmed']) {
      const late = await cli.run('incidents', 'resolve', 'AAAA-BBBB-0001', '--as', as, '--by', 'bob');
      expect(late).toMatchObject({ code: 1, stdout: '' });
      expect(late.stderr).toMatch(/^incident_closed: AAAA-BBBB-0001 was answered before: safe, \S+; [^\n]+\n$/);
    }
  });

  test.each(['confirmed', 'dismissed'])('%s teaches nothing', async (as) => {
    const cli = new Cli();
    await cli.seed(incident(1));
    const answer = await cli.json('incidents', 'resolve', 'AAAA-BBBB-0001', '--as', as, '--by', 'ann');
    expect(answer).toMatchObject({ taught: false, incident: { status: as } });
    expect((await cli.baselines.load(['alice']))[0]?.revision).toBe(0);
  });

  test('is not put off by a worker that teaches the same user at the same time', async () => {
    const cli = new Cli();
    await cli.seed(incident(1), incident(2, { sighting: { ...sighting('200.160.3.3'), candidates: ['UY'] } }));
    await Promise.all(['0001', '0002'].map((n) => cli.run('incidents', 'resolve', `AAAA-BBBB-${n}`, ...SAFE)));
    const [stored] = await cli.baselines.load(['alice']);
    expect(stored?.baseline.v4.places.map(({ countries }) => countries[0]).sort()).toEqual(['BR', 'UY']);
    expect(stored?.baseline.v4.places.length).toBeLessThanOrEqual(DEFAULT_POLICY.maxPlaces);
  });

  test('what another one taught in between is kept', async () => {
    const cli = new Cli();
    await cli.seed(incident(1));
    const { v4, v6 } = incident(1).baseline;
    let asked = 0;
    const baselines: Baselines = {
      async load(users) {
        const stored = await cli.baselines.load(users);
        // Only now: the first save names a revision that is no longer there.
        if (asked++ === 0) await cli.baselines.save([{ userId: 'alice', revision: 0, baseline: { v4, v6 } }]);
        return stored;
      },
      save: cli.baselines.save,
    };
    const answered = {
      ...incident(1),
      status: 'safe',
      resolvedAtMs: BASE_MS + DAY_MS,
      visitCount: 0,
      visits: [],
    } as const;
    expect(await teach({ baselines, policy: DEFAULT_POLICY }, answered)).toBe(true);
    const [stored] = await cli.baselines.load(['alice']);
    expect(stored?.baseline.v4.places.map(({ countries }) => countries[0])).toEqual(['BR', 'GB']);
    expect(asked).toBe(2);
  });

  test.each([
    [['AAAA-BBBB-0009', '--as', 'safe', '--by', 'ann'], 'incident_unknown'],
    [['AAAA-BBBB-0001', '--as', 'maybe'], 'option_invalid'],
    [['AAAA-BBBB-0001'], 'option_invalid'],
    [['AAAA-BBBB-0001', '--as', 'safe', '--by', ''], 'option_invalid'],
    [['AAAA-BBBB-0001', '--as', 'safe', '--by', 'user'], 'option_invalid'],
    [['AAAA-BBBB-0001', '--as', 'safe', '--by', 'ann', '--note', 'n'.repeat(2001)], 'option_invalid'],
  ])('%j is refused', async (args, code) => {
    const answer = await new Cli().run('incidents', 'resolve', ...args);
    expect(answer).toMatchObject({ code: 1, stdout: '' });
    expect(answer.stderr).toMatch(new RegExp(`^${code}: [^\\n]+\\n$`));
  });
});

describe('incidents undo', () => {
  /** Ended by the answer itself: a flag, of a session that lives. */
  async function confirmed(cli: Cli): Promise<() => Promise<string>> {
    const flag = incident(1, { action: 'flag', reason: 'country_disputed', outcome: 'none', loginAtMs: Date.now() });
    await cli.seed(flag);
    const sessions = guardedSessions(cli.redis, cli.keys);
    const nowMs = Date.now();
    const head = { renewedAtMs: nowMs, endsAtMs: nowMs + DAY_MS, birth: 'b'.repeat(22), lid: flag.lid, movedFrom: '' };
    await sessions.save(flag.handle, true, head, { userId: 'alice' }, DAY_MS);
    const kind = async () => (await sessions.load(flag.handle)).kind;
    const args = ['--as', 'confirmed', '--by', 'ann', '--block', '7d'];
    const { stdout } = await cli.run('incidents', 'resolve', flag.id, ...args);
    expect(stdout).toBe(`${flag.id}: confirmed; the login is ended; ${flag.sighting.address} is blocked\n`);
    expect(await kind()).toBe('tombstone');
    return kind;
  }

  test('a login that an answer ended lives again, and the case is open again; safe may leave it ended', async () => {
    const cli = new Cli();
    const kind = await confirmed(cli);
    const { stdout, code } = await cli.run('incidents', 'undo', 'aaaa-bbbb-0001', '--by', 'bob', '--why', 'she called');
    expect([stdout, code]).toEqual(['AAAA-BBBB-0001: the session lives again\n', 0]);
    expect(await kind()).toBe('live');
    expect(await cli.incidents.get('AAAA-BBBB-0001')).toMatchObject({ status: 'open' });
    const again = await cli.json('incidents', 'resolve', 'AAAA-BBBB-0001', '--as', 'safe', '--no-give-back');
    expect(again).toMatchObject({ taught: true, givenBack: null });
    expect(await cli.json('incidents', 'undo', 'AAAA-BBBB-0001', '--why', 'x')).toEqual({
      case: 'AAAA-BBBB-0001',
      outcome: 'given_back',
    });
  });

  test('a wrong safe is opened again, and what it taught is forgotten', async () => {
    const cli = new Cli();
    await cli.seed(incident(1, { loginAtMs: Date.now() }));
    await cli.run('incidents', 'resolve', 'AAAA-BBBB-0001', '--as', 'safe', '--no-give-back');
    const { stdout, code } = await cli.run('incidents', 'reopen', 'AAAA-BBBB-0001', '--why', 'too quick', '--forget');
    expect([stdout, code]).toEqual([
      expect.stringMatching(/^AAAA-BBBB-0001: open again, was safe; forgotten: \w\w, /),
      0,
    ]);
    expect(await cli.incidents.get('AAAA-BBBB-0001')).toMatchObject({ status: 'open' });
  });

  test.each([
    [['reopen', 'AAAA-BBBB-0001', '--why', 'x'], 'option_invalid'],
    [['undo', 'AAAA-BBBB-0009', '--why', 'x'], 'incident_unknown'],
    [['undo', 'AAAA-BBBB-0001', '--why', ' '], 'option_invalid'],
    [['undo', 'AAAA-BBBB-0001'], 'option_invalid'],
    [['resolve', 'AAAA-BBBB-0001', '--as', 'confirmed', '--block', '7 days'], 'option_invalid'],
    [['resolve', 'AAAA-BBBB-0001', '--as', 'safe', '--by', 'ann', '--block', '7d'], 'option_invalid'],
  ])('%j is refused', async (args, code) => {
    const cli = new Cli();
    await cli.seed(incident(1));
    const answer = await cli.run('incidents', ...args);
    expect(answer).toMatchObject({ code: 1, stdout: '' });
    expect(answer.stderr).toMatch(new RegExp(`^${code}: [^\\n]+\\n$`));
  });
});

describe('locate', () => {
  function database(name: string, databaseType: string, builtAtMs: number, country: string): string {
    const path = join(emptyDir, name);
    const networks = {
      '200.160.0.0/16': { country: { iso_code: country } },
      '8.8.8.0/24': { country: { iso_code: 'US' } },
    };
    writeFileSync(path, writeMmdb({ databaseType, builtAtMs, networks }));
    return path;
  }
  const two = () => [
    database('a.mmdb', 'GeoLite2-Country', BASE_MS, 'BR'),
    database('b.mmdb', 'DBIP-Country', BASE_MS, 'UY'),
  ];

  test("each source's word with its date, the class, and what it comes to", async () => {
    const { stdout, stderr, code } = await run([
      'locate',
      '--databases',
      two().join(','),
      ...['8.8.8.8', '200.160.2.3', '10.0.0.1', '9.9.9.9', '2002:808:808::1', HOSTILE],
    ]);
    // One is no address; the others are answered all the same.
    expect({ stderr, code }).toEqual({ stderr: '', code: 1 });
    expect(stdout).toMatch(/^8\.8\.8\.8 {2}global {2}US {2}\(independent sources agree\) {2}network 8\.8\.8\.0\/24$/m);
    expect(stdout).toMatch(/^200\.160\.2\.3 {2}global {2}BR or UY {2}\(not certain/m);
    expect(stdout).toMatch(/^GeoLite2-Country +2026-01-31 +BR +200\.160\.0\.0\/16$/m);
    expect(stdout).toMatch(/^10\.0\.0\.1 {2}private {2}unlocatable: special_address$/m);
    expect(stdout).toMatch(/^9\.9\.9\.9 {2}global {2}unlocatable: no_data$/m);
    expect(stdout).toMatch(/^2002:808:808::1 {2}6to4 {2}unlocatable: tunnel \(carries 8\.8\.8\.8\)$/m);
    expect(stdout).toMatch(/^eve.* {2}not an address {2}unlocatable: invalid_address$/m);
    expect(stdout).not.toMatch(FORBIDDEN);
  });

  test('as JSON, with data that is too old to decide', async () => {
    const args = ['locate', '200.160.2.3', '--databases', two()[0] ?? '', '--max-database-age-days', '1', '--json'];
    expect(JSON.parse((await run(args)).stdout)).toMatchObject([
      {
        input: '200.160.2.3',
        addressClass: 'global',
        sighting: { kind: 'unlocatable', why: 'stale_data', evidence: [{ builtOn: '2026-01-31', note: 'stale' }] },
      },
    ]);
  });

  test('says on the side what could not be opened', async () => {
    const { stdout, stderr, code } = await run(['locate', '8.8.8.8', '--databases', join(emptyDir, 'none.mmdb')]);
    expect(code).toBe(0);
    expect(stderr).toMatch(/^warning: .*none\.mmdb: /);
    expect(stdout).toContain('8.8.8.8');
  });
});

describe('doctor', () => {
  interface Report {
    status: string;
    checks: { name: string; status: string; finding: string; remedy?: string }[];
  }
  const statuses = ({ checks }: Report) => Object.fromEntries(checks.map(({ name, status }) => [name, status]));

  test('a queue that nobody works on, logins that could not be checked', async () => {
    const cli = new Cli();
    const queue = new Queue(LOGIN_QUEUE, { connection: cli.redis, prefix: cli.keys.queuePrefix });
    release(() => queue.close());
    await queue.add('logins', {}, { timestamp: Date.now() - 3_600_000 });
    await queue.add('logins', {});
    const entry = { code: 'malformed_job', atMs: BASE_MS, jobId: '1', index: null, field: null, lid: null } as const;
    await redisSetAside(cli.redis, cli.keys).put('1', [entry]);
    const rechecks = { 'recheck:waiting': 7, 'recheck:done': 3, 'recheck:gave_up': 2 };
    const counts = { logins: 10, 'why:special_address': 4, 'why:no_data': 1, ...rechecks };
    await redisCounters(cli.redis, cli.keys).add('batch-1', new Map(Object.entries(counts)));
    const { code, stdout } = await cli.run('doctor', '--json', '--mode', 'observe');
    const report = JSON.parse(stdout) as Report;
    expect(code).toBe(1);
    expect(report.status).toBe('fail');
    expect(statuses(report)).toMatchObject({
      mode: 'ok',
      version: 'ok',
      queue: 'fail',
      workers: 'fail',
      'set aside': 'warn',
      unchecked: 'warn',
      waiting: 'warn',
    });
    expect(statuses(report)).not.toHaveProperty('registry worker');
    const finding = (name: string) => report.checks.find((check) => check.name === name);
    expect(finding('mode')?.finding).toMatch(/^observe: .*\(flag --mode\)$/);
    expect(finding('queue')?.finding).toMatch(/^2 jobs waiting, the oldest for 1 h,/);
    expect(finding('set aside')?.finding).toBe('1 in all, last malformed_job on 2026-01-31 12:00 UTC');
    const waiting = '2 logins wait for a database; before, 3 were checked later and 2 never';
    expect(finding('waiting')?.finding).toBe(waiting);
    expect(finding('unchecked')).toMatchObject({
      finding: '5 of 10 logins could not be checked: special_address 4, no_data 1',
      remedy: expect.stringContaining('trustProxy'),
    });
    expect(report.checks.filter(({ status, remedy }) => status !== 'ok' && !remedy)).toEqual([]);
  });

  test('registry evidence, where it is switched on', async () => {
    const cli = new Cli();
    const counts = { 'registry:same_country': 2, 'registry:recorded': 5, 'registry:later': 4, 'registry:nobody': 1 };
    await redisCounters(cli.redis, cli.keys).add('registry-1', new Map(Object.entries(counts)));
    const { checks } = JSON.parse((await cli.run('doctor', '--json', '--registry-enabled', 'true')).stdout) as Report;
    expect(checks.filter(({ name }) => name.startsWith('registry'))).toMatchObject([
      { name: 'registry worker', status: 'warn', finding: 'none is connected' },
      {
        name: 'registry answers',
        status: 'ok',
        finding: '7 answers (recorded 5, same_country 2), put off 4 times, nobody to ask 1; 0 jobs wait, 0 failed',
      },
    ]);
  });

  test.each([
    ['two vendors', ['GeoLite2-Country', 'DBIP-Country'], 'ok', /MaxMind, DB-IP/],
    ['two databases of one vendor', ['GeoLite2-Country', 'GeoIP2-City'], 'warn', /MaxMind only/],
    ['no file of countries: those that npm ships', ['GeoLite2-ASN'], 'ok', /MaxMind, DB-IP|DB-IP, MaxMind/],
  ])('sources: %s', async (_name, types, status, finding) => {
    const paths = types.map((databaseType) => {
      const path = join(emptyDir, `${databaseType}.mmdb`);
      writeFileSync(path, writeMmdb({ databaseType, builtAtMs: Date.now(), networks: {} }));
      return path;
    });
    const { checks } = JSON.parse(
      (await new Cli().run('doctor', '--json', '--databases', paths.join(','))).stdout,
    ) as Report;
    expect(checks.find(({ name }) => name === 'sources')).toMatchObject({
      status,
      finding: expect.stringMatching(finding),
    });
  });

  test('an older database that was put back: what a running worker refuses is said, though one that starts now would take it', async () => {
    const cli = new Cli();
    const path = join(emptyDir, 'put-back.mmdb');
    const put = (ageDays: number) => {
      const builtAtMs = BASE_MS - ageDays * DAY_MS;
      writeFileSync(`${path}.new`, writeMmdb({ databaseType: 'GeoLite2-Country', builtAtMs, networks: {} }));
      renameSync(`${path}.new`, path);
    };
    put(1);
    const quiet = { places: null, npmFallback: false, geoipLite: false, reload: { everyMs: 0, settleMs: 0 } };
    const chain = await openChain({ databases: [path], ...quiet, log: captureLog(), clock: Date.now });
    const say = () => {
      const seen = { startedAtMs: BASE_MS, seenAtMs: Date.now(), sources: chain.sources() };
      const status = { id: 'one', host: 'here', pid: 1, version: '0', mode: 'enforce', ...seen } as const;
      return redisWorkers(cli.redis, cli.keys).say(status);
    };
    const inWorkers = async () => {
      const { stdout } = await cli.run('doctor', '--json', '--databases', path);
      return (JSON.parse(stdout) as Report).checks.filter(({ name }) => name === 'in the worker');
    };
    await say();
    expect(await inWorkers()).toEqual([]);
    put(30);
    await chain.reload();
    await say();
    expect(await inWorkers()).toMatchObject([
      {
        status: 'warn',
        finding: expect.stringMatching(
          /put-back\.mmdb.*refused; what was built on 2026-01-30 goes on \(1 of 1 running\)$/,
        ),
        remedy: expect.stringContaining('restart to go back'),
      },
    ]);
  });

  test('an override is no old database', async () => {
    const own = join(emptyDir, 'own.csv');
    writeFileSync(own, '81.2.69.0/24,FR\n');
    const { checks } = JSON.parse((await new Cli().run('doctor', '--json', '--overrides', own)).stdout) as Report;
    expect(checks.find(({ finding }) => finding.includes('own.csv'))).toMatchObject({ name: 'database', status: 'ok' });
  });

  test('how Redis keeps its data, and whether it throws any away', async () => {
    const good = await privateRedis({ args: ['--appendonly', 'yes'] });
    const bad = await privateRedis({
      args: ['--maxmemory', '100mb', '--maxmemory-policy', 'allkeys-lru', '--save', ''],
    });
    const [first, second] = await Promise.all([good, bad].map(({ url }) => run(['doctor', '--json', '--redis', url])));
    expect(statuses(JSON.parse(first?.stdout ?? '') as Report)).toMatchObject({ persistence: 'ok', eviction: 'ok' });
    expect(statuses(JSON.parse(second?.stdout ?? '') as Report)).toMatchObject({
      persistence: 'warn',
      eviction: 'fail',
    });
    expect(second?.code).toBe(1);
  });

  test('as text: fits the terminal, no colours in a pipe', async () => {
    const { stdout } = await new Cli().runWith({ COLUMNS: '90' }, 'doctor');
    expect(stdout).toMatch(/^(ok {4}|warn {2})redis +answers in /m);
    expect(stdout).toMatch(/^warn {2}workers +none is connected/m);
    for (const line of stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(90);
    expect(stdout).not.toMatch(FORBIDDEN);
  });

  test('reports with Redis refused, and with Redis mute, in bounded time', async () => {
    const mute = await privateRedis();
    mute.pause();
    const refused = `redis://:sekret@127.0.0.1:${await freePort()}`;
    for (const [url, why] of [
      [refused, /cannot be reached \(Error:ECONNREFUSED\)/],
      [mute.url, /did not answer in time/],
    ] as const) {
      const answer = await run(['doctor', '--json', '--redis', url]);
      const report = JSON.parse(answer.stdout) as Report;
      expect(answer.code).toBe(1);
      expect(answer.ms).toBeLessThan(20_000);
      expect(report.checks.find(({ name }) => name === 'redis')?.finding).toMatch(why);
      expect(Object.keys(statuses(report))).toEqual(expect.arrayContaining(['mode', 'redis', 'database', 'sources']));
      expect(answer.stdout + answer.stderr).not.toContain('sekret');
    }
  });

  test('tells a wrong password from an absent server', async () => {
    const server = await privateRedis({ args: ['--requirepass', 'sekret'] });
    const url = server.url.replace('redis://', 'redis://:wrong@');
    const { stdout } = await run(['doctor', '--redis', url]);
    expect(stdout).toMatch(/refused us \((WRONGPASS|NOAUTH)\)/);
    expect(stdout).not.toMatch(/wrong@|sekret/);
  });
});

describe('any command', () => {
  test.each([[['incidents', 'list']], [['incidents', 'show', 'AAAA-BBBB-0001']]])(
    '%j without Redis: one line, soon',
    async (args) => {
      const answer = await run([...args, '--redis', `redis://:sekret@127.0.0.1:${await freePort()}`]);
      expect(answer).toMatchObject({ code: 1, stdout: '' });
      expect(answer.stderr).toMatch(
        /^redis_unavailable: redis:\/\/:\*\*\*@127\.0\.0\.1:\d+ cannot be reached[^\n]+\n$/,
      );
      expect(answer.ms).toBeLessThan(20_000);
    },
  );

  test.each([
    [['--config', 'missing.json'], 'config_unreadable'],
    [['--prefix', 'a b'], 'config_invalid'],
  ])('%j: one line with its code', async (args, code) => {
    const answer = await run(['incidents', 'list', ...args]);
    expect(answer).toMatchObject({ code: 1, stdout: '' });
    expect(answer.stderr).toMatch(new RegExp(`^${code}: [^\\n]+\\n$`));
  });

  test('config: what is in force and where it came from, the password masked', async () => {
    const file = join(emptyDir, 'c.json');
    writeFileSync(file, JSON.stringify({ mode: 'observe', concurrency: 2 }));
    const args = ['config', '--config', file, '--redis', 'redis://:sekret@h'];
    const { stdout } = await run([...args, '--json'], { SESSION_BOUNCER_CONCURRENCY: '3' });
    expect(JSON.parse(stdout)).toMatchObject({
      redisUrl: { value: 'redis://:***@h', from: 'flag', name: '--redis' },
      mode: { value: 'observe', from: 'file', name: file },
      concurrency: { value: 3, from: 'environment', name: 'SESSION_BOUNCER_CONCURRENCY' },
      logLevel: { value: 'info', from: 'default' },
    });
    expect((await run(args)).stdout).toMatch(/^redisUrl +redis:\/\/:\*\*\*@h +flag --redis/m);
  });

  test('a mistyped variable is mentioned', async () => {
    const { stderr, code } = await run(['config'], { SESSION_BOUNCER_MOED: 'observe' });
    expect(code).toBe(0);
    expect(stderr).toMatch(/^warning: SESSION_BOUNCER_MOED .*did you mean SESSION_BOUNCER_MODE\?\n$/);
  });
});
