/** `session-bouncer users` as an operator runs it: a process of its own from dist/. */
import { describe, expect, test } from '@jest/globals';
import type { Forgotten, Holdings } from '../../src/desk-ports.ts';
import { redisIncidents } from '../../src/redis/incidents.ts';
import { WebTier } from '../support/admin.ts';
import { anIncident } from '../support/incidents.ts';
import { spawnNode, testRedisUrl } from '../support/index.ts';

async function cli(web: WebTier, ...args: string[]) {
  const where = ['--redis', testRedisUrl(), '--prefix', web.prefix];
  const spawned = spawnNode('src/cli/main.js', ['users', ...args, ...where], { REDIS_URL: undefined });
  const { code } = await spawned.exited;
  return { code, stdout: spawned.stdout, stderr: spawned.stderr };
}

describe('session-bouncer users', () => {
  test('show, forget, show again', async () => {
    const web = new WebTier();
    const { id } = await web.login('alice');
    const incident = anIncident({ userId: 'alice', decidedAtMs: Date.now() });
    await redisIncidents(web.redis, web.keys, 1e9).record([incident]);
    const held = JSON.parse((await cli(web, 'show', 'alice', '--json')).stdout) as Holdings;
    expect([held.sessions.length, held.incidents.map((one) => one.id)]).toEqual([1, [incident.id]]);
    expect((await cli(web, 'show', 'alice')).stdout).toMatch(/^alice\n(.*\n)*incidents +1\n/);
    const silent = await cli(web, 'forget', 'alice');
    expect([silent.code, silent.stderr]).toEqual([1, expect.stringContaining('--why')]);
    expect(await web.lives(id)).toBe(true);
    const forgotten = await cli(web, 'forget', 'alice', '--by', 'ann', '--why', 'asked', '--json');
    expect(JSON.parse(forgotten.stdout) as Forgotten).toMatchObject({ counts: { incidents: 1, sessions: 1 } });
    expect(await web.lives(id)).toBe(false);
    const after = JSON.parse((await cli(web, 'show', 'alice', '--json')).stdout) as Holdings;
    expect([after.sessions, after.incidents, after.audit]).toEqual([[], [], []]);
  }, 120_000); // seven processes, on a machine that may be busy
});
