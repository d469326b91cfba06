/** The PHP helper in the example site, under PHP's own server: what it does for a page, and where it stays out of the way. */

import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { caseOf } from '../../src/case-of.ts';
import { openDesk } from '../../src/desk.ts';
import { sealsOf } from '../../src/php/seal.ts';
import { redisIncidents } from '../../src/redis/incidents.ts';
import { keysFor, userTag } from '../../src/redis/keys.ts';
import type { WorkerOptions } from '../../src/worker.ts';
import { captureLog, connect, type PrivateRedis, privateRedis, release, testPrefix, until } from '../support/index.ts';
import { newSecret, openTestIngest } from '../support/ingest.ts';
import { findPhp } from '../support/php-cli.ts';
import { HoldingGate } from '../support/php-ours.ts';
import { type PhpSiteOptions, projectRoot, sessionPrefixOf, startPhpSite } from '../support/php-server.ts';
import { PhpBrowser } from '../support/php-visitor.ts';
import { ADDRESS } from '../support/shop.ts';
import { openWorker } from '../support/worker.ts';

const php = findPhp();
const NOWHERE = 'http://127.0.0.1:9';
const CASE = 'K7QX-2M9F-4T8A';

interface SiteOptions extends Partial<PhpSiteOptions> {
  /** With an ingest, and a worker of these options. */
  readonly worker?: Partial<NonNullable<WorkerOptions['php']>>;
}

/** Its address is all that PHP is told of it: no password, no database. */
let server: Promise<PrivateRedis> | null = null;

async function openSite({ worker, ...options }: SiteOptions = {}) {
  server ??= privateRedis();
  const { redisUrl = (await server).url } = options;
  const prefix = testPrefix();
  const keys = keysFor(prefix);
  const key = randomBytes(32).toString('base64');
  const secret = newSecret();
  const redis = connect(redisUrl);
  const php = { keys: { k1: key }, sessionPrefix: sessionPrefixOf(prefix), ...worker };
  if (worker !== undefined) await openWorker(prefix, { redis: redisUrl, php, brake: false });
  const ingest = worker && (await openTestIngest(prefix, { redis: redisUrl, secrets: [secret] }));
  const gate = new HoldingGate(ingest?.url ?? NOWHERE);
  const ingestUrl = await gate.listen();
  release(() => gate.close());
  const site = await startPhpSite({ prefix, ingestUrl, secret, key, ...options, redisUrl });
  release(() => site.stop());
  return {
    ...site,
    gate,
    redis,
    keys,
    seals: sealsOf({ k1: key }),
    incidents: redisIncidents(redis, keys, 60_000),
    browser: (address: string = ADDRESS.london) => new PhpBrowser(site.url, address),
    /** The login id in the session as phpredis keeps it. */
    async lidOf(id: string | null): Promise<string> {
      const data = await redis.get(`${sessionPrefixOf(prefix)}${id}`);
      return /bouncer_lid\|s:38:"([\w-]{38})"/.exec(data ?? '')?.[1] ?? '';
    },
    /** Of the one login that ever was, where the sessions lie in another Redis. */
    async onlyLid(): Promise<string> {
      const [index = ''] = await redis.keys(`${prefix}:php-ids:*`);
      return index.split(':').at(-1) ?? '';
    },
    /** How many sessions of this login are somebody's. */
    async savedAs(user: string, lid: string): Promise<number> {
      const all = await redis.keys(`${sessionPrefixOf(prefix)}*`);
      const data = await Promise.all(all.map((key) => redis.get(key)));
      return data.filter((each) => each?.includes(lid) && each.includes(`username|s:${user.length}:"${user}"`)).length;
    },
    mark: (lid: string, more: object = {}) =>
      redis.set(keys.loginEnd(lid), JSON.stringify({ reason: 'country_changed', caseId: CASE, atMs: 1, ...more })),
    /** A request that has read its session and waits to be told to go on. */
    async hold(browser: PhpBrowser, what: string) {
      const answer = browser.get(`/held?do=${what}&guard=1&name=${what}`);
      answer.catch(() => {});
      await until(async () => (await redis.exists(`${prefix}:trial:${what}:in`)) === 1);
      return async () => {
        await redis.set(`${prefix}:trial:${what}:go`, '1', 'EX', 60);
        return answer;
      };
    },
  };
}

