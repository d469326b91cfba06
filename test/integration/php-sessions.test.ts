/** Logins at PHP sites on their users' lists: who sees them, what becomes of PHP's own sessions when a person ends them, and the sweep. */
import { describe, expect, test } from '@jest/globals';
import { Queue } from 'bullmq';
import { openDesk } from '../../src/desk.ts';
import type { LoginEvent } from '../../src/domain/types.ts';
import { sweepingPhp } from '../../src/php/listing.ts';
import { sealsOf } from '../../src/php/seal.ts';
import { encodePayload } from '../../src/queue/job.ts';
import { keysFor, LOGIN_QUEUE, RECHECK_QUEUE, userTag } from '../../src/redis/keys.ts';
import { redisPhpIds, redisPhpSessions } from '../../src/redis/php-sessions.ts';
import { redisRegistry } from '../../src/redis/registry.ts';
import { loginId } from '../../src/web/handle.ts';
import type { WorkerOptions } from '../../src/worker.ts';
import {
  captureLog,
  cleanup,
  connect,
  privateRedis,
  release,
  spawnNode,
  testPrefix,
  testRedisUrl,
  until,
} from '../support/index.ts';
import { ended, handleOf, live, newId, newLid, PHP_KEYS } from '../support/php-ending.ts';
import { ADDRESS } from '../support/shop.ts';
import { openWorker } from '../support/worker.ts';

const DAY_MS = 86_400_000;
const ADMIN = { by: 'ann', role: 'admin' } as const;
const seals = sealsOf(PHP_KEYS);

async function setup(php: Partial<NonNullable<WorkerOptions['php']>> | null = {}, more: Partial<WorkerOptions> = {}) {
  const prefix = testPrefix();
  const redis = connect();
  release(() => cleanup(prefix));
  const keys = keysFor(prefix);
  const sessionPrefix = `${prefix}:PHPREDIS_SESSION:`;
  const options = php === null ? undefined : { keys: PHP_KEYS, sessionPrefix, ...php };
  const worker = await openWorker(prefix, { php: options, brake: false, ...more });
  const queue = new Queue(LOGIN_QUEUE, { connection: redis, prefix: keys.queuePrefix });
  release(() => queue.close());
  const desk = openDesk({ redis, keys, clock: Date.now, log: captureLog() });
  release(() => desk.close());
  const report = (...logins: LoginEvent[]) => queue.add('logins', encodePayload(logins));
  const listed = async (userId = 'alice') => (await desk.sessions(userId)).map(({ lid }) => lid);
  const put = (id: string, data: string) => redis.setex(`${sessionPrefix}${id}`, 1440, data);
  return {
    prefix,
    redis,
    keys,
    desk,
    worker,
    log: worker.log,
    report,
    listed,
    put,
    sessionPrefix,
    get: (id: string) => redis.get(`${sessionPrefix}${id}`),
    /** As the helper does it: the session, its index, the report; and the worker has seen it. */
    async login(more: Partial<LoginEvent> = {}) {
      const login = aLogin(more);
      await put(login.id, live(login.lid));
      await redis.hset(keys.phpIds(login.lid), login.handle, seals.seal(login.id, login.lid));
      await report(login.event);
      await until(async () => (await desk.history(login.event.userId, 10)).some(({ lid }) => lid === login.lid));
      await until(async () => (await redis.hexists(keys.userEntries(userTag('alice')), login.lid)) === 1);
      return login;
    },
    /** What a worker said of PHP's sessions of a login. */
    told: (lid: string) =>
      until(async () => (await desk.audit(50)).find(({ what, lid: of }) => what === 'php_end' && of === lid)),
  };
}

function aLogin(more: Partial<LoginEvent> = {}) {
  const { userId = 'alice' } = more;
  const [lid, id] = [more.lid ?? loginId(userId), newId()];
  const handle = handleOf(id);
  const from = { address: ADDRESS.london, userAgent: 'AliceBrowser/1.0', loginAtMs: Date.now() - 1000 };
  const event: LoginEvent = { lid, handle, userId, ...from, php: seals.seal(id, lid), ...more };
  return { lid, id, handle, event };
}

