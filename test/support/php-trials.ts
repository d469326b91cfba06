/**
 * A thief's login at a PHP site is ended while a request of his is in flight: it has read its session, works for 150 ms and
 * longer, and then reads, changes, or moves to a new id. How many are logged in afterwards? Real PHP, ingest and worker. For
 * comparison the same with `session_destroy()` from a job of PHP's own. Without Jest, for benchmarks too.
 */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { caseOf } from '../../src/case-of.ts';
import { redisIncidents } from '../../src/redis/incidents.ts';
import { type Keys, keysFor } from '../../src/redis/keys.ts';
import { startFpmSite } from './php-fpm.ts';
import { type Ours, startOurs } from './php-ours.ts';
import { type PhpSite, phpSettings, sessionPrefixOf, startPhpSite } from './php-server.ts';
import { PhpBrowser } from './php-visitor.ts';

export interface TrialOptions {
  readonly redisUrl: string;
  readonly prefix: string;
  /** Of each kind, with each setting of PHP. */
  readonly trials: number;
  /** The same of pages that do not use our helper. */
  readonly unguarded: number;
  /** At the same time, at each of the four sites. */
  readonly abreast: number;
  /** The command of php-fpm, to run the sites under it. Default: `php -S`. */
  readonly fpm?: string | undefined;
  readonly say?: (line: string) => void;
}

/** How many were still logged in, by what the request in flight did and how PHP was set. */
export interface TrialReport {
  readonly trials: number;
  readonly stillLoggedIn: Readonly<Record<string, number>>;
  /** How many were bounced by the guard when they came back. */
  readonly bounced: Readonly<Record<string, number>>;
  /** Of the incidents. */
  readonly outcomes: Readonly<Record<string, number>>;
  /** `session_destroy()` of a job: said true, and how many were still logged in. */
  readonly job: { readonly trials: number; readonly saidTrue: number; readonly stillLoggedIn: number };
  /** PHP's warnings and errors. */
  readonly complaints: readonly string[];
  readonly settleSeconds: number;
  readonly seconds: number;
}

/** `unguarded`: a page that does not use our helper, so the worker alone ends it. */
const KINDS = ['reads', 'changes', 'regenerates', 'unguarded reads', 'unguarded changes'] as const;
type Kind = (typeof KINDS)[number];

const HOME = '81.2.69.142';
const ABROAD = '105.112.10.20';
/** No request of these sites runs longer, but for a busy machine. */
const MAX_EXECUTION_SECONDS = 3;
/** The last re-check comes 5 s after that. */
const SETTLE_SECONDS = MAX_EXECUTION_SECONDS + 6;

interface Stage {
  readonly name: string;
  readonly redis: Redis;
  readonly redisUrl: string;
  readonly keys: Keys;
  readonly ours: Ours;
  readonly site: PhpSite;
  readonly ini: Readonly<Record<string, string>>;
}

interface Thief {
  readonly cell: string;
  readonly browser: PhpBrowser;
  readonly lid: string;
  readonly keys: Keys;
}

export async function runPhpTrials(options: TrialOptions): Promise<TrialReport> {
  const startedMs = performance.now();
  const say = options.say ?? (() => {});
  const redis = new Redis(options.redisUrl, { replyMapping: 'legacy' });
  const stops: (() => Promise<void>)[] = [];
  try {
    const stages = await startStages(redis, options, stops);
    say(`${stages.length} sites are up`);
    const thieves = (await Promise.all(stages.map((stage) => endedInFlight(stage, options)))).flat();
    const job = await destroyedByJob(stages, options);
    say(`${thieves.length} logins ended in flight; settling ...`);
    await sleep(SETTLE_SECONDS * 1000);
    const counts = await lookAtAll(thieves, redis);
    const complaints = stages.flatMap(
      ({ site }) => site.log().match(/^.*\b(?:Warning|Fatal|Notice|session-bouncer):.*$/gm) ?? [],
    );
    const seconds = Math.round((performance.now() - startedMs) / 1000);
    return { trials: options.trials, ...counts, job, complaints, settleSeconds: SETTLE_SECONDS, seconds };
  } finally {
    await Promise.all(stops.map((stop) => stop()));
    redis.disconnect();
  }
}

/** Two workers, with and without PHP's locks; at each two sites, with and without lazy_write. */
async function startStages(redis: Redis, options: TrialOptions, stops: (() => Promise<void>)[]): Promise<Stage[]> {
  const { redisUrl, abreast, fpm } = options;
  const started = [false, true].map(async (locking) => {
    const prefix = `${options.prefix}-${locking ? 'locking' : 'free'}`;
    const key = randomBytes(32).toString('base64');
    const secret = `whsec_${randomBytes(32).toString('base64')}`;
    const env = {
      SESSION_BOUNCER_PHP_KEYS: `k1=${key}`,
      SESSION_BOUNCER_PHP_SESSION_PREFIX: sessionPrefixOf(prefix),
      SESSION_BOUNCER_PHP_LOCKING: String(locking),
      SESSION_BOUNCER_PHP_MAX_EXECUTION_SECONDS: String(MAX_EXECUTION_SECONDS),
    };
    const ours = await startOurs({ redisUrl, prefix, secret, env });
    stops.push(ours.stop);
    const site = async (lazyWrite: boolean): Promise<Stage> => {
      const ini = { 'session.lazy_write': lazyWrite ? '1' : '0', 'redis.session.locking_enabled': locking ? '1' : '0' };
      const options = { redisUrl, prefix, ingestUrl: ours.url, secret, key, ini, workers: abreast + 2 };
      const site = await (fpm === undefined ? startPhpSite(options) : startFpmSite(fpm, options));
      stops.push(site.stop);
      const name = `lazy_write ${lazyWrite ? 'on' : 'off'}, locking ${locking ? 'on' : 'off'}`;
      return { name, redis, redisUrl, keys: keysFor(prefix), ours, site, ini };
    };
    return [await site(true), await site(false)];
  });
  return (await Promise.all(started)).flat();
}