function guardTests(): void {
  test('a login moves to a new id, enrolled under a login of the user and sealed', async () => {
    const site = await openSite();
    const ann = site.browser();
    await ann.get('/index.php');
    const before = ann.sessionId;
    expect(await ann.login('ann')).toMatchObject({ status: 303, location: '/index.php' });
    expect(ann.sessionId).not.toBe(before);
    expect((await ann.get('/index.php')).body).toContain('Logged in as <b>ann</b>, visit 1.');
    const lid = await site.lidOf(ann.sessionId);
    const index = await site.redis.hgetall(site.keys.phpIds(lid));
    expect(Object.values(index).map((sealed) => site.seals.open(sealed, lid))).toEqual([{ id: ann.sessionId }]);
    expect(JSON.stringify(index)).not.toContain(ann.sessionId);
    expect(await site.redis.ttl(site.keys.phpIds(lid))).toBeGreaterThan(86_400);
    await ann.logout();
    expect(await ann.user()).toBeNull();
  });

  test('the holder of an ended login is bounced, again and again, and its cookie is cleared as it was set', async () => {
    const site = await openSite();
    const thief = site.browser();
    await thief.login('ann');
    const id = thief.sessionId;
    await site.mark(await site.lidOf(id));
    const bounced = { status: 303, location: `/gotcha.php?case=${CASE}` };
    expect(await thief.get('/index.php')).toMatchObject(bounced);
    const cleared = await thief.get('/index.php', { id });
    expect(cleared).toMatchObject(bounced);
    expect(cleared.setCookie).toEqual([
      'PHPSESSID=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=/; HttpOnly; SameSite=Lax',
    ]);
    expect(await thief.get('/api', { id, accept: '*/*' })).toMatchObject({
      status: 401,
      body: '{"code":"session_ended"}',
    });
    expect(await thief.user(id)).toBeNull();
    expect((await thief.get(`/gotcha.php?case=${CASE}`)).body).toContain(CASE);
    expect((await thief.get('/gotcha.php?case=<script>')).body).not.toContain('script');
    await thief.login('ann');
    expect(await thief.user()).toBe('ann');
  });

  test.each(['forced_logout', 'logout'])(
    '%s: who was logged out goes on as nobody; a lifted end is none',
    async (reason) => {
      const site = await openSite();
      const ann = site.browser();
      await ann.login('ann');
      const [lid, id] = [await site.lidOf(ann.sessionId), ann.sessionId];
      await site.mark(lid, { liftedAtMs: 2 });
      expect((await ann.get('/index.php')).body).toContain('Logged in as');
      await site.mark(lid, { reason });
      expect(await ann.get('/index.php')).toMatchObject({ status: 200, body: expect.stringContaining('Nobody') });
      expect(ann.sessionId).not.toBe(id);
      expect(await ann.user(id)).toBeNull();
    },
  );

  test('all of a user: an epoch ends the logins before it and no later one', async () => {
    const site = await openSite();
    const [ann, later] = [site.browser(), site.browser()];
    await ann.login('ann');
    const epochMs = Date.now();
    await site.redis.set(site.keys.epoch(userTag('ann')), epochMs);
    expect((await ann.get('/index.php')).body).toContain('Nobody');
    await until(() => Date.now() > epochMs);
    await later.login('ann');
    expect((await later.get('/index.php')).body).toContain('Logged in as');
  });
}

