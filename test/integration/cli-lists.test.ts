/** `session-bouncer lists`, `brake` and `report` as an operator runs them: processes of their own from dist/. */
import { describe, expect, jest, test } from '@jest/globals';
import { DEFAULT_BRAKE } from '../../src/domain/brake.ts';
import type { ListEntry } from '../../src/domain/lists.ts';
import { redisAudit } from '../../src/redis/audit.ts';
import { redisBrake } from '../../src/redis/brake.ts';
import { keysFor } from '../../src/redis/keys.ts';
import { redisLists } from '../../src/redis/lists.ts';
import { redisObserved } from '../../src/redis/observed.ts';
import { redisSeries } from '../../src/redis/series.ts';
import { redisWorkers } from '../../src/redis/workers.ts';
import { connect, spawnNode, testPrefix, testRedisUrl } from '../support/index.ts';

/** Up to eight processes in one test, on a machine that may be busy. */
jest.setTimeout(120_000);

function open() {
  const prefix = testPrefix();
  const [redis, keys] = [connect(), keysFor(prefix)];
  const run = async (...args: string[]) => {
    const where = ['--redis', testRedisUrl(), '--prefix', prefix];
    const spawned = spawnNode('src/cli/main.js', [...args, ...where], { REDIS_URL: undefined });
    const { code } = await spawned.exited;
    return { code, stdout: spawned.stdout, stderr: spawned.stderr };
  };
  return { redis, keys, run };
}

const WHY = ['--by', 'ann', '--why', 'seen in \u202ethe log'];

describe('session-bouncer lists', () => {
  test('add, show, remove, each with its entry in the audit', async () => {
    const { redis, keys, run } = open();
    expect((await run('lists', 'show')).stdout).toBe('The lists are empty.\n');
    const added = await run('lists', 'add', 'block', 'network', '203.0.113.9/24', '--for', '7d', ...WHY, '--json');
    const entry = JSON.parse(added.stdout) as ListEntry;
    expect(entry).toMatchObject({ list: 'block', value: '203.0.113.0/24', by: 'ann' });
    expect(Math.abs((entry.expiresAtMs ?? 0) - entry.createdAtMs - 7 * 86_400_000)).toBeLessThan(60_000);
    const shown = (await run('lists', 'show')).stdout;
    expect(shown).toContain('203.0.113.0/24');
    expect(shown).toContain(entry.id);
    expect(shown).not.toContain('\u202e');
    expect((await run('lists', 'remove', entry.id, ...WHY)).stdout).toBe('removed: block network 203.0.113.0/24\n');
    // Such an act is of no user and ends no login.
    expect((await run('sessions', 'audit')).stdout).not.toMatch(/unknown| all /);
    expect(await redisLists(redis, keys).list(Date.now())).toEqual([]);
    expect((await redisAudit(redis, keys).list(10)).map(({ what, by }) => [what, by])).toEqual([
      ['list_remove', 'ann'],
      ['list_add', 'ann'],
    ]);
  });

  test.each([
    ['a world', ['add', 'block', 'network', '0.0.0.0/0', ...WHY], 'at least a /8'],
    ['no country', ['add', 'allow', 'country', 'EU', ...WHY], 'two-letter country'],
    ['another list', ['add', 'deny', 'country', 'FR', ...WHY], 'allow'],
    ['no reason', ['add', 'block', 'country', 'FR'], '--why'],
    ['a time that is none', ['add', 'block', 'country', 'FR', '--for', 'ever', ...WHY], '7d'],
    ['an unknown entry', ['remove', 'x', ...WHY], 'lists show'],
  ])('%s is refused, and says what to do', async (_, args, says) => {
    const { run } = open();
    const { code, stderr } = await run('lists', ...args);
    expect([code, stderr]).toEqual([1, expect.stringMatching(/^option_invalid: /)]);
    expect(stderr).toContain(says);
  });
});