describe('a login at a PHP site', () => {
  test('is on the list of its user, once, with what was reported of it', async () => {
    const site = await setup();
    const { lid, event } = await site.login();
    await site.report(event);
    const [one, ...others] = await until(async () => {
      const sessions = await site.desk.sessions('alice');
      return sessions[0]?.countries.length ? sessions : null;
    });
    expect(others).toEqual([]);
    const { address, userAgent, loginAtMs } = event;
    expect(one).toMatchObject({ lid, userId: 'alice', address, userAgent, loginAtMs, countries: ['GB'], php: true });
    expect(one?.endsAtMs).toBe(loginAtMs + 30 * DAY_MS);
    expect(JSON.stringify(await site.redis.hgetall(site.keys.userEntries(userTag('alice'))))).not.toContain(event.php);
  });

  test('whose id does not name its user is on no list, and can be ended by that id all the same', async () => {
    const site = await setup();
    const [stray, named] = [aLogin({ lid: newLid() }), aLogin()];
    await site.put(stray.id, live(stray.lid));
    await site.report(stray.event, named.event);
    await until(async () => (await site.listed()).length > 0);
    expect(await site.listed()).toEqual([named.lid]);
    // It kept no index: the worker has noted the id that it was reported with.
    expect(await site.redis.hkeys(site.keys.phpIds(stray.lid))).toEqual([stray.handle]);
    const end = await cli(site.prefix, 'end', stray.lid);
    expect([end.code, end.stdout]).toEqual([0, expect.stringContaining('ended')]);
    await until(async () => (await site.get(stray.id)) === ended(stray.lid));
  });

  test('that was ended for where it came from is on no list', async () => {
    const site = await setup();
    await site.login();
    const thief = aLogin({ address: ADDRESS.lagos });
    await site.put(thief.id, live(thief.lid));
    await site.report(thief.event);
    await until(async () => (await site.get(thief.id)) === ended(thief.lid));
    await until(async () => (await site.desk.history('alice', 10)).length === 2);
    expect(await site.listed()).not.toContain(thief.lid);
  });
});

async function cli(prefix: string, ...args: string[]) {
  const where = ['--redis', testRedisUrl(), '--prefix', prefix, '--by', 'ann', '--why', 'lost telephone'];
  const spawned = spawnNode('src/cli/main.js', ['sessions', ...args, ...where], { REDIS_URL: undefined });
  const { code } = await spawned.exited;
  return { code, stdout: spawned.stdout, stderr: spawned.stderr };
}

describe('a person ends logins at a PHP site', () => {
  test('all of them: each session is set to NULL, all its ids, and again when it is written back', async () => {
    const site = await setup();
    const [first, second] = [await site.login(), await site.login()];
    const moved = newId();
    await site.put(moved, live(first.lid));
    await site.redis.hset(site.keys.phpIds(first.lid), handleOf(moved), seals.seal(moved, first.lid));
    expect(await site.desk.endAll('alice', 'stolen laptop', ADMIN)).toEqual({ ended: 2, failed: 0 });
    for (const { lid, id } of [first, { lid: first.lid, id: moved }, second]) {
      await until(async () => (await site.get(id)) === ended(lid));
    }
    expect(await site.told(first.lid)).toMatchObject({
      by: 'worker',
      userId: 'alice',
      outcome: 'revoked: its user set to NULL',
    });
    await site.told(second.lid);
    expect(await site.listed()).toEqual([]);
    await site.put(second.id, live(second.lid));
    await until(async () => (await site.get(second.id)) === ended(second.lid));
  });

  test('all but one, from the command line', async () => {
    const site = await setup({ end: 'destroy' });
    const [kept, gone] = [await site.login(), await site.login()];
    expect(await cli(site.prefix, 'end-all', 'alice', '--except', kept.lid)).toMatchObject({
      code: 0,
      stdout: 'alice: 1 ended\n',
    });
    await until(async () => (await site.get(gone.id)) === null);
    expect(await site.told(gone.lid)).toMatchObject({ outcome: 'revoked: destroyed' });
    expect(await site.get(kept.id)).toBe(live(kept.lid));
    expect(await site.listed()).toEqual([kept.lid]);
  });

  test('by an answer: one that was only observed is confirmed', async () => {
    const site = await setup({}, { mode: 'observe' });
    const blocked = { list: 'block', kind: 'user', value: 'alice', why: 'on watch', expiresAtMs: null } as const;
    await site.desk.addToList(blocked, ADMIN);
    const { lid, id } = await site.login();
    const [incident] = (await site.desk.incidents({ userId: 'alice' }, 10, null)).incidents;
    expect(incident).toMatchObject({ lid, outcome: 'observed' });
    expect(await site.get(id)).toBe(live(lid));
    await site.desk.answer(incident?.id ?? '', { disposition: 'confirmed', note: '' }, ADMIN);
    await until(async () => (await site.get(id)) === ended(lid));
    expect(await site.told(lid)).toMatchObject({ caseId: incident?.id, outcome: 'revoked: its user set to NULL' });
  });

  test.each([
    ['the session is not there', {}, /^not_found: not touched: there was none/],
    [
      'the worker looks under another prefix',
      { sessionPrefix: 'ELSEWHERE:' },
      /^not_found: not touched: there was none/,
    ],
  ])('%s: the audit says so, and never that it was ended', async (what, php, words) => {
    const site = await setup(php);
    const login = await site.login();
    if (what.startsWith('the session')) await site.redis.del(`${site.sessionPrefix}${login.id}`);
    await site.desk.endSession('alice', login.lid, 'lost telephone', ADMIN);
    const { outcome } = await site.told(login.lid);
    expect(outcome).toMatch(words);
    expect(outcome).not.toContain('revoked');
  });

  test('while the job of a login is still on its way: it ends when it comes', async () => {
    const site = await setup();
    const early = aLogin();
    await site.put(early.id, live(early.lid));
    expect(await site.desk.endAll('alice', 'stolen laptop', ADMIN)).toEqual({ ended: 0, failed: 0 });
    const late = aLogin({ loginAtMs: Date.now() });
    await site.put(late.id, live(late.lid));
    await site.report(early.event, late.event);
    await until(async () => (await site.get(early.id)) === ended(early.lid));
    expect(await site.listed()).toEqual([late.lid]);
    expect(await site.get(late.id)).toBe(live(late.lid));
  });
});

