/** `session-bouncer sessions` as an operator runs it: a process of its own from dist/. */
import { describe, expect, test } from '@jest/globals';
import type { LoginEntry } from '../../src/ports.ts';
import { RECHECK_QUEUE } from '../../src/redis/keys.ts';
import { sessionHandle } from '../../src/web/handle.ts';
import { WebTier } from '../support/admin.ts';
import { spawnNode, testRedisUrl } from '../support/index.ts';

async function cli(web: WebTier, ...args: string[]) {
  const where = ['--redis', testRedisUrl(), '--prefix', web.prefix];
  const spawned = spawnNode('src/cli/main.js', ['sessions', ...args, ...where], { REDIS_URL: undefined });
  const { code } = await spawned.exited;
  return { code, stdout: spawned.stdout, stderr: spawned.stderr };
}

const WHY = ['--by', 'ann', '--why', 'lost telephone'];

describe('session-bouncer sessions', () => {
  test('list, end, end-all --except, end-all, audit', async () => {
    const web = new WebTier();
    const [first, second, third] = [await web.login('alice'), await web.login('alice'), await web.login('alice')];
    const listed = await cli(web, 'list', 'alice', '--json');
    const lids = (JSON.parse(listed.stdout) as LoginEntry[]).map(({ lid }) => lid);
    expect(lids.sort()).toEqual([first, second, third].map(({ lid }) => lid).sort());
    expect((await cli(web, 'list', 'alice')).stdout).toContain('81.2.69.142');
    expect((await cli(web, 'end', sessionHandle(first.id), ...WHY)).stdout).toContain('ended');
    expect(await web.lives(first.id)).toBe(false);
    await cli(web, 'end-all', 'alice', '--except', second.lid, ...WHY);
    expect([await web.lives(second.id), await web.lives(third.id)]).toEqual([true, false]);
    expect((await cli(web, 'end-all', 'alice', ...WHY, '--json')).code).toBe(0);
    expect(await web.lives(second.id)).toBe(false);
    expect((await cli(web, 'list', 'alice')).stdout).toBe('No sessions.\n');
    const audit = await cli(web, 'audit');
    expect(audit.stdout).toContain('end_others');
    expect(audit.stdout).toContain('lost telephone');
  });

  test('each end has its three re-checks', async () => {
    const web = new WebTier();
    const delayed = () => web.redis.zcard(`${web.keys.queuePrefix}:${RECHECK_QUEUE}:delayed`);
    const [first] = [await web.login('alice'), await web.login('alice')];
    expect((await cli(web, 'end', first.lid, ...WHY)).stderr).toBe('');
    expect(await delayed()).toBe(3);
    // The queue takes each only once: those of the first stand.
    await cli(web, 'end-all', 'alice', ...WHY);
    expect(await delayed()).toBe(6);
  });

  test('an unknown id is an error with a code; who and why must be told', async () => {
    const web = new WebTier();
    const unknown = await cli(web, 'end', 'h'.repeat(43), ...WHY);
    expect([unknown.code, unknown.stderr]).toEqual([1, expect.stringMatching(/^session_unknown: /)]);
    // One id in sixty-four begins with a dash, and people paste ids.
    for (const id of [`-${'h'.repeat(42)}`, `--${'h'.repeat(41)}`]) {
      expect((await cli(web, 'end', id, ...WHY)).stderr).toMatch(/^session_unknown: /);
    }
    const silent = await cli(web, 'end-all', 'alice');
    expect((await cli(web, 'list', '-alice')).stderr).toContain('begins with a dash goes behind --');
    expect([silent.code, silent.stderr]).toEqual([1, expect.stringContaining('--by')]);
  });
});