function finishTests(): void {
  test.each(['regenerates', 'copies', 'changes', 'reads'])(
    'a request that %s while its login ends saves nobody, without any worker',
    async (what) => {
      const site = await openSite();
      const thief = site.browser();
      await thief.login('ann');
      const lid = await site.lidOf(thief.sessionId);
      const go = await site.hold(thief, what);
      await site.mark(lid);
      expect(JSON.parse((await go()).body)).toEqual({ user: 'ann', moved: /regenerates|copies/.test(what) });
      for (const id of thief.sessionIds) expect([id, await thief.user(id)]).toEqual([id, null]);
      expect(await site.lidOf(thief.sessionId)).toBe(lid);
    },
  );

  test('a connection that was cut while the request was busy: it looks on a new one', async () => {
    const site = await openSite();
    const thief = site.browser();
    await thief.login('ann');
    const lid = await site.lidOf(thief.sessionId);
    const go = await site.hold(thief, 'regenerates');
    const clients = String(await site.redis.client('LIST')).split('\n');
    // The last thing that the helper has asked.
    const ours = clients.filter((client) => / cmd=mget /.test(client)).map((client) => /^id=(\d+)/.exec(client)?.[1]);
    for (const id of ours) await site.redis.client('KILL', 'ID', id ?? '');
    await site.mark(lid);
    expect(JSON.parse((await go()).body)).toEqual({ user: 'ann', moved: true });
    for (const id of thief.sessionIds) expect([id, await thief.user(id)]).toEqual([id, null]);
    expect(await site.redis.hlen(site.keys.phpIds(lid))).toBe(2);
    expect([ours.length > 0, site.log().includes('session-bouncer: Redis')]).toEqual([true, false]);
  });

  test.each(['regenerates', 'copies'])('an id that a request %s to is of the same login', async (what) => {
    const site = await openSite();
    const ann = site.browser();
    await ann.login('ann');
    const lid = await site.lidOf(ann.sessionId);
    await (await site.hold(ann, what))();
    expect(ann.sessionIds).toHaveLength(2);
    const index = await site.redis.hvals(site.keys.phpIds(lid));
    const ids = index.map((sealed) => site.seals.open(sealed, lid));
    expect(ids).toEqual(expect.arrayContaining(ann.sessionIds.map((id) => ({ id }))));
    await site.mark(lid);
    expect((await ann.get('/index.php')).status).toBe(303);
  });

  test('an id is noted first, then the mark is read, then the session is saved', async () => {
    const site = await openSite();
    const commands: string[] = [];
    const monitor = await site.redis.monitor();
    release(() => monitor.disconnect());
    monitor.on('monitor', (_: string, [command = '', ...args]: string[]) => {
      const [, kind = ''] = args[0]?.startsWith(`${site.keys.prefix}:`) ? (args[0] ?? '').split(':') : [];
      if (/^(php-ids|login-end|php)$/.test(kind)) commands.push(command.toLowerCase());
    });
    const ann = site.browser();
    await ann.login('ann');
    await (await site.hold(ann, 'regenerates'))();
    const written = () => commands.filter((command) => /^(hset|mget|setex)$/.test(command));
    // The login and its end; the held request: the guard, then the new id.
    const order = ['hset', 'mget', 'mget', 'setex', 'mget', 'hset', 'mget', 'setex'];
    await until(() => written().length >= order.length);
    expect(written()).toEqual(order);
  });

  test('an id that was sealed with another key is sealed again with the first one', async () => {
    const site = await openSite();
    const ann = site.browser();
    await ann.login('ann');
    await ann.get('/index.php');
    const index = site.keys.phpIds(await site.lidOf(ann.sessionId));
    const before = await site.redis.hgetall(index);
    await ann.get('/index.php');
    expect(await site.redis.hgetall(index)).toEqual(before);
    const [key = ''] = await site.redis.keys(`*${ann.sessionId}`);
    const data = (await site.redis.get(key)) ?? '';
    expect(data).toContain('.k1";');
    await site.redis.set(key, data.replace('.k1";', '.k0";'), 'KEEPTTL');
    await ann.get('/index.php');
    const after = await site.redis.hgetall(index);
    expect(Object.keys(after)).toEqual(Object.keys(before));
    expect(after).not.toEqual(before);
  });

  test('an index that Redis has lost is written again', async () => {
    const site = await openSite();
    const ann = site.browser();
    await ann.login('ann');
    const lid = await site.lidOf(ann.sessionId);
    await site.redis.del(site.keys.phpIds(lid));
    await ann.get('/index.php');
    expect(await site.redis.hlen(site.keys.phpIds(lid))).toBe(1);
  });
}

