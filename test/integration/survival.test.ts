import { expect, test } from '@jest/globals';
import { spawnNode } from '../support/index.ts';

/** The bench itself, small: `npm run bench -- survival` is the whole of it. */
test('nobody is still logged in after a worker in another process ended the session of a request in flight', async () => {
  const bench = spawnNode('test/bench/main.js', ['survival', '--json', '--scale', '0.05']);
  expect((await bench.exited).code).toBe(0);
  const result = JSON.parse(bench.stdout) as {
    bench: string;
    trials: number;
    ours: Record<string, number>;
    stock: Record<string, number>;
  };
  expect(result).toMatchObject({ bench: 'survival', trials: 10 });
  const cells = ['express', 'fastify', 'koa'].flatMap((framework) =>
    ['reads', 'changes', 'save', 'regenerate', 'login'].map((kind) => `${framework} ${kind}`),
  );
  expect(result.ours).toEqual(Object.fromEntries(cells.map((cell) => [cell, 0])));
  // A trial that cannot fail proves nothing: a stock store with DEL loses in every cell.
  expect(Object.keys(result.stock)).toEqual(cells);
  for (const cell of cells) expect([cell, result.stock[cell]]).not.toEqual([cell, 0]);
}, 300_000);
