/** The demo as a user runs it: the story holds, on a private Redis and on a given one, and nothing is ever left behind. */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { CITIES, SPECIAL_PLACES } from '../../examples/demo/cities.ts';
import type { ReviewState } from '../../examples/demo/review.ts';
import type { StoryOutcome } from '../../examples/demo/story.ts';
import { openChain } from '../../src/geo/chain.ts';
import {
  captureLog,
  connect,
  freePort,
  privateRedis,
  release,
  type Spawned,
  spawnNode,
  until,
} from '../support/index.ts';

interface Demo {
  readonly run: Spawned;
  /** Processes that the demo started and that still run, by command line. Only where /proc is. */
  processes(): string[];
  /** What lies in its temporary directory. */
  files(): string[];
}

/** Every process below it inherits the mark, and its temporary files go into a directory of their own. */
function startDemo(args: readonly string[], redisUrl?: string): Demo {
  const mark = randomBytes(12).toString('hex');
  const dir = mkdtempSync(join(tmpdir(), 'demo-test-'));
  release(() => rmSync(dir, { recursive: true, force: true }));
  const env = { REDIS_URL: redisUrl, TMPDIR: dir, DEMO_MARK: mark, SESSION_BOUNCER_MODE: 'observe', NO_COLOR: '1' };
  const run = spawnNode('examples/demo/main.js', args, env);
  return { run, processes: () => processesWith(mark), files: () => readdirSync(dir) };
}

