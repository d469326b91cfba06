/** What the trials of PHP sessions must come to, under whichever of PHP's servers. */
import { expect } from '@jest/globals';
import { privateRedis, testPrefix } from './index.ts';
import { runPhpTrials, type TrialOptions } from './php-trials.ts';

export async function expectNobodyLeft(options: Omit<TrialOptions, 'redisUrl' | 'prefix'>): Promise<void> {
  const { trials } = options;
  const report = await runPhpTrials({ redisUrl: (await privateRedis()).url, prefix: testPrefix(), ...options });
  const cells = Object.keys(report.stillLoggedIn);
  // What a request does, lazy_write on and off, locking on and off.
  expect(cells.filter((cell) => !cell.startsWith('unguarded'))).toHaveLength(3 * 4);
  expect(cells).toHaveLength(5 * 4);
  expect(Object.entries(report.stillLoggedIn).filter(([, alive]) => alive > 0)).toEqual([]);
  expect(report.outcomes).toEqual({ revoked: 12 * trials + 8 * options.unguarded });
  for (const cell of cells) {
    const count = cell.startsWith('unguarded') ? options.unguarded : trials;
    expect([cell, report.bounced[cell]]).toEqual([cell, count]);
  }
  expect(report.job).toEqual({ trials, saidTrue: trials, stillLoggedIn: trials });
  expect(report.complaints).toEqual([]);
}