function outageTests(): void {
  test('our Redis is away: pages and logins go on, and nothing is said in them', async () => {
    const [ours, sessions] = [await privateRedis(), await privateRedis()];
    const site = await openSite({ redisUrl: ours.url, sessionsUrl: sessions.url });
    const ann = site.browser();
    await ann.login('ann');
    await ours.kill();
    const page = await ann.get('/index.php');
    expect(page.body).toMatch(/^<!doctype html>/);
    expect(page.body).toContain('Logged in as <b>ann</b>');
    expect(await site.browser().login('bob')).toMatchObject({ status: 303, body: '' });
    await until(() => site.log().includes('session-bouncer: RedisException'));
  });

  test('an ingest that takes the call and never answers holds a login up no longer than the limit', async () => {
    const sockets = new Set<Socket>();
    const silent = createServer((socket) => sockets.add(socket.on('error', () => {})));
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    release(() => {
      for (const socket of sockets) socket.destroy();
      silent.close();
    });
    const { port } = silent.address() as AddressInfo;
    const site = await openSite({ ingestUrl: `http://127.0.0.1:${port}`, timeoutSeconds: 0.3 });
    const ann = site.browser();
    // Without the limit it would be PHP's default_socket_timeout, a minute.
    expect(await ann.login('ann')).toMatchObject({ status: 303, body: '' });
    expect(await ann.user()).toBe('ann');
    await until(() => site.log().includes('session-bouncer: the ingest answered'));
  });
}

/** A Redis of ours that will only half answer. Its sessions lie in another one, which is well. */
function refusalTests(): void {
  const refusals: Readonly<Record<string, readonly [string, ...string[]]>> = {
    READONLY: ['REPLICAOF', '127.0.0.1', '9'],
    NOREPLICAS: ['CONFIG', 'SET', 'min-replicas-to-write', '1'],
  };

  test.each(Object.entries(refusals))(
    '%s: who may not write still reads that a login has ended',
    async (code, refuse) => {
      const [ours, sessions] = [await privateRedis(), await privateRedis()];
      const site = await openSite({ redisUrl: ours.url, sessionsUrl: sessions.url });
      const [ann, bob] = [site.browser(), site.browser()];
      await ann.login('ann');
      const lid = await site.onlyLid();
      await bob.login('bob');
      await site.mark(lid);
      const [command, ...args] = refuse;
      await site.redis.call(command, ...args);
      expect((await bob.get('/index.php')).body).toContain('Logged in as <b>bob</b>');
      await until(() => site.log().includes(`session-bouncer: RedisException ${code}`));
      expect((await ann.get('/index.php')).location).toBe(`/gotcha.php?case=${CASE}`);
    },
  );

  test('the sessions lie in it too: the holder is bounced, though nothing can be saved', async () => {
    const own = await privateRedis();
    const site = await openSite({ redisUrl: own.url });
    const thief = site.browser();
    await thief.login('ann');
    await site.mark(await site.lidOf(thief.sessionId));
    await site.redis.call('REPLICAOF', '127.0.0.1', '9');
    const bounced = { status: 303, location: `/gotcha.php?case=${CASE}`, body: '' };
    expect(await thief.get('/index.php')).toMatchObject(bounced);
  });

  test('a mark that may not be read is no mark, and is told', async () => {
    const [ours, sessions] = [await privateRedis(), await privateRedis()];
    const site = await openSite({ redisUrl: ours.url, sessionsUrl: sessions.url });
    const ann = site.browser();
    await ann.login('ann');
    await site.mark(await site.onlyLid());
    await site.redis.call('ACL', 'SETUSER', 'default', '-mget');
    const log = site.log().length;
    expect((await ann.get('/index.php')).body).toContain('Logged in as <b>ann</b>');
    await until(() => site.log().slice(log).includes('session-bouncer: RedisException'));
    await site.redis.call('ACL', 'SETUSER', 'default', '+mget');
    expect((await ann.get('/index.php')).status).toBe(303);
  });
}

