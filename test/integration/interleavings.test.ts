import { beforeAll, describe, expect, test } from '@jest/globals';
import { Hooks, hookUp } from '../support/hooked-redis.ts';
import { connect, privateRedis, testPrefix, until } from '../support/index.ts';
import { CASES, ELSEWHERE } from './interleavings/cases.ts';
import { FRAMEWORKS } from './interleavings/frameworks.ts';
import { type Framework, type Handlers, World } from './interleavings/harness.ts';

/** A server of this file's own: FLUSHALL and SCRIPT FLUSH are among the steps. */
async function openWorld(framework: Framework): Promise<World> {
  const { url } = await privateRedis();
  const hooks = new Hooks();
  const prefix = testPrefix();
  const handlers: Handlers = new Map();
  const running = await framework.open(hookUp(connect(url), hooks), prefix, handlers);
  const world = new World(prefix, hooks, connect(url), running, handlers);
  // Its connection may not stand yet; the app does not wait for that.
  await until(async () => (await world.visitor().login()).saved);
  return world;
}

test('all 27 are covered', () => {
  const numbers = new Set([...CASES.map((one) => one.number), ...Object.keys(ELSEWHERE).map(Number)]);
  expect([...numbers].sort((a, b) => a - b)).toEqual(Array.from({ length: 27 }, (_, i) => i + 1));
});

describe.each(FRAMEWORKS)('$name', (framework) => {
  let world: World;

  beforeAll(async () => {
    world = await openWorld(framework);
  });

  test('without a revoke the same steps leave the user logged in', async () => {
    const alice = await world.alice();
    const flights = [await alice.start(), await alice.start()];
    await flights[0]?.end((session) => session.regenerate());
    await flights[1]?.end(async (session) => session.change());
    expect(await alice.user()).toBe('alice');
  });

  for (const { number, name, run } of CASES) {
    const reason = framework.lacks[number];
    if (reason === undefined) test(`${number} ${name}`, () => run(world));
    else test(`${number} ${name} does not exist here: ${reason}`, () => expect(reason).not.toBe(''));
  }
});
