/** From a login that is disputed or has no country to the evidence on its incident: both workers, the real queues. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { Queue } from 'bullmq';
import { Asker } from '../../src/asker.ts';
import { openDesk } from '../../src/desk.ts';
import type { IncidentRecord } from '../../src/domain/incident.ts';
import type { LoginEvent } from '../../src/domain/types.ts';
import { sealsOf } from '../../src/php/seal.ts';
import type { RegistryAsk } from '../../src/ports.ts';
import { loginQueue } from '../../src/queue/login-queue.ts';
import { redisCounters } from '../../src/redis/counters.ts';
import { redisIncidents } from '../../src/redis/incidents.ts';
import { keysFor, LOGIN_QUEUE, REGISTRY_QUEUE } from '../../src/redis/keys.ts';
import { redisLists } from '../../src/redis/lists.ts';
import { redisRegistryFindings } from '../../src/redis/registry-findings.ts';
import { redisSetAside } from '../../src/redis/set-aside.ts';
import { createRegistryWorker } from '../../src/registry-worker.ts';
import { captureLog, connect, release, spawnNode, testPrefix, testRedisUrl, until } from '../support/index.ts';
import { LoopbackInternet, webServer } from '../support/loopback-internet.ts';
import { writeMmdb } from '../support/mmdb-writer.ts';
import { PHP_KEYS } from '../support/php-ending.ts';
import { openWorker } from '../support/worker.ts';

const HOME = '81.2.69.142';
/** Two databases: agreed on the user's home, apart on 8.8.0.0/16, agreed on 8.9.9.0/24, silent on 8.20.0.0/16. */
const WORDS = {
  'GeoLite2-Country': { '81.2.69.0/24': 'GB', '8.8.0.0/16': 'DE', '8.9.9.0/24': 'FR' },
  'DBIP-Country-Lite': { '81.2.69.0/24': 'GB', '8.8.0.0/16': 'NL', '8.9.9.0/24': 'FR' },
};
const FEED = '8.8.8.0/24,GB,,,\n8.8.4.0/24,FR,,,\n8.20.1.0/24,FR,,,\n8.20.2.0/24,GB,,,\n';

const databases: string[] = [];
let flagsFile: string;
let overridesFile: string;
let serial = 0;

beforeAll(() => {
  const folder = mkdtempSync(join(tmpdir(), 'session-bouncer-registry-'));
  release(() => rmSync(folder, { recursive: true, force: true }));
  for (const [databaseType, words] of Object.entries(WORDS)) {
    const networks = Object.fromEntries(
      Object.entries(words).map(([cidr, code]) => [cidr, { country: { iso_code: code } }]),
    );
    const path = join(folder, `${databaseType}.mmdb`);
    writeFileSync(path, writeMmdb({ databaseType, builtAtMs: Date.now(), networks }));
    databases.push(path);
  }
  flagsFile = join(folder, 'flags.mmdb');
  const flagged = { databaseType: 'GeoIP2-Anonymous-IP', networks: { '8.20.0.0/16': { is_anonymous_vpn: true } } };
  writeFileSync(flagsFile, writeMmdb({ builtAtMs: Date.now(), ...flagged }));
  overridesFile = join(folder, 'own.csv');
  writeFileSync(overridesFile, '8.20.1.0/24,\n');
});

const PHP_SEALED = sealsOf(PHP_KEYS).seal('a'.repeat(26), 'lid');

function login(userId: string, address: string): LoginEvent {
  serial += 1;
  const lid = `lid-${String(serial).padStart(18, '0')}`;
  return { lid, handle: lid.padEnd(43, 'h'), userId, address, loginAtMs: Date.now() };
}

/** A minute before all others: what is first seen after a login does not count for it. */
const home = (userId: string): LoginEvent => ({ ...login(userId, HOME), loginAtMs: Date.now() - 60_000 });

interface WorldOptions {
  readonly enabled?: boolean;
  readonly feed?: string | null;
  /** What the registry says. */
  readonly country?: string;
  /** What the registry says of an address, in place of its /16 and that country. */
  readonly answer?: (ip: string) => object;
  /** Hosts that the operator trusts. */
  readonly geofeeds?: readonly string[];
  /** With a database that flags 8.20.0.0/16 as an anonymiser's. */
  readonly flags?: boolean;
  /** With an override that says not to locate 8.20.1.0/24. */
  readonly overrides?: boolean;
}

