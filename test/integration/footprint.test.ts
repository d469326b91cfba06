import { expect, test } from '@jest/globals';
import { spawnNode } from '../support/index.ts';

interface Footprint {
  readonly addedMegabytes: number;
  readonly geo: readonly string[];
}

async function footprint(target: string): Promise<Footprint> {
  const child = spawnNode('test/support/footprint.js', [target], {}, { nodeArgs: ['--expose-gc'] });
  expect(await child.exited).toEqual({ code: 0, signal: null });
  return JSON.parse(child.stdout) as Footprint;
}

test('the web tier loads no geo code and adds less than 25 MB of resident memory to ioredis and bullmq', async () => {
  const runs = [];
  for (let i = 0; i < 3; i++) runs.push(await footprint('../../src/index.js'));
  const added = runs.map(({ addedMegabytes }) => addedMegabytes).sort((a, b) => a - b);
  expect(added[1]).toBeLessThan(25);
  expect(runs.flatMap(({ geo }) => geo)).toEqual([]);
});

test('the check can fail: the worker does load geo code', async () => {
  expect((await footprint('../../src/worker.js')).geo).not.toEqual([]);
});