test('no worker has the keys: when its tries are used up the audit says so, and never that it was ended', async () => {
  const site = await setup(null);
  const login = await site.login();
  await site.desk.endSession('alice', login.lid, 'lost telephone', ADMIN);
  const rechecks = new Queue(RECHECK_QUEUE, { connection: site.redis, prefix: site.keys.queuePrefix });
  release(() => rechecks.close());
  const told = async () => (await site.desk.audit(50)).find(({ what }) => what === 'php_end');
  const { outcome } = await until(async () => {
    await hurry(rechecks);
    return told();
  });
  expect(outcome).toMatch(/not touched: the worker has no keys/);
  expect(outcome).not.toContain('revoked');
  const tries = site.log.entries.filter(({ fields }) => (fields as { event?: string }).event === 'recheck_failed');
  expect(tries.length).toBe(7);
});

test("PHP's Redis stays away: when the tries are used up the audit says that it is not ended yet", async () => {
  const away = await privateRedis();
  const site = await setup({ redis: away.url });
  const { lid, event } = aLogin();
  await site.redis.hset(site.keys.phpIds(lid), handleOf(newId()), seals.seal(newId(), lid));
  await site.report(event);
  await until(async () => (await site.redis.hexists(site.keys.userEntries(userTag('alice')), lid)) === 1);
  await away.kill();
  await site.desk.endSession('alice', lid, 'lost telephone', ADMIN);
  const rechecks = new Queue(RECHECK_QUEUE, { connection: site.redis, prefix: site.keys.queuePrefix });
  release(() => rechecks.close());
  const { outcome } = await until(
    async () => {
      await hurry(rechecks);
      return (await site.desk.audit(50)).find(({ what }) => what === 'php_end');
    },
    { timeoutMs: 60_000 },
  );
  expect(outcome).toMatch(/^not ended yet/);
}, 90_000);

test('what a worker without keys takes goes back to the queue, and is ended by one that has them', async () => {
  const site = await setup(null);
  const logins = await Promise.all([1, 2, 3].map(() => site.login()));
  for (const { lid } of logins) await site.desk.endSession('alice', lid, 'a thief', ADMIN);
  await until(() => (site.log.text().match(/PhpKeysMissing/g) ?? []).length >= logins.length);
  for (const { id, lid } of logins) expect(await site.get(id)).toBe(live(lid));
  await openWorker(site.prefix, { php: { keys: PHP_KEYS, sessionPrefix: site.sessionPrefix }, brake: false });
  // Of two, one job in a few hundred would meet the one without keys each time.
  await site.worker.close();
  const rechecks = new Queue(RECHECK_QUEUE, { connection: site.redis, prefix: site.keys.queuePrefix });
  release(() => rechecks.close());
  for (const { id, lid } of logins) {
    await hurry(rechecks);
    expect((await site.told(lid)).outcome).toBe('revoked: its user set to NULL');
    expect(await site.get(id)).toBe(ended(lid));
  }
});

/** The jobs that a worker gave back are due at once. */
async function hurry(rechecks: Queue): Promise<void> {
  for (const job of await rechecks.getDelayed()) {
    // Another worker may be quicker.
    if (job?.id?.endsWith('-php-now')) await job.promote().catch(() => {});
  }
}

