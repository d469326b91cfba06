import { request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from '@jest/globals';
import { redisCounters } from '../../src/redis/counters.ts';
import { keysFor } from '../../src/redis/keys.ts';
import { connect, privateRedis, stopwatch, testPrefix, until } from '../support/index.ts';
import { ADDRESS, openShop } from '../support/shop.ts';
import { openWorker } from '../support/worker.ts';

const LOGINS_PER_SECOND = 200;
const OUTAGE_MS = 10_000;
const REDIS_TIMEOUT_MS = 1000;
/** Of the handler's own time on a busy two-core machine, beyond its limit. */
const SLACK_MS = 400;

interface Tally {
  statuses: Map<number, number>;
  reports: Map<string, number>;
  slowestHandlerMs: number;
}

function bump<K>(map: Map<K, number>, key: K): void {
  map.set(key, (map.get(key) ?? 0) + 1);
}

/** A connection of its own: one that is kept may be closed by one side in the very moment that the other uses it again. */
function statusOf(url: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = { 'x-forwarded-for': ADDRESS.london };
    const sent = request(url, { method: 'POST', agent: false, headers }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode ?? 0));
    });
    sent.on('error', reject).end();
  });
}

describe('Redis away for 10 s under 200 logins a second', () => {
  test.each(['stopped', 'frozen'] as const)(
    'Redis %s: every login is checked afterwards or counted as dropped, and no request fails',
    async (how) => {
      const server = await privateRedis({ args: ['--appendonly', 'yes', '--appendfsync', 'everysec'] });
      const prefix = testPrefix();
      const tally: Tally = { statuses: new Map(), reports: new Map(), slowestHandlerMs: 0 };
      const shop = await openShop(prefix, {
        bouncer: { redis: server.url, redisTimeoutMs: REDIS_TIMEOUT_MS },
        routes: (app, bouncer) =>
          app.post('/timed-login', async (req, res) => {
            const ms = stopwatch();
            const result = await bouncer.login(req, { userId: String(req.query.user) });
            tally.slowestHandlerMs = Math.max(tally.slowestHandlerMs, ms());
            bump(tally.reports, result.status);
            res.json(result);
          }),
      });
      await openWorker(prefix, { redis: server.url });
      const requests: Promise<void>[] = [];
      const logIn = async (i: number) => {
        bump(tally.statuses, await statusOf(`${shop.url}/timed-login?user=user-${i}`));
      };
      const start = performance.now();
      const outage = (async () => {
        await sleep(1500);
        if (how === 'stopped') await server.kill('SIGTERM');
        else server.pause();
        await sleep(OUTAGE_MS);
        if (how === 'stopped') await server.restart();
        else server.resume();
      })();
      for (let i = 0; performance.now() - start < OUTAGE_MS + 3000; i++) {
        requests.push(logIn(i));
        const due = start + (i + 1) * (1000 / LOGINS_PER_SECOND);
        // Also when it is late: what comes all at once is refused by the machine, not by the app.
        await sleep(Math.max(1, due - performance.now()));
      }
      await outage;
      await Promise.all(requests);

      expect([...tally.statuses]).toEqual([[200, requests.length]]);
      expect(tally.slowestHandlerMs).toBeLessThan(REDIS_TIMEOUT_MS + SLACK_MS);
      const dropped = tally.reports.get('dropped') ?? 0;
      expect(tally.reports.get('pending')).toBeGreaterThan(0); // the outage was felt
      const redis = connect(server.url);
      const counters = redisCounters(redis, keysFor(prefix));
      const due = requests.length - dropped;
      await until(async () => ((await counters.read()).logins ?? 0) >= due, { timeoutMs: 75_000, everyMs: 100 });
      expect((await counters.read()).logins).toBe(due);
      expect(shop.bouncer.stats()).toMatchObject({ dropped, waiting: 0, queued: due });
    },
    150_000,
  );

  test('what does not fit in memory is dropped, counted and logged, and nobody waits', async () => {
    const shop = await openShop(testPrefix(), {
      bouncer: { redis: 'redis://127.0.0.1:1', maxWaitingLogins: 50, enqueueTimeoutMs: 100 },
    });
    const ms = stopwatch();
    const results = await Promise.all(
      Array.from({ length: 80 }, (_, i) =>
        shop.bouncer.reportLogin({ userId: i, sessionId: `session-${i}`, address: null }),
      ),
    );
    expect(ms()).toBeLessThan(1000);
    expect(results.filter(({ status }) => status === 'pending')).toHaveLength(50);
    expect(results.filter(({ status }) => status === 'dropped')).toHaveLength(30);
    expect(shop.bouncer.stats()).toMatchObject({ waiting: 50, dropped: 30, queued: 0 });
    expect(shop.log.text()).toContain('login_dropped');
    const lines = shop.log.entries.length;
    expect(lines).toBeLessThan(20); // an outage is not a flood of lines
  });
});
