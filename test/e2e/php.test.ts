/** PHP itself, with phpredis, against a real worker and ingest: requests in flight while their login ends. */
import { describe, expect, test } from '@jest/globals';
import { privateRedis, testPrefix } from '../support/index.ts';
import { findPhp } from '../support/php-cli.ts';
import { runPhpTrials } from '../support/php-trials.ts';

const php = findPhp();

async function trials(): Promise<void> {
  const options = { trials: 40, unguarded: 10, abreast: 6 };
  const report = await runPhpTrials({ redisUrl: (await privateRedis()).url, prefix: testPrefix(), ...options });
  const cells = Object.keys(report.stillLoggedIn);
  // What a request does, lazy_write on and off, locking on and off.
  expect(cells.filter((cell) => !cell.startsWith('unguarded'))).toHaveLength(3 * 4);
  expect(cells).toHaveLength(5 * 4);
  expect(Object.entries(report.stillLoggedIn).filter(([, alive]) => alive > 0)).toEqual([]);
  expect(report.outcomes).toEqual({ revoked: 12 * options.trials + 8 * options.unguarded });
  for (const cell of cells) {
    const count = cell.startsWith('unguarded') ? options.unguarded : options.trials;
    expect([cell, report.bounced[cell]]).toEqual([cell, count]);
  }
  expect(report.job).toEqual({ trials: 40, saidTrue: 40, stillLoggedIn: 40 });
  expect(report.complaints).toEqual([]);
}

if (php?.hasRedis) {
  describe('PHP sessions that end while a request is in flight', () => {
    test(
      'none is logged in afterwards; of those that a job has destroyed with session_destroy(), all are',
      trials,
      240_000,
    );
  });
} else {
  describe('PHP with php-redis is not installed here, so no PHP session was ended', () => {
    test('it is looked for', () => expect(php?.hasRedis ?? false).toBe(false));
  });
}
