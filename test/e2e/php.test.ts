/** PHP itself, with phpredis, against a real worker and ingest: requests in flight while their login ends. */
import { describe, expect, test } from '@jest/globals';
import { findPhp } from '../support/php-cli.ts';
import { expectNobodyLeft } from '../support/php-outcome.ts';

const php = findPhp();

if (php?.hasRedis) {
  describe('PHP sessions that end while a request is in flight', () => {
    test(
      'none is logged in afterwards; of those that a job has destroyed with session_destroy(), all are',
      () => expectNobodyLeft({ trials: 40, unguarded: 10, abreast: 6 }),
      240_000,
    );
  });
} else {
  describe('PHP with php-redis is not installed here, so no PHP session was ended', () => {
    test('it is looked for', () => expect(php?.hasRedis ?? false).toBe(false));
  });
}