function misuseTests(): void {
  test('the guard after output, under an error handler that throws: the holder gets no further, and the log says why', async () => {
    const site = await openSite();
    const thief = site.browser();
    await thief.login('ann');
    const id = thief.sessionId;
    await site.mark(await site.lidOf(id));
    expect(await thief.get('/late')).toMatchObject({ status: 200, body: 'output has begun' });
    await until(() => site.log().includes('session-bouncer: guard() after output'));
    expect(await thief.user(id)).toBeNull();
  });

  test('a person’s end after output: nobody goes on, without a warning', async () => {
    const site = await openSite();
    const ann = site.browser();
    await ann.login('ann');
    await site.mark(await site.lidOf(ann.sessionId), { reason: 'forced_logout' });
    expect((await ann.get('/late')).body).toBe('output has begun, after the guard');
    expect(await ann.user()).toBeNull();
  });

  test('the guard before session_start() is told, for who brings a cookie', async () => {
    const site = await openSite();
    const ann = site.browser();
    expect((await ann.get('/early')).body).toBe('after the guard');
    expect(site.log()).not.toContain('session-bouncer:');
    await ann.login('ann');
    await ann.get('/early');
    await until(() => site.log().includes('session-bouncer: guard() before session_start()'));
  });

  test('a login after output keeps its id, and the log says so', async () => {
    const site = await openSite();
    const ann = site.browser();
    await ann.get('/index.php');
    const { body } = await ann.get('/latelogin');
    expect(JSON.parse(body)).toMatchObject({ same: true });
    await until(() => site.log().includes('session-bouncer: report_login() after output'));
  });

  test('a user id that is not UTF-8 is refused, and told: two such users would be one', async () => {
    const site = await openSite();
    const { status } = await site.browser().get('/latelogin?user=M%FCller');
    expect(status).toBe(200);
    await until(() => site.log().includes('session-bouncer: report_login(): the user id is not UTF-8'));
    expect(await site.redis.keys(`${site.keys.phpIds('').split(':php-ids')[0]}:php-ids:*`)).toEqual([]);
  });

  test('a user id that is a whole row is refused: all users would be "Array"', async () => {
    const site = await openSite();
    expect(JSON.parse((await site.browser().get('/latelogin?user[]=7')).body)).toMatchObject({ told: false });
    await until(() => site.log().includes('session-bouncer: report_login(): the user id is not UTF-8 text'));
    expect(await site.redis.keys(`${site.keys.phpIds('').split(':php-ids')[0]}:php-ids:*`)).toEqual([]);
  });

  test.each(['prefix', 'serializer'])(
    'a connection with the %s that the app has for its own: the worker finds the ids, the guard the mark',
    async (option) => {
      const site = await openSite();
      const thief = site.browser();
      await thief.login('ann');
      const lid = await site.lidOf(thief.sessionId);
      expect(await thief.get(`/dressed?option=${option}`)).toMatchObject({ status: 200, body: 'ann' });
      const sealed = await site.redis.hvals(site.keys.phpIds(lid));
      const ids = sealed.map((one) => site.seals.open(one, lid));
      expect([thief.sessionIds.length, ids]).toEqual([2, expect.arrayContaining([{ id: thief.sessionId }])]);
      await site.mark(lid);
      expect(await thief.get(`/dressed?option=${option}`)).toMatchObject({ status: 303 });
    },
  );

  test('allow_url_fopen off: the login goes on, and the log names the setting', async () => {
    const site = await openSite({ ini: { allow_url_fopen: '0' } });
    const ann = site.browser();
    expect(await ann.login('ann')).toMatchObject({ status: 303, body: '' });
    await until(() => site.log().includes('session-bouncer: allow_url_fopen is off'));
  });

  test.each([
    ['k1', ''],
    ['2026-11_b', ''],
    ['k.1', 'InvalidArgumentException'],
    ['', 'InvalidArgumentException'],
    ['k'.repeat(33), 'InvalidArgumentException'],
  ])('a key of the name %j: %s', (name, thrown) => {
    const code = `require 'examples/php/session_bouncer.php';
      try { new SessionBouncer(['secret' => 'whsec_x', 'redis' => 'time', 'keys' => [$argv[1] => base64_encode(str_repeat('x', 32))]]); }
      catch (Throwable $error) { echo get_class($error); }`;
    const { stdout } = spawnSync('php', ['-r', code, '--', name], { cwd: projectRoot(), encoding: 'utf8' });
    expect(stdout).toBe(thrown);
  });
}

