/** The trials of test/e2e/php under php-fpm, where it is installed: fewer, as what a request does there is the same code. */
import { describe, expect, test } from '@jest/globals';
import { findPhp } from '../support/php-cli.ts';
import { findPhpFpm } from '../support/php-fpm.ts';
import { expectNobodyLeft } from '../support/php-outcome.ts';

const fpm = findPhpFpm();
const php = findPhp();

if (fpm !== null && php?.hasRedis) {
  describe('PHP sessions under php-fpm that end while a request is in flight', () => {
    test(
      'none is logged in afterwards; of those that a job has destroyed, all are',
      () => expectNobodyLeft({ trials: 4, unguarded: 1, abreast: 4, fpm }),
      120_000,
    );
  });
} else {
  describe('php-fpm and php with php-redis are not both installed here, so nothing was tried under php-fpm', () => {
    test('they are looked for', () => expect(fpm !== null && php?.hasRedis === true).toBe(false));
  });
}