function processesWith(mark: string): string[] {
  if (!existsSync('/proc/self/environ')) return [];
  return readdirSync('/proc').flatMap((pid) => {
    try {
      const isOurs = /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/environ`, 'utf8').includes(mark);
      return isOurs ? [`${pid} ${readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')}`] : [];
    } catch {
      return []; // it has ended, or is not ours to read
    }
  });
}

async function expectNothingLeft(demo: Demo): Promise<void> {
  // The shell that watches over Redis may still be in the middle of its own end.
  await until(() => demo.processes().length === 0, { timeoutMs: 10_000 }).catch(() => {});
  expect(demo.processes()).toEqual([]);
  expect(demo.files()).toEqual([]);
}

/** A Redis that nobody else uses: whatever lies in it is the demo's. */
async function ownRedis(): Promise<{ url: string; keys: () => Promise<string[]> }> {
  const { url } = await privateRedis();
  const redis = connect(url);
  return { url, keys: () => redis.keys('*') };
}

async function urlOf({ run }: Demo): Promise<string> {
  const [, url = ''] = await run.waitFor(/Open (http:\/\/\S+)/, 20_000);
  return url;
}

async function logIn(url: string, user: string, city: string, userAgent: string): Promise<Response> {
  const body = new URLSearchParams({ user, city });
  return fetch(`${url}/login`, { method: 'POST', body, redirect: 'manual', headers: { 'User-Agent': userAgent } });
}

function expectStory(outcome: StoryOutcome): void {
  expect(outcome).toMatchObject({ ok: true, bounced: true, ownerStillIn: true, failed: [] });
  expect(outcome.msToRevoke).toBeGreaterThanOrEqual(0);
  expect(outcome.msToBounce).toBeGreaterThanOrEqual(outcome.msToRevoke ?? Number.NaN);
  expect(outcome.incident).toMatchObject({
    userId: 'alice',
    action: 'revoke',
    reason: 'country_changed',
    // Not observe, as the shell's variable says: the demo's settings are its own.
    mode: 'enforce',
    outcome: 'revoked',
    sighting: { candidates: ['NG'], agreed: true },
    visitCount: 3,
  });
  expect(outcome.timeline.map(({ who }) => who)).toEqual(
    expect.arrayContaining(['alice', 'thief', 'worker', 'review']),
  );
}

describe('--once', () => {
  test('--json on a private Redis: one object, status 0, nothing left', async () => {
    const demo = startDemo(['--once', '--json']);
    expect(await demo.run.exited).toEqual({ code: 0, signal: null });
    expect(demo.run.stdout.trimEnd().split('\n')).toHaveLength(1);
    expectStory(JSON.parse(demo.run.stdout) as StoryOutcome);
    expect(demo.run.stderr).toBe('');
    await expectNothingLeft(demo);
  });

  test('--json on the Redis of REDIS_URL: the same, and its keys are deleted', async () => {
    const { url, keys } = await ownRedis();
    const demo = startDemo(['--once', '--json'], url);
    await until(async () => (await keys()).length > 0, { timeoutMs: 15_000 });
    expect(demo.files()).toEqual([]);
    expect(await demo.run.exited).toEqual({ code: 0, signal: null });
    expectStory(JSON.parse(demo.run.stdout) as StoryOutcome);
    expect(await keys()).toEqual([]);
    await expectNothingLeft(demo);
  });

  test('for people: a timeline in words', async () => {
    const demo = startDemo(['--once']);
    expect(await demo.run.exited).toEqual({ code: 0, signal: null });
    expect(demo.run.stdout).toMatch(/thief +is bounced to \/gotcha/);
    expect(demo.run.stdout).toContain('All of it held.');
  });

  test('a Redis that does not answer: status 1, and the object says why', async () => {
    const demo = startDemo(['--once', '--json'], `redis://127.0.0.1:${await freePort()}`);
    expect((await demo.run.exited).code).toBe(1);
    const outcome = JSON.parse(demo.run.stdout) as StoryOutcome;
    expect(outcome).toMatchObject({ ok: false, bounced: false, ownerStillIn: false, msToRevoke: null, incident: null });
    expect(outcome.failed.join()).toContain('REDIS_URL');
    await expectNothingLeft(demo);
  });
});

describe('until Ctrl-C', () => {
  test('the pages escape what comes from outside; SIGINT leaves nothing behind', async () => {
    const redis = await ownRedis();
    const demo = startDemo(['--port', '0'], redis.url);
    const url = await urlOf(demo);
    await logIn(url, 'alice', 'london', 'plain');
    const state = async () => (await (await fetch(`${url}/incidents.json`)).json()) as ReviewState;
    await until(async () => (await state()).counters.logins === 1);
    await logIn(url, 'alice', 'tokyo', '<script>alert(1)</script>"\'&');
    const id = await until(async () => (await state()).incidents[0]?.id);
    const shown = await fetch(`${url}/desk/incidents/${id}`);
    expect([shown.status, shown.headers.get('content-security-policy')]).toEqual([
      200,
      expect.not.stringMatching(/unsafe/),
    ]);
    const page = await shown.text();
    expect(page).toContain('country changed');
    expect(page).toMatch(/&lt;script&gt;alert\(1\)&lt;\/script&gt;&quot;&#39;&amp;/);
    expect(page).not.toContain('<script>alert');
    await demo.run.waitFor(/alice from Tokyo .* ended after \d+ ms, country_changed/);
    expect((await logIn(url, 'mallory', 'london', 'plain')).status).toBe(400);

    expect(await demo.run.kill('SIGINT')).toEqual({ code: 0, signal: null });
    await expect(fetch(url)).rejects.toThrow();
    expect(await redis.keys()).toEqual([]);
    await expectNothingLeft(demo);
  });

  test('SIGINT while Redis and the worker are starting', async () => {
    const demo = startDemo(['--port', '0']);
    await until(() => demo.files().length > 0, { timeoutMs: 15_000, everyMs: 2 });
    expect(await demo.run.kill('SIGINT')).toEqual({ code: 0, signal: null });
    expect(demo.run.stdout).toBe('');
    await expectNothingLeft(demo);
  });

  test('a port that is taken: status 1, what to do, and nothing left of the rest', async () => {
    const other = await occupied();
    release(() => other.close());
    const { port } = other.address() as AddressInfo;
    const demo = startDemo(['--port', String(port)]);
    expect((await demo.run.exited).code).toBe(1);
    expect(demo.run.stderr).toContain(`Port ${port} is taken: name another one with --port.`);
    await expectNothingLeft(demo);
  });

  test('killed outright: Redis and worker end by themselves', async () => {
    const demo = startDemo(['--port', '0']);
    await urlOf(demo);
    await demo.run.kill('SIGKILL');
    await until(() => demo.processes().length === 0, { timeoutMs: 10_000 });
    await until(() => demo.files().length === 0);
    expect(demo.processes()).toEqual([]);
  });

  test('the worker dies: so does the demo, with its last words', async () => {
    const demo = startDemo(['--port', '0']);
    await urlOf(demo);
    const [, pid] = await demo.run.waitFor(/worker process (\d+)/);
    process.kill(Number(pid), 'SIGKILL');
    expect((await demo.run.exited).code).toBe(1);
    expect(demo.run.stderr).toContain('The worker ended.');
    await expectNothingLeft(demo);
  });
});

/** A port of somebody else's. */
function occupied(): Promise<Server> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => resolve(server));
  });
}

describe('the places of the login form', () => {
  const chain = openChain({ log: captureLog(), clock: Date.now });

  test.each(CITIES)('$name: both databases agree on $country', async ({ address, country }) => {
    const seen = (await chain).locate(address);
    expect(seen).toMatchObject({ kind: 'located', candidates: [country], agreed: true });
  });

  test.each(SPECIAL_PLACES)('$name: $note', async ({ id, address }) => {
    const expected = {
      'london-cafe': { kind: 'located', candidates: ['GB'], agreed: true },
      // Neither of them a country of the form's, so that it is disputed for everybody.
      cloud: { kind: 'located', candidates: ['IT', 'NL'], agreed: false },
      office: { kind: 'unlocatable', why: 'special_address' },
    }[id];
    expect((await chain).locate(address)).toMatchObject(expected ?? { id: 'unknown' });
  });
});
