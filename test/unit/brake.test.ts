import { describe, expect, test } from '@jest/globals';
import {
  brakePolicy,
  DEFAULT_BRAKE,
  hasCalmed,
  isBraked,
  judgeBrake,
  type MinuteCounts,
  tripsAtOnce,
} from '../../src/domain/brake.ts';

const counts = ([logins, revokes]: readonly [number, number]) => ({ logins, revokes });

describe('judgeBrake', () => {
  test.each<[string, [number, number], [number, number], 'share' | 'surge' | null]>([
    ['few logins count as 200', [3, 3], [3, 3], null],
    ['ten may end however few log in', [11, 10], [11, 10], null],
    ['the eleventh trips', [12, 11], [12, 11], 'share'],
    ['five in a hundred of many', [1000, 50], [1000, 50], null],
    ['one more trips', [1000, 51], [1000, 51], 'share'],
    ['twenty times the day', [1000, 21], [100_000, 100], 'surge'],
    ['exactly twenty times does not', [1000, 20], [100_000, 100], null],
    ['fewer than ten never surge', [1000, 9], [1_000_000, 9], null],
    ['ten do', [1000, 10], [1_000_000, 10], 'surge'],
    ['no surge with few logins in the window', [199, 10], [1_000_000, 10], null],
    ['no surge before the day has begun', [1000, 20], [1999, 20], null],
    ['a day as bad as the window is no surge', [1000, 40], [100_000, 4000], null],
  ])('%s', (_, window, day, verdict) => {
    expect(judgeBrake(counts(window), counts(day), DEFAULT_BRAKE)).toBe(verdict);
  });
});

test('what a person or the web tier ordered is no matter of the brake', () => {
  expect((['country_changed', 'blocked', 'session_reused'] as const).map(isBraked)).toEqual([true, false, false]);
});

describe('hasCalmed', () => {
  const MINUTE = 60_000;
  const NOW = 1_000_000 * MINUTE;
  const policy = { ...DEFAULT_BRAKE, resetAfterMs: 30 * MINUTE };
  const trip = (minutesAgo: number) => {
    const none = counts([0, 0]);
    return { atMs: NOW - minutesAgo * MINUTE, why: 'share' as const, window: none, day: none };
  };
  const minute = (ago: number, logins: number, revokes: number): MinuteCounts => ({
    atMs: NOW - ago * MINUTE,
    logins,
    revokes,
  });

  test.each<[string, number, MinuteCounts[], boolean]>([
    ['not before the time', 29, [], false],
    ['then, where nothing happened', 30, [], true],
    ['where little happened', 60, [minute(1, 1000, 20), minute(20, 100, 5)], true],
    ['not where one window was above the limit', 60, [minute(20, 100, 11)], false],
    ['nor where two minutes of a window were', 60, [minute(20, 10, 6), minute(17, 10, 6)], false],
    ['two windows apart they are not', 60, [minute(25, 10, 6), minute(12, 10, 6)], true],
    ['what was before does not count', 60, [minute(50, 100, 90)], true],
    ['the trip itself holds it for a window more', 31, [minute(31, 100, 90)], false],
  ])('%s', (_, minutesAgo, minutes, calm) => {
    expect(hasCalmed(trip(minutesAgo), minutes, NOW, policy)).toBe(calm);
  });

  test('never by itself without a time', () => {
    expect(hasCalmed(trip(10_000), [], NOW, DEFAULT_BRAKE)).toBe(false);
  });
});

describe('brakePolicy', () => {
  test('what is not given is the default', () => {
    expect(brakePolicy({})).toEqual(DEFAULT_BRAKE);
    expect(brakePolicy({ share: 0.1, windowMs: undefined })).toEqual({ ...DEFAULT_BRAKE, share: 0.1 });
  });

  test.each([
    [{ share: 0 }],
    [{ share: 1.1 }],
    [{ windowMs: 3_600_001 }],
    [{ windowMs: Number.NaN }],
    [{ minLogins: 0 }],
    [{ surge: 0.5 }],
    [{ resetAfterMs: 0 }],
    [{ resetAfterMs: 86_400_000 }],
  ])('%p is refused', (wrong) => {
    expect(() => brakePolicy(wrong)).toThrow(expect.objectContaining({ code: 'option_invalid' }));
  });
});

describe('tripsAtOnce', () => {
  test.each([
    [{}, false],
    [{ share: 0.004 }, true],
    [{ share: 0.005 }, false],
    [{ minLogins: 19 }, true],
    [{ minLogins: 20 }, false],
    [{ share: 1, minLogins: 1 }, false],
  ])('%p: %p', (given, isTripping) => {
    const policy = brakePolicy(given);
    expect(tripsAtOnce(policy)).toBe(isTripping);
    // Then, and only then, the first user of a quiet window trips it.
    const one = { logins: 1, revokes: 1 };
    expect(judgeBrake(one, one, policy) === 'share').toBe(isTripping);
  });
});
