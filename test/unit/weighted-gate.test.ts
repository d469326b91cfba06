import { expect, test } from '@jest/globals';
import { WeightedGate } from '../../src/queue/weighted-gate.ts';
import { until } from '../support/index.ts';

test('lets work through up to its capacity, in order, and what is heavier alone', async () => {
  const gate = new WeightedGate(10);
  const started: string[] = [];
  const ends = new Map<string, () => void>();
  const enter = (name: string, weight: number) =>
    gate.run(weight, () => {
      started.push(name);
      return new Promise<void>((end) => void ends.set(name, end));
    });
  const all = [enter('a', 6), enter('b', 4), enter('c', 3), enter('d', 1), enter('e', 25), enter('f', 1)];
  expect(started).toEqual(['a', 'b']);
  ends.get('b')?.();
  await until(() => started.length === 4); // c and d fit beside a; e has to wait until it is alone
  expect(started).toEqual(['a', 'b', 'c', 'd']);
  for (const name of ['a', 'c']) ends.get(name)?.();
  await Promise.all([all[0], all[2]]);
  expect(started).not.toContain('e');
  ends.get('d')?.();
  await until(() => started.includes('e'));
  expect(started).not.toContain('f'); // nobody overtakes
  ends.get('e')?.();
  await until(() => started.includes('f'));
  ends.get('f')?.();
  await Promise.all(all);
});

test('work that fails makes room too', async () => {
  const gate = new WeightedGate(1);
  const failing = gate.run(1, () => Promise.reject(new Error('no')));
  const next = gate.run(1, () => Promise.resolve('done'));
  await expect(failing).rejects.toThrow('no');
  expect(await next).toBe('done');
});