test('a wrong end is taken back: nobody is bounced any more, and it is said that the user must log in again', async () => {
  const site = await setup();
  await site.login();
  const abroad = aLogin({ address: ADDRESS.lagos });
  await site.put(abroad.id, live(abroad.lid));
  await site.report(abroad.event);
  const incident = await until(async () => (await site.desk.incidents({ userId: 'alice' }, 1, null)).incidents[0]);
  expect(incident).toMatchObject({ outcome: 'revoked', atPhp: true });
  const safe = { disposition: 'safe', note: 'on holiday', giveBack: true } as const;
  expect(await site.desk.answer(incident.id, safe, ADMIN)).toMatchObject({ givenBack: 'log_in_again' });
  expect(await site.desk.standingEnd(incident)).toBe(null);
  expect((await site.desk.actsOn(incident.id)).map(({ what, outcome }) => [what, outcome])).toContainEqual([
    'undo',
    'end lifted; the user must log in again: no PHP session can be given back',
  ]);
  expect(await site.get(abroad.id)).toBe(ended(abroad.lid));
  expect(await site.desk.undo(incident.id, 'once more', ADMIN)).toBe('log_in_again');
});

describe('the sweep of logins at PHP sites', () => {
  const SETTLE_MS = 60_000;

  async function swept(sessionPrefix?: string) {
    const prefix = testPrefix();
    const redis = connect();
    release(() => cleanup(prefix));
    const keys = keysFor(prefix);
    const at = sessionPrefix ?? `${prefix}:PHPREDIS_SESSION:`;
    const ids = redisPhpIds(redis, keys);
    const sessions = redisPhpSessions(redis, { sessionPrefix: at, locking: false, lockWaitMs: 0 });
    const registry = redisRegistry(redis, keys);
    const deps = { ids, sessions, seals, settleMs: SETTLE_MS, log: captureLog() };
    const registryOfWorker = sweepingPhp(registry, deps);
    const t0 = Date.now();
    return {
      redis,
      keys,
      t0,
      put: (id: string, lid: string) => redis.setex(`${prefix}:PHPREDIS_SESSION:${id}`, 1440, live(lid)),
      async enter(lid: string, ...own: string[]) {
        for (const id of own) await ids.note(lid, handleOf(id), seals.seal(id, lid), DAY_MS);
        const { event } = aLogin({ lid, handle: handleOf(own[0] ?? ''), loginAtMs: t0 - 2 * SETTLE_MS });
        await registry.add(event, t0, t0 + DAY_MS);
      },
      sweep: (nowMs: number) => registryOfWorker.prune(userTag('alice'), nowMs),
      ids: async (lid: string) => (await redis.hkeys(keys.phpIds(lid))).sort(),
      listed: async () => (await registry.list('alice', t0)).map(({ lid }) => lid),
    };
  }

  test('a login keeps the ids that PHP has; one that it has not goes when no request can save it any more', async () => {
    const s = await swept();
    const lid = loginId('alice');
    const [now, old, pending] = [newId(), newId(), newId()];
    await s.enter(lid, now, old);
    await s.put(now, lid);
    const all = [now, old, pending].map(handleOf);
    expect(await s.sweep(s.t0)).toEqual({ kept: 1, removed: 0 });
    expect(await s.ids(lid)).toEqual(all.slice(0, 2).sort());
    // Noted by a request that has not saved it yet.
    await redisPhpIds(s.redis, s.keys).note(lid, handleOf(pending), seals.seal(pending, lid), DAY_MS);
    await s.sweep(s.t0 + SETTLE_MS - 1);
    expect(await s.ids(lid)).toEqual(all.sort());
    await s.sweep(s.t0 + SETTLE_MS);
    expect(await s.ids(lid)).toEqual([now, pending].map(handleOf).sort());
    await s.put(pending, lid);
    await s.sweep(s.t0 + 3 * SETTLE_MS);
    expect(await s.ids(lid)).toEqual([now, pending].map(handleOf).sort());
    expect(await s.redis.exists(s.keys.phpAbsent(lid))).toBe(0);
    expect(await s.listed()).toEqual([lid]);
  });

  test('a login of which PHP has nothing any more leaves the list; its ids stay, so that it can be ended', async () => {
    const s = await swept();
    const [here, out] = [loginId('alice'), loginId('alice')];
    const [id, gone] = [newId(), newId()];
    await s.enter(here, id);
    await s.enter(out, gone);
    await s.put(id, here);
    await s.sweep(s.t0);
    await s.sweep(s.t0 + 1);
    expect(await s.listed()).toEqual([here]);
    expect(await s.ids(out)).toEqual([handleOf(gone)]);
  });

  test('a worker that looks in the wrong place takes nobody off', async () => {
    const s = await swept('ELSEWHERE:');
    const lids = [loginId('alice'), loginId('alice')];
    for (const lid of lids) {
      const id = newId();
      await s.enter(lid, id);
      await s.put(id, lid);
    }
    await s.sweep(s.t0);
    expect(await s.sweep(s.t0 + 2 * SETTLE_MS)).toEqual({ kept: 2, removed: 0 });
    expect((await s.listed()).sort()).toEqual(lids.sort());
  });
});