async function world(options: WorldOptions = {}) {
  const { enabled = true, feed = FEED, country = 'GB' } = options;
  const prefix = testPrefix();
  const keys = keysFor(prefix);
  const redis = connect(testRedisUrl(), { maxRetriesPerRequest: null });
  await redis.ping();
  const net = new LoopbackInternet();
  const asked: string[] = [];
  const registry = await webServer((request, response) => {
    asked.push((request.url ?? '').replace(/^.*\/ip\//, ''));
    const [, a, b] = /\/ip\/(\d+)\.(\d+)\./.exec(request.url ?? '') ?? [];
    const links = feed === null ? [] : [{ rel: 'geo', href: 'https://geo.example.net/feed.csv' }];
    const usual = { startAddress: `${a}.${b}.0.0`, endAddress: `${a}.${b}.255.255`, country, links };
    response.end(JSON.stringify(options.answer?.(asked.at(-1) ?? '') ?? usual));
  });
  const host = await webServer((_, response) => response.end(feed ?? ''));
  net.serve('rdap.arin.net:443', registry.port);
  net.serve('geo.example.net:443', host.port);
  const worker = await openWorker(prefix, {
    databases: [...databases, ...(options.flags ? [flagsFile] : [])],
    overrides: options.overrides ? [overridesFile] : [],
    registry: { enabled },
  });
  const log = captureLog();
  const evidence = createRegistryWorker({
    redis: testRedisUrl(),
    prefix,
    log,
    transport: net,
    geofeeds: options.geofeeds,
  });
  release(() => evidence.close({ force: true }));
  const logins = loginQueue(redis, { queue: LOGIN_QUEUE, prefix: keys.queuePrefix }, log);
  release(() => logins.close());
  const incidents = redisIncidents(redis, keys, 1e9);
  const counters = redisCounters(redis, keys);
  const checked = async (count: number) => until(async () => (await counters.read()).logins === count);
  const send = async (...batch: LoginEvent[]) => logins.add(`job-${++serial}`, batch);
  const caseOf = async (one: LoginEvent): Promise<IncidentRecord | null> => {
    const page = await incidents.list({ userId: one.userId }, 10);
    return page.incidents.find(({ lid }) => lid === one.lid) ?? null;
  };
  const found = (one: LoginEvent) =>
    until(async () => {
      const record = await caseOf(one);
      return record?.registry === undefined ? null : record;
    });
  return {
    prefix,
    keys,
    redis,
    worker,
    log,
    send,
    checked,
    caseOf,
    found,
    incidents,
    counters,
    net,
    asked,
    questions: () => asked.length,
  };
}

describe('evidence', () => {
  test('a geofeed row that names the user’s country closes the flagged incident, and says so', async () => {
    const w = await world();
    const odd = login('a', '8.8.8.8');
    await w.send(home('a'), odd);
    const record = await w.found(odd);
    expect(record).toMatchObject({
      reason: 'country_disputed',
      status: 'dismissed',
      resolvedBy: 'registry',
      note: "the holder's geofeed (geo.example.net) places 8.8.8.0/24 in GB, where this user logs in from",
      registry: { settlement: 'same_country' },
    });
    expect(record.sighting.evidence.slice(-2)).toMatchObject([
      { database: 'arin rdap', country: 'GB', network: '8.8.0.0/16', note: 'holder' },
      { database: 'geofeed geo.example.net', country: 'GB', network: '8.8.8.0/24', note: 'same_country' },
    ]);
    expect((await w.incidents.list({ status: 'open' }, 10)).incidents).toEqual([]);
    expect((await w.incidents.list({ status: 'dismissed' }, 10)).incidents.map(({ id }) => id)).toEqual([record.id]);
    expect(await until(async () => (await w.counters.read())['registry:same_country'])).toBe(1);
    // Closed by no person: a person may still see it otherwise.
    const answer = { disposition: 'confirmed', by: 'ana', note: 'called', atMs: Date.now() } as const;
    expect(await w.incidents.resolve(record.id, answer)).toBe('resolved');
    expect(await w.incidents.resolve(record.id, { ...answer, by: 'bob' })).toBe('confirmed');
    expect((await w.incidents.list({ status: 'dismissed' }, 10)).incidents).toEqual([]);
    expect((await w.incidents.list({ status: 'confirmed' }, 10)).incidents).toMatchObject([{ resolvedBy: 'ana' }]);
  });

  test('a row that names another country is recorded, and the incident stays open', async () => {
    const w = await world();
    const odd = login('a', '8.8.4.4');
    await w.send(home('a'), odd);
    expect(await w.found(odd)).toMatchObject({ status: 'open', registry: { settlement: 'elsewhere' } });
  });

  test('a registry’s own country changes nothing, though it is the user’s', async () => {
    const w = await world({ feed: null });
    const odd = login('a', '8.8.8.8');
    await w.send(home('a'), odd);
    const record = await w.found(odd);
    expect(record).toMatchObject({ status: 'open', registry: { settlement: 'recorded' } });
    expect(record.sighting.evidence.at(-1)).toMatchObject({ database: 'arin rdap', country: 'GB' });
  });

  test('an analyst’s answer stays, and the evidence comes to it', async () => {
    const w = await world({ enabled: false });
    const odd = login('a', '8.8.8.8');
    await w.send(home('a'), odd);
    const { id } = await until(() => w.caseOf(odd));
    await w.incidents.resolve(id, { disposition: 'confirmed', by: 'ana', note: 'called', atMs: Date.now() });
    const findings = redisRegistryFindings(w.redis, w.keys, 1e9);
    const finding = { settlement: 'same_country', evidence: [], atMs: Date.now() } as const;
    expect(await findings.write(id, finding, 'the geofeed says so')).toBe('written');
    expect(await w.incidents.get(id)).toMatchObject({
      status: 'confirmed',
      resolvedBy: 'ana',
      note: 'called',
      registry: { settlement: 'same_country' },
    });
    expect(await findings.write('K7QX-2M9F-4T8A', finding, null)).toBe('unknown');
  });

  test('a login without a country is flagged when its geofeed row is not the user’s, and left alone when it is', async () => {
    const w = await world();
    const [away, near] = [login('a', '8.20.1.1'), login('a', '8.20.2.1')];
    await w.send(home('a'), away, near);
    const record = await w.found(away);
    expect(record).toMatchObject({
      action: 'flag',
      reason: 'country_disputed',
      outcome: 'none',
      status: 'open',
      sighting: { candidates: ['FR'], agreed: false },
      registry: { settlement: 'elsewhere' },
    });
    // What the databases said (nothing) is on record too, before the registry's and the geofeed's words.
    expect(record.sighting.evidence.map(({ database, country }) => [database, country])).toEqual([
      ['GeoLite2-Country', null],
      ['DBIP-Country-Lite', null],
      ['arin rdap', 'GB'],
      ['geofeed geo.example.net', 'FR'],
    ]);
    await until(async () => (await w.counters.read())['registry:same_country'] === 1);
    expect(await w.caseOf(near)).toBeNull();
  });

  test('of a login at a PHP site the incident says so: its end can be taken back, its session cannot', async () => {
    const w = await world();
    const away = { ...login('a', '8.20.1.1'), php: PHP_SEALED };
    await w.send(home('a'), away);
    expect(await w.found(away)).toMatchObject({ reason: 'country_disputed', sighting: { agreed: false }, atPhp: true });
    const web = login('a', '8.20.1.2');
    await w.send(web);
    expect(await w.found(web)).not.toHaveProperty('atPhp');
  });

  test('the lists are asked: what is allowed is not flagged, and a block ends nothing on a geofeed’s word', async () => {
    const w = await world();
    const lists = redisLists(w.redis, w.keys);
    const said = { by: 'ann', why: 'a test', expiresAtMs: null };
    await lists.add({ list: 'allow', kind: 'user', value: 'a', ...said }, Date.now());
    await lists.add({ list: 'block', kind: 'country', value: 'FR', ...said }, Date.now());
    const [allowed, blocked] = [login('a', '8.20.1.1'), login('b', '8.20.1.2')];
    await w.send(home('a'), home('b'), allowed, blocked);
    expect(await w.found(blocked)).toMatchObject({ action: 'flag', reason: 'country_disputed', outcome: 'none' });
    await until(async () => (await w.counters.read())['registry:recorded'] === 1);
    expect(await w.caseOf(allowed)).toBeNull();
  });

  test('an address that a database flags stays anonymous, wherever its geofeed places it', async () => {
    const w = await world({ flags: true });
    const [away, near] = [login('a', '8.20.1.1'), login('a', '8.20.2.1')];
    await w.send(home('a'), away, near);
    for (const one of [away, near]) {
      expect(await w.found(one)).toMatchObject({
        action: 'flag',
        reason: 'anonymous_network',
        sighting: { flags: ['anonymiser'] },
        registry: { settlement: 'recorded' },
      });
    }
  });

  test('nobody is asked about a network that an override says not to locate', async () => {
    const w = await world({ overrides: true });
    const [withheld, other] = [login('a', '8.20.1.1'), login('a', '8.20.2.1')];
    await w.send(home('a'), withheld);
    await w.checked(2);
    await w.send(other);
    await until(async () => (await w.counters.read())['registry:same_country'] === 1);
    expect(w.asked).toEqual(['8.20.2.1']);
    expect(await w.counters.read()).toMatchObject({ 'why:not_located': 1, 'why:no_data': 1 });
    expect(await w.caseOf(withheld)).toBeNull();
  });

  test('a geofeed that nobody bears out closes nothing', async () => {
    const w = await world({ country: 'US' });
    const odd = login('a', '8.8.8.8');
    await w.send(home('a'), odd);
    expect(await w.found(odd)).toMatchObject({ status: 'open', registry: { settlement: 'contradicts_databases' } });
  });

  test('but one of a host that the operator trusts does; what is no host is refused', async () => {
    const w = await world({ country: 'US', geofeeds: ['Geo.example.net'] });
    const one = login('u1', '8.8.8.8');
    await w.send(home('u1'), one);
    expect(await w.found(one)).toMatchObject({ status: 'dismissed', registry: { settlement: 'same_country' } });
    for (const host of ['https://geo.example.net', 'geo.example.net:443', 'localhost', '']) {
      const options = { redis: testRedisUrl(), log: captureLog(), geofeeds: ['geo.example.net', host] };
      expect(() => createRegistryWorker(options)).toThrow('entry 2');
    }
  });

  test('a certain difference is not asked about', async () => {
    const w = await world();
    await w.send(home('a'), login('a', '8.9.9.9'));
    await w.checked(2);
    await w.send(login('a', '8.8.8.8')); // whose question shows that the worker is at it
    await until(() => w.questions() === 1);
    expect(w.net.dialled.filter((where) => where === 'rdap.arin.net:443')).toHaveLength(1);
  });

  test('without the switch nobody is asked', async () => {
    const w = await world({ enabled: false });
    await w.send(home('a'), login('a', '8.8.8.8'), login('a', '8.20.1.1'));
    await w.checked(3);
    const queue = new Queue(REGISTRY_QUEUE, { connection: w.redis, prefix: w.keys.queuePrefix });
    expect(await queue.getJobCounts('waiting', 'delayed', 'active', 'completed')).toEqual({
      waiting: 0,
      delayed: 0,
      active: 0,
      completed: 0,
    });
    await queue.close();
    expect(w.questions()).toBe(0);
  });

  test('500 disputed logins of one /24 make one question', async () => {
    const w = await world();
    const users = Array.from({ length: 500 }, (_, i) => `u${i}`);
    const batches = (address: (i: number) => string) =>
      Array.from({ length: 5 }, (_, b) =>
        users.slice(b * 100, b * 100 + 100).map((user, i) => login(user, address(b * 100 + i))),
      );
    await Promise.all(batches(() => HOME).map((batch) => w.send(...batch)));
    await w.checked(500);
    await Promise.all(batches((i) => `8.8.8.${i % 250}`).map((batch) => w.send(...batch)));
    await until(async () => (await w.counters.read())['registry:recorded'] === 498, { timeoutMs: 20_000 });
    expect(w.questions()).toBe(1);
    // Only the address that was asked about, from which two logged in, is known not to lie in a smaller object.
    expect(await w.counters.read()).toMatchObject({ 'registry:same_country': 2 });
    const { incidents } = await w.incidents.list({ status: 'open' }, 1);
    expect(incidents[0]?.registry?.evidence[0]?.note).toBe('holder neighbour');
  });

  test('a later login of the same /24 that lies in a smaller object is not answered from the larger one', async () => {
    const w = await world({
      answer: (ip) =>
        ip === '8.8.8.9'
          ? { startAddress: '8.8.8.8', endAddress: '8.8.8.15', country: 'NL' }
          : { startAddress: '8.8.0.0', endAddress: '8.8.255.255', country: 'SE' },
    });
    const [one, other] = [login('u1', '8.8.8.77'), login('u2', '8.8.8.9')];
    await w.send(home('u1'), home('u2'));
    await w.checked(2);
    await w.send(one);
    expect((await w.found(one)).registry?.evidence[0]).toMatchObject({ country: 'SE', network: '8.8.0.0/16' });
    await w.send(other);
    expect((await w.found(other)).registry?.evidence[0]).toMatchObject({ country: 'NL', network: '8.8.8.8/29' });
    expect(w.asked).toEqual(['8.8.8.77', '8.8.8.9']);
  });
});

test('nobody answers under the name of the registry worker', async () => {
  const w = await world({ enabled: false });
  const desk = openDesk({ redis: w.redis, keys: w.keys, clock: Date.now, log: w.log });
  const answer = desk.answer('K7QX-2M9F-4T8A', { disposition: 'safe', note: '' }, { by: ' registry ', role: 'admin' });
  await expect(answer).rejects.toMatchObject({ code: 'option_invalid' });
});

describe('its queue', () => {
  test('what cannot be answered yet is put back and answered later', async () => {
    const w = await world();
    let isRefusing = true;
    const server = await webServer((_, response) => {
      if (isRefusing) return void response.writeHead(429, { 'retry-after': '1' }).end();
      response.end(JSON.stringify({ startAddress: '8.8.0.0', endAddress: '8.8.255.255', country: 'US' }));
    });
    w.net.serve('rdap.arin.net:443', server.port);
    const odd = login('a', '8.8.8.8');
    await w.send(home('a'), odd);
    await until(async () => (await w.counters.read())['registry:later']);
    isRefusing = false;
    expect(await w.found(odd)).toMatchObject({ registry: { settlement: 'recorded' } });
  });

  test('a job that is not ours is set aside', async () => {
    const w = await world();
    const queue = new Queue(REGISTRY_QUEUE, { connection: w.redis, prefix: w.keys.queuePrefix });
    await queue.add('asks', { v: 1, asks: [{ kind: 'disputed', caseId: '../x', address: '8.8.8.8' }] });
    const [entry] = await until(async () => {
      const list = await redisSetAside(w.redis, w.keys).list(10);
      return list.length > 0 && list;
    });
    expect(entry).toMatchObject({ code: 'malformed_job' });
    await queue.close();
    expect(w.questions()).toBe(0);
  });
});

describe('the login worker', () => {
  test('does not fail a login because nobody can be asked', async () => {
    const w = await world();
    const asker = new Asker({
      locator: w.worker.locator,
      incidents: w.incidents,
      asks: { add: () => Promise.reject(new Error('away')) },
      log: w.log,
      caseOf: (lid) => lid,
    });
    const batch = { jobId: 'x', queuedAtMs: Date.now(), startedBefore: false };
    await asker.askAbout([login('a', '8.20.1.1')], batch);
    expect(w.log.text()).toContain('registry_ask_failed');
  });

  test('asks again about a batch whose worker died before it could', async () => {
    const w = await world({ enabled: false });
    const odd = login('a', '8.8.8.8');
    await w.send(home('a'), odd);
    const record = await until(() => w.caseOf(odd));
    const asked: RegistryAsk[] = [];
    const asker = new Asker({
      locator: w.worker.locator,
      incidents: w.incidents,
      asks: { add: async (_, asks) => void asked.push(...asks) },
      log: w.log,
      caseOf: () => record.id,
    });
    const batch = { jobId: 'x', queuedAtMs: Date.now(), startedBefore: true };
    await asker.askAbout([odd], batch);
    expect(asked).toEqual([{ kind: 'disputed', caseId: record.id, address: '8.8.8.8', queuedAtMs: record.queuedAtMs }]);
    asker.noteIncident(record);
    await asker.askAbout([odd], { ...batch, startedBefore: false });
    expect(asked).toHaveLength(2);
  });
});

describe('the process', () => {
  test('starts, and ends with 0 when it is told to', async () => {
    const child = spawnNode('workers/registry.js', ['--redis', testRedisUrl(), '--prefix', testPrefix()]);
    await child.waitFor(/registry_worker_started/);
    expect(await child.kill()).toMatchObject({ code: 0 });
  });

  test('refuses a setting that it does not know, in one line', async () => {
    const child = spawnNode('workers/registry.js', ['--nonsense']);
    expect(await child.exited).toMatchObject({ code: 1 });
    expect(child.stderr).toMatch(/^config_invalid: --nonsense is not a flag: [^\n]+\n$/);
  });

  test('`session-bouncer registry-worker` is the same one', async () => {
    const args = ['registry-worker', '--redis', testRedisUrl(), '--prefix', testPrefix(), '--registry-enabled', 'true'];
    const child = spawnNode('src/cli/main.js', args);
    await child.waitFor(/registry_worker_started/);
    expect(child.output).not.toContain('registry_not_enabled');
    expect(await child.kill('SIGINT')).toMatchObject({ code: 0 });
    expect(child.output).toContain('"event":"worker_stopped"');
  });
});
