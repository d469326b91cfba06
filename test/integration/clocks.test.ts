/** Hosts whose clocks differ: who notes the first use of a new id, and who judges an old one by it, need not be the same. */
import { describe, expect, jest, test } from '@jest/globals';
import type { Redis } from 'ioredis';
import { serverClock } from '../../src/redis/server-time.ts';
import { guardedSessions } from '../../src/redis/sessions.ts';
import type { SessionEngine } from '../../src/web/engine.ts';
import { randomToken, sessionHandle } from '../../src/web/handle.ts';
import { WebTier } from '../support/admin.ts';
import { captureLog, connect, release, testPrefix, until } from '../support/index.ts';
import { openShop } from '../support/shop.ts';

const DATA = { cookie: {}, userId: 'alice' };

/** A host so many milliseconds ahead of Redis. */
async function host(web: WebTier, aheadMs: () => number, isMeasured = true) {
  const log = captureLog();
  const redis = connect();
  const clock = () => Date.now() + aheadMs();
  const sharedClock = serverClock(redis, clock, log);
  if (isMeasured) await sharedClock.measure();
  const alarms: string[] = [];
  const engine = web.engine({
    sessions: guardedSessions(redis, web.keys),
    clock,
    sharedClock,
    onReused: async ({ handle }) => void alarms.push(handle),
  });
  return { engine, alarms, log, sharedClock, redis };
}

async function change(engine: SessionEngine, id: string): Promise<string> {
  const opened = await engine.open(id);
  if (opened.kind !== 'live') throw new Error(opened.kind);
  const newId = randomToken();
  expect(await engine.save(engine.move(opened.entry, id, newId), DATA, null)).toBe('live');
  return newId;
}

const tailOf = async (web: WebTier, id: string) =>
  Number(/"u":"(\d+)"/.exec((await web.redis.get(web.keys.session(sessionHandle(id)))) ?? '')?.[1]);

describe('a call that was under way when the id changed', () => {
  test.each([
    ['judged', 0, 35_000],
    ['noted', 35_000, 0],
    ['judged by one behind that was noted', 0, -35_000],
    ['noted by one behind that was judged', -35_000, 0],
  ])(
    'is served, and the tail is 30 s by the clock of Redis: %s by a host %d and %d ms ahead',
    async (_who, noting, judging) => {
      const web = new WebTier();
      const [here, there] = [await host(web, () => noting, false), await host(web, () => judging)];
      const first = (await web.login('alice')).id;
      const second = await change(here.engine, first);
      expect((await here.engine.open(second)).kind).toBe('live');
      const used = await until(async () => (await tailOf(web, first)) || false);
      const [seconds] = await web.redis.time();
      expect(Math.abs(used - Number(seconds) * 1000)).toBeLessThan(10_000);
      expect(await there.engine.open(first)).toMatchObject({ kind: 'live', forwardTo: null });
      expect(there.alarms).toEqual([]);
      // 31 s later, by any clock.
      await web.redis.setrange(web.keys.session(sessionHandle(first)), 31, String(used - 31_000));
      await there.engine.open(first);
      expect(there.alarms).toEqual([sessionHandle(first)]);
    },
  );

  test('is served by a host whose clock has gone wrong since it was measured: it asks before an alarm', async () => {
    const web = new WebTier();
    let aheadMs = 0;
    const there = await host(web, () => aheadMs);
    const first = (await web.login('alice')).id;
    const second = await change(there.engine, first);
    await there.engine.open(second);
    await until(async () => (await tailOf(web, first)) > 0);
    aheadMs = 3_600_000;
    expect(await there.engine.open(first)).toMatchObject({ kind: 'live', forwardTo: null });
    expect(there.alarms).toEqual([]);
    expect(there.log.entries.map(({ fields }) => fields)).toEqual([{ event: 'clock_skewed', seconds: 3600 }]);
    await there.sharedClock.measure();
    expect(there.log.entries).toHaveLength(1); // one line, until it is right again
  });

  test('in a whole app on a host that is 35 s ahead', async () => {
    const prefix = testPrefix();
    const routes: NonNullable<Parameters<typeof openShop>[1]>['routes'] = (app) =>
      app.post('/again', (req, res) => {
        const { userId } = req.session as { userId?: string };
        req.session.regenerate(() => {
          Object.assign(req.session, { userId });
          res.end();
        });
      });
    const redis = connect();
    const here = await openShop(prefix, { routes });
    const realNow = Date.now.bind(Date);
    const ahead = jest.spyOn(Date, 'now').mockImplementation(() => realNow() + 35_000);
    release(async () => ahead.mockRestore());
    const there = await openShop(prefix, { routes });
    const alice = here.browser();
    await until(async () => (await alice.login('alice')).json().saved);
    const cookie = await alice.jar.getCookieString(here.url);
    const first = await alice.sessionId();
    await alice.post('/again');
    const user = async () =>
      ((await (await fetch(`${there.url}/me`, { headers: { cookie } })).json()) as { user?: string }).user;
    expect(await alice.user()).toBe('alice');
    // Noted behind the request, once the clock was measured: until then nobody has to judge by it.
    await until(async () => (await tailOf(new WebTier(prefix, redis), first)) > 0);
    expect(await user()).toBe('alice');
    expect(await alice.user()).toBe('alice');
    expect(there.log.text()).not.toContain('session_reused');
    expect(there.log.text()).toContain('clock_skewed');
  });
});

describe('what was measured is fresh', () => {
  const slowBy = (time: () => Promise<string[]>) =>
    serverClock({ time } as unknown as Redis, () => Date.now() - 60_000, captureLog());
  const serverTime = () => [String(Math.floor(Date.now() / 1000)), '0'];

  test('not before it is answered; whoever asks meanwhile waits for the same answer', async () => {
    let asked = 0;
    let answer!: () => void;
    const answered = new Promise<void>((resolve) => {
      answer = resolve;
    });
    const shared = slowBy(async () => {
      asked += 1;
      await answered;
      return serverTime();
    });
    const both = Promise.all([shared.measure(), shared.measure()]);
    expect(shared.isFresh()).toBe(false);
    answer();
    expect(await both).toEqual([true, true]);
    expect([asked, shared.isFresh()]).toEqual([1, true]);
  });

  test('not where it was refused; the next one asks again', async () => {
    let isAllowed = false;
    const shared = slowBy(async () => {
      if (!isAllowed) throw new Error('NOPERM');
      return serverTime();
    });
    await expect(shared.measure()).rejects.toThrow('NOPERM');
    expect(shared.isFresh()).toBe(false);
    isAllowed = true;
    expect(await shared.measure()).toBe(true);
    expect(shared.isFresh()).toBe(true);
  });
});
