import { expect, test } from '@jest/globals';
import { putBackFor } from '../../../src/queue/registry-queue.ts';

const HOUR_MS = 3_600_000;

test.each([
  ['as long as was asked for', 30_000, 0, 0, 30_000],
  ['a second at least', 0, 0, 0, 1000],
  ['up to a quarter more', 30_000, 0, 0.999, 37_493],
  ['longer where nothing moves', 1000, 5, 0, 32_000],
  ['never shorter than was asked for', 60_000, 3, 0, 60_000],
  ['an hour at most', 1000, 1000, 0, HOUR_MS],
  ['an hour at most, whatever was asked for', 24 * HOUR_MS, 0, 0, HOUR_MS],
])('logins that wait are put back for %s', (_, afterMs, stuck, random, expected) => {
  expect(putBackFor(afterMs, stuck, random)).toBe(expected);
});