/** Logs in at home, then abroad, and waits for what the worker has put on record of it. */
async function stolen(site: Awaited<ReturnType<typeof openSite>>, headers: Readonly<Record<string, string>> = {}) {
  await site.browser(ADDRESS.london).login('ann');
  await until(async () => (await site.redis.exists(site.keys.baseline('ann'))) === 1);
  const thief = site.browser(ADDRESS.lagos);
  await thief.login('ann', headers);
  const id = thief.sessionId;
  const record = await until(() => site.incidents.list({ userId: 'ann' }, 1).then((page) => page.incidents[0]));
  return { thief, id, record, lid: await site.lidOf(id) };
}

function workerTests(): void {
  test('the whole way: ended by the worker, bounced, each visit on the incident', async () => {
    const site = await openSite({ worker: {} });
    const { thief, id, record, lid } = await stolen(site);
    expect(record).toMatchObject({ id: caseOf(lid), action: 'revoke', outcome: 'revoked', php: { how: 'nulled' } });
    expect(await thief.user(id)).toBeNull();
    expect((await thief.get('/index.php')).location).toBe(`/gotcha.php?case=${record.id}`);
    await thief.get(`/gotcha.php?case=${record.id}`);
    const visited = await until(async () => {
      const now = await site.incidents.get(record.id);
      return now !== null && now.visits.length === 2 ? now : null;
    });
    const { lagos: address } = ADDRESS;
    expect(visited.visits).toMatchObject([
      { kind: 'refused', address, path: '/index.php', userAgent: 'TestBrowser/1.0' },
      { kind: 'gotcha', address, path: '/gotcha.php' },
    ]);
  });

  test.each(['105.112.10.20:51234', '[2c0f:f5c0::1]:443', '[2c0f:f5c0::1]'])(
    'a proxy that names the port too: %s is checked',
    async (address) => {
      const site = await openSite({ worker: {} });
      await site.browser(ADDRESS.london).login('ann');
      await until(async () => (await site.redis.exists(site.keys.baseline('ann'))) === 1);
      await site.browser(address).login('ann');
      const [incident] = await until(async () => {
        const { incidents } = await site.incidents.list({ userId: 'ann' }, 1);
        return incidents.length > 0 && incidents;
      });
      expect(incident?.sighting.address).toBe(/[\d.]{9,}|2c0f[\w:]+/.exec(address)?.[0]);
    },
  );

  test('a proxy that names no address at all: the log says what to compare', async () => {
    const site = await openSite({ worker: {} });
    await site.browser('unknown').login('ann');
    await until(() => site.log().includes('session-bouncer: no client address'));
  });

  test('a login is on the list of its user; ended from there, PHP has nobody logged in any more', async () => {
    const site = await openSite({ worker: {} });
    const desk = openDesk({ redis: site.redis, keys: site.keys, clock: Date.now, log: captureLog() });
    release(() => desk.close());
    const ann = site.browser();
    await ann.login('ann');
    const lid = await site.lidOf(ann.sessionId);
    const listed = await until(async () => (await desk.sessions('ann'))[0]);
    expect(listed).toMatchObject({ lid, php: true, address: ADDRESS.london, userAgent: 'TestBrowser/1.0' });
    expect(await ann.user()).toBe('ann');
    await desk.endAll('ann', 'stolen laptop', { by: 'bob', role: 'admin' });
    // Without the guard: what the worker has done to the session.
    await until(async () => (await ann.user()) === null);
    expect(await desk.sessions('ann')).toEqual([]);
    await ann.login('ann');
    expect(await ann.user()).toBe('ann');
    await until(async () => (await desk.sessions('ann')).length === 1);
  });

  test('no header of the client keeps a login from being reported', async () => {
    const site = await openSite({ worker: {} });
    const { record } = await stolen(site, { 'user-agent': '\u00e9"'.repeat(6000), 'x-requested-with': 'x' });
    expect(record).toMatchObject({ outcome: 'revoked' });
    expect(site.log()).not.toContain('session-bouncer:');
  });

  test('an id that was saved before it could be noted is found by the re-checks', async () => {
    const site = await openSite({ worker: { maxExecutionSeconds: 1 } });
    await site.browser(ADDRESS.london).login('ann');
    await until(async () => (await site.redis.exists(site.keys.baseline('ann'))) === 1);
    site.gate.hold('ann');
    const thief = site.browser(ADDRESS.lagos);
    await thief.login('ann');
    const lid = await site.lidOf(thief.sessionId);
    const go = await site.hold(thief, 'closes');
    expect(await site.savedAs('ann', lid)).toBe(1);
    await site.gate.letThrough('ann');
    await until(async () => (await site.redis.exists(site.keys.loginEnd(lid))) === 1);
    expect(await site.savedAs('ann', lid)).toBe(1);
    await go();
    expect(thief.sessionIds).toHaveLength(2);
    await until(async () => (await thief.user()) === null, { timeoutMs: 10_000 });
    expect(await site.lidOf(thief.sessionId)).toBe(lid);
  });

  test('php_serialize: set to NULL; igbinary: destroyed, and said', async () => {
    const site = await openSite({
      ini: { 'session.serialize_handler': 'php_serialize' },
      worker: { format: 'php_serialize' },
    });
    const { record, thief, id } = await stolen(site);
    expect(record).toMatchObject({ outcome: 'revoked', php: { how: 'nulled' } });
    expect(await thief.user(id)).toBeNull();
    if (!php?.hasIgbinary) return;
    const binary = await openSite({ ini: { 'session.serialize_handler': 'igbinary' }, worker: {} });
    const other = await stolen(binary);
    expect(other.record).toMatchObject({ outcome: 'revoked', php: { how: 'destroyed', why: 'igbinary' } });
    expect(await other.thief.user(other.id)).toBeNull();
  });

  test('a worker that looks in another Redis says so', async () => {
    const other = await privateRedis();
    const site = await openSite({ worker: { redis: other.url } });
    const { record, thief, id } = await stolen(site);
    expect(record).toMatchObject({ action: 'revoke', outcome: 'not_found', php: { how: 'untouched' } });
    // The guard needs no worker for it.
    expect((await thief.get('/index.php', { id })).status).toBe(303);
  });

  test('a worker that looks under another prefix says so', async () => {
    const site = await openSite({ worker: { sessionPrefix: 'PHPREDIS_SESSION:' } });
    const { record, thief, id } = await stolen(site);
    expect(record).toMatchObject({ action: 'revoke', outcome: 'not_found', php: { how: 'untouched' } });
    // The guard needs no worker for it.
    expect((await thief.get('/index.php', { id })).status).toBe(303);
  });

  test('a site that keeps its sessions in files: the worker says that it found none, the guard bounces all the same', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'php-sessions-'));
    release(() => rmSync(dir, { recursive: true }));
    const ini = { 'session.save_handler': 'files', 'session.save_path': dir };
    const site = await openSite({ ini, worker: {} });
    const { record, thief, id } = await stolen(site);
    expect(record).toMatchObject({ action: 'revoke', outcome: 'not_found', php: { how: 'untouched' } });
    expect((await thief.get('/index.php', { id })).status).toBe(303);
    expect(await thief.user(id)).toBeNull();
  });
}

if (php?.hasRedis) {
  describe('the guard of a PHP site', guardTests);
  describe('the end of a request', finishTests);
  describe('while something is away', outageTests);
  describe('while Redis refuses', refusalTests);
  describe('a site that errs', misuseTests);
  describe('with a worker', workerTests);
} else {
  describe('PHP with php-redis is not installed here, so its helper was not tried', () => {
    test('it is looked for', () => expect(php?.hasRedis ?? false).toBe(false));
  });
}
