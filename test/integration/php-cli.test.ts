/** What the command says of PHP sites. */
import { describe, expect, test } from '@jest/globals';
import { redisIncidents } from '../../src/redis/incidents.ts';
import { keysFor } from '../../src/redis/keys.ts';
import { incidentOf } from '../support/incident.ts';
import {
  cleanup,
  connect,
  freePort,
  privateRedis,
  release,
  spawnNode,
  testPrefix,
  testRedisUrl,
} from '../support/index.ts';
import { newLid, PHP_KEYS } from '../support/php-ending.ts';

interface Check {
  readonly name: string;
  readonly status: string;
  readonly finding: string;
  readonly remedy?: string;
}

async function run(prefix: string, args: readonly string[], env: Record<string, string> = {}): Promise<string> {
  const all = ['--redis', testRedisUrl(), '--prefix', prefix];
  all.splice(0, args.includes('--redis') ? 2 : 0);
  all.unshift(...args);
  const child = spawnNode('src/cli/main.js', all, { COLUMNS: '90', ...env });
  await child.exited;
  return child.stdout;
}

async function phpChecks(prefix: string, ...flags: string[]): Promise<Check[]> {
  const env = { SESSION_BOUNCER_PHP_KEYS: `k1=${PHP_KEYS.k1}` };
  const { checks } = JSON.parse(await run(prefix, ['doctor', '--json', ...flags], env)) as { checks: Check[] };
  return checks.filter(({ name }) => name === 'php sessions');
}

describe('doctor', () => {
  test('is there a session under the prefix, in the Redis that is named?', async () => {
    const prefix = testPrefix();
    // Of its own: in a large one doctor looks at the first keys only.
    const { url } = await privateRedis();
    const redis = connect(url);
    const flags = ['--php-session-prefix', `${prefix}*:`, '--redis', url];
    expect(await phpChecks(prefix, ...flags)).toMatchObject([
      { status: 'warn', remedy: expect.stringMatching(/phpSess/) },
    ]);
    await redis.set(`${prefix}x:abc`, 'not under it');
    expect(await phpChecks(prefix, ...flags)).toMatchObject([{ status: 'warn' }]);
    await redis.set(`${prefix}*:abc`, 'username|N;');
    expect(await phpChecks(prefix, ...flags)).toMatchObject([{ status: 'ok' }]);
  });

  test('a Redis of PHP that is away is a failure, without its password', async () => {
    const url = `redis://:sesame@127.0.0.1:${await freePort()}`;
    const checks = await phpChecks(testPrefix(), '--php-redis-url', url);
    const [finding, remedy] = [/cannot be reached/, /re-checks/].map((text) => expect.stringMatching(text));
    expect(checks).toMatchObject([{ status: 'fail', finding, remedy }]);
    expect(JSON.stringify(checks)).not.toContain('sesame');
  });

  test('says nothing of PHP where there are no keys', async () => {
    const { checks } = JSON.parse(await run(testPrefix(), ['doctor', '--json'])) as { checks: Check[] };
    expect(checks.map(({ name }) => name)).not.toContain('php sessions');
    expect(checks.length).toBeGreaterThan(5);
  });
});

describe('incidents show', () => {
  test('says what became of the PHP session', async () => {
    const prefix = testPrefix();
    release(() => cleanup(prefix));
    const php = { how: 'destroyed', why: 'igbinary' } as const;
    const incident = incidentOf('alice', { outcome: 'revoked', php });
    await redisIncidents(connect(), keysFor(prefix), 60_000).record([incident]);
    const shown = await run(prefix, ['incidents', 'show', incident.id]);
    expect(shown).toMatch(/^PHP {5}session: destroyed: it is in igbinary, which is not written here$/m);
    const json = JSON.parse(await run(prefix, ['incidents', 'show', incident.id, '--json'])) as { php: unknown };
    expect(json.php).toEqual(php);
  });
});

describe('sessions end', () => {
  test('ends a login of a PHP site by its id, though no list has it: its mark stands, and guard() goes by that', async () => {
    const prefix = testPrefix();
    release(() => cleanup(prefix));
    const keys = keysFor(prefix);
    const lid = newLid();
    const end = ['sessions', 'end', lid, '--by', 'ann', '--why', 'stolen'];
    await connect().hset(keys.phpIds(lid), 'h'.repeat(43), 'v1.k1.iv.ciphertext');
    expect(await run(prefix, end)).toContain(`${lid}: ended`);
    expect(JSON.parse((await connect().get(keys.loginEnd(lid))) ?? '{}')).toMatchObject({ reason: 'forced_logout' });
  });
});