describe('session-bouncer brake and report', () => {
  test('show tells what holds it, and by its exit code; reset lets it go', async () => {
    const { redis, keys, run } = open();
    expect(await run('brake', 'show')).toMatchObject({ code: 0, stdout: expect.stringContaining('does not hold') });
    const brake = redisBrake(redis, keys);
    await brake.ask(
      ['a', 'b'].map((lid) => ({ lid, userId: lid })),
      3,
      Date.now(),
      { ...DEFAULT_BRAKE, minLogins: 1 },
    );
    const held = await run('brake', 'show');
    expect([held.code, held.stdout]).toEqual([1, expect.stringContaining('2 users in 3 logins in the window')]);
    const { checks } = JSON.parse((await run('doctor', '--json')).stdout) as {
      checks: { name: string; status: string }[];
    };
    expect(checks.find(({ name }) => name === 'brake')).toMatchObject({ status: 'fail' });
    for (const wrong of [
      ['--why', ' ', '--by', 'ann'],
      ['--why', 'x', '--by', 'a'.repeat(129)],
    ]) {
      expect(await run('brake', 'reset', ...wrong)).toMatchObject({
        code: 1,
        stderr: expect.stringMatching(/^option_invalid: (why|by): /),
      });
    }
    expect((await run('brake', 'reset', ...WHY)).stdout).toContain('ended again');
    expect(await brake.state()).toEqual({ kind: 'enforcing' });
    expect((await run('brake', 'reset', ...WHY)).stdout).toContain('did not hold');
    expect((await redisAudit(redis, keys).list(1))[0]).toMatchObject({ what: 'brake_reset', by: 'ann' });
  });

  test('doctor says when workers differ: only some would stop', async () => {
    const { redis, keys, run } = open();
    const workers = redisWorkers(redis, keys);
    const settings = async () => {
      const { checks } = JSON.parse((await run('doctor', '--json')).stdout) as { checks: { name: string }[] };
      return checks.filter(({ name }) => name.startsWith('brake'));
    };
    const say = (id: string, brake: boolean) => {
      const who = { id, host: 'h', pid: 1, version: '0', mode: 'enforce', startedAtMs: 1, sources: [] } as const;
      return workers.say({ ...who, seenAtMs: Date.now(), brake });
    };
    await say('a', false);
    expect(await settings()).toMatchObject([{ name: 'brake', finding: expect.stringMatching(/^off: /) }]);
    await say('b', true);
    expect(await settings()).toMatchObject([
      { name: 'brake', status: 'ok', finding: 'does not hold' },
      { name: 'brake settings', status: 'warn', finding: expect.stringContaining('1 of 2 workers have none') },
    ]);
  });

  test('doctor says when the workers are in another mode than its own settings say', async () => {
    const { redis, keys, run } = open();
    const workers = redisWorkers(redis, keys);
    const modes = async (...flags: string[]) => {
      const { checks } = JSON.parse((await run('doctor', '--json', ...flags)).stdout) as { checks: { name: string }[] };
      return checks.filter(({ name }) => name === 'worker modes');
    };
    for (const [id, mode] of [
      ['a', 'observe'],
      ['b', 'enforce'],
    ] as const) {
      const who = { id, host: 'h', pid: 1, version: '0', mode, startedAtMs: 1, sources: [] } as const;
      await workers.say({ ...who, seenAtMs: Date.now() });
    }
    const finding = '1 of 2 observe: they end nothing; the settings read here say enforce';
    expect(await modes()).toMatchObject([{ status: 'warn', finding }]);
    await workers.leave('b');
    expect(await modes('--mode', 'observe')).toEqual([]);
  });

  test('report: what observing would have ended', async () => {
    const { redis, keys, run } = open();
    expect((await run('report')).stdout).toBe('The last 7 days: nothing would have been ended.\n');
    const now = Date.now();
    await redisSeries(redis, keys).add('a', now, { would_revoke: 3 });
    await redisObserved(redis, keys).add(['alice', 'bob'], now);
    expect((await run('report', '--days', '30')).stdout).toContain('would have ended 3 sessions of about 2 users');
    const { wouldHaveEnded } = JSON.parse((await run('report', '--json')).stdout) as { wouldHaveEnded: unknown };
    expect(wouldHaveEnded).toEqual({ sessions: 3, users: 2 });
    expect((await run('report', '--days', '99')).code).toBe(1);
  });
});