async function endedInFlight(stage: Stage, { trials, unguarded, abreast }: TrialOptions): Promise<Thief[]> {
  const all = KINDS.flatMap((kind) => {
    const length = kind.startsWith('unguarded') ? unguarded : trials;
    return Array.from({ length }, (_, i) => [kind, i] as const);
  });
  return inLanes(all, abreast, ([kind, i]) => endInFlight(stage, kind, `${stage.name}, ${kind} ${i}`));
}

async function endInFlight(stage: Stage, kind: Kind, user: string): Promise<Thief> {
  const { ours, redis, keys, site } = stage;
  await new PhpBrowser(site.url, HOME).login(user);
  await seen(`${user} is known`, () => redis.exists(keys.baseline(user)));
  ours.hold(user);
  const browser = new PhpBrowser(site.url, ABROAD);
  await browser.login(user);
  const lid = ours.heldLid(user);
  if (lid === null) throw new Error(`${user}: the login was not reported`);
  if ((await browser.user()) !== user) throw new Error(`${user}: the login did not work`);
  const { answer, go } = await inFlight(stage, browser, kind, user);
  const status = await ours.letThrough(user);
  if (status !== 202) throw new Error(`${user}: the ingest answered ${status}`);
  await seen(`${user} has been ended`, () => redis.exists(keys.loginEnd(lid)));
  await go();
  const page = await answer;
  const { moved } = JSON.parse(page.body) as { moved: boolean };
  if (moved !== (kind === 'regenerates')) throw new Error(`${user}: not what was to be tried: ${page.body}`);
  return { cell: `${kind}, ${stage.name}`, browser, lid, keys };
}

/** Resolves when the request has read its session and is at work. */
async function inFlight({ redis, keys }: Stage, browser: PhpBrowser, kind: Kind, user: string) {
  const name = encodeURIComponent(user);
  const guard = kind.startsWith('unguarded') ? 0 : 1;
  const answer = browser.get(`/held?do=${kind.replace('unguarded ', '')}&guard=${guard}&name=${name}`);
  // It is awaited later; should something else fail first, that is to be told.
  answer.catch(() => {});
  const trial = `${keys.prefix}:trial:${user}`;
  await seen(`${user} is at work`, () => redis.exists(`${trial}:in`));
  return { answer, go: () => redis.set(`${trial}:go`, '1', 'EX', 60) };
}

/** As a PHP developer would do it: a job attaches to the session by its id and destroys it. Where no lock makes it wait. */
async function destroyedByJob(
  stages: readonly Stage[],
  { trials, abreast }: TrialOptions,
): Promise<TrialReport['job']> {
  const [stage] = stages;
  if (stage === undefined) throw new Error('no site');
  const all = Array.from({ length: trials }, (_, i) => `job ${i}`);
  const results = await inLanes(all, abreast, async (user) => {
    stage.ours.hold(user);
    const browser = new PhpBrowser(stage.site.url, ABROAD);
    await browser.login(user);
    const { answer, go } = await inFlight(stage, browser, 'changes', user);
    const said = await runJob(stage, browser.sessionId ?? '');
    await go();
    await answer;
    return { said, alive: (await browser.user()) === user };
  });
  const saidTrue = results.filter(({ said }) => said === 'true').length;
  return { trials, saidTrue, stillLoggedIn: results.filter(({ alive }) => alive).length };
}

async function runJob({ redisUrl, keys, ini }: Stage, id: string): Promise<string> {
  const code = 'session_id($argv[1]); session_start(); echo session_destroy() ? "true" : "false";';
  const args = [...phpSettings({ redisUrl, prefix: keys.prefix, ini }), '-r', code, '--', id];
  const child = spawn('php', args, { stdio: ['ignore', 'pipe', 'inherit'] });
  return text(child.stdout);
}

async function lookAtAll(thieves: readonly Thief[], redis: Redis) {
  const stillLoggedIn: Record<string, number> = {};
  const bounced: Record<string, number> = {};
  const outcomes: Record<string, number> = {};
  const count = (where: Record<string, number>, name: string, is: boolean) => {
    where[name] = (where[name] ?? 0) + Number(is);
  };
  await inLanes(thieves, 8, async ({ cell, browser, lid, keys }) => {
    const users = await Promise.all(browser.sessionIds.map((id) => browser.user(id)));
    count(
      stillLoggedIn,
      cell,
      users.some((user) => user !== null),
    );
    const { status } = await browser.get('/api', { accept: 'application/json' });
    count(bounced, cell, status === 401);
    const record = await redisIncidents(redis, keys, 60_000).get(caseOf(lid));
    count(outcomes, record?.outcome ?? 'no incident', true);
  });
  return { stillLoggedIn, bounced, outcomes };
}

async function inLanes<T, R>(all: readonly T[], lanes: number, work: (one: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  const lane = async () => {
    for (let i = next++; i < all.length; i = next++) results.push(await work(all[i] as T));
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return results;
}

async function seen(what: string, look: () => Promise<number>): Promise<void> {
  const endMs = Date.now() + 15_000;
  while ((await look()) === 0) {
    if (Date.now() > endMs) throw new Error(`Not within 15 s: ${what}`);
    await sleep(20);
  }
}
