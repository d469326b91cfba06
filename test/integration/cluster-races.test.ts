/** The interleavings and the fuzz once more where ids are made step by step: on a Cluster. */
import { beforeAll, describe, expect, test } from '@jest/globals';
import type { Redis } from 'ioredis';
import { keysFor } from '../../src/redis/keys.ts';
import { startCluster, type TestCluster } from '../support/cluster.ts';
import { fuzz } from '../support/fuzz-world.ts';
import { Hooks, hookUp } from '../support/hooked-redis.ts';
import { release, testPrefix, until } from '../support/index.ts';
import { CASES } from './interleavings/cases.ts';
import { FRAMEWORKS } from './interleavings/frameworks.ts';
import { type Framework, type Handlers, World } from './interleavings/harness.ts';

const RUNS = 3000;
/** They take as long as they take: nothing here is about time, and the machine may have much else to do. */
const LIMIT_MS = 600_000;
/** Enough to find a swapped order many times over. */
const FEW = 300;

let cluster: TestCluster;

beforeAll(async () => {
  cluster = await startCluster();
}, 60_000);

async function openWorld(framework: Framework): Promise<World> {
  const client = cluster.client as unknown as Redis;
  const own = cluster.client.duplicate();
  release(() => own.disconnect());
  const hooks = new Hooks();
  const prefix = testPrefix();
  const handlers: Handlers = new Map();
  const running = await framework.open(hookUp(own as unknown as Redis, hooks), prefix, handlers);
  const world = new World(prefix, hooks, client, running, handlers, cluster.masters);
  await until(async () => (await world.visitor().login()).saved);
  return world;
}

describe.each(FRAMEWORKS)('$name, on a Cluster', (framework) => {
  let world: World;

  beforeAll(async () => {
    await cluster.everywhere('SCRIPT', 'FLUSH');
    world = await openWorld(framework);
  });

  for (const { number, name, run } of CASES) {
    const reason = framework.lacks[number];
    if (reason === undefined) test(`${number} ${name}`, () => run(world));
    else test(`${number} ${name} does not exist here: ${reason}`, () => expect(reason).not.toBe(''));
  }
});

describe('random interleavings on a Cluster', () => {
  test.each([
    [RUNS, 'as it comes', false],
    [FEW, 'with SCRIPT FLUSH on every node, again and again', true],
  ])(
    '%i of them leave no live session, %s',
    async (runs, _name, flushes) => {
      const place = { redis: cluster.client as unknown as Redis, keys: keysFor(testPrefix()) };
      const flush = () => void cluster.everywhere('SCRIPT', 'FLUSH').catch(() => {});
      const timer = flushes ? setInterval(flush, 20) : undefined;
      try {
        expect(await fuzz(place, runs)).toEqual([]);
      } finally {
        clearInterval(timer);
      }
    },
    LIMIT_MS,
  );

  test(
    "it can fail there: with the writer's order swapped it finds live sessions",
    async () => {
      const place = { redis: cluster.client as unknown as Redis, keys: keysFor(testPrefix()) };
      expect((await fuzz(place, FEW, { writer: 'save_before_enroll' })).length).toBeGreaterThan(0);
    },
    LIMIT_MS,
  );

  test('no command named two slots, on any node, in all of this', async () => {
    const stats = (await cluster.everywhere('INFO', 'errorstats')).join('\n');
    expect(stats).not.toContain('CROSSSLOT');
    expect(stats).toContain('errorstat_NOSCRIPT'); // the look is at the right place
  });
});
