import { describe, expect, test } from '@jest/globals';
import { hasSettled, holdsTheSame, judgeMoved, leftOut, TAIL_MS } from '../../src/domain/grace.ts';

const T = 1_700_000_000_000;
const MINUTE = 60_000;

/** [what, successor first used at, now, has the successor moved on, verdict] */
const TABLE: [string, number, number, boolean, string][] = [
  ['never used: at once', 0, T, false, 'forward'],
  ['never used: after ten minutes, the answer was lost', 0, T + 10 * MINUTE, false, 'forward'],
  ['never used, but moved on by a forwarded request: two answers were lost', 0, T, true, 'forward'],
  ['used just now', T, T, false, 'serve'],
  ['used on a host whose clock runs ahead', T + 500, T, false, 'serve'],
  ['the last moment of the tail', T, T + TAIL_MS, false, 'serve'],
  ['the first moment after it', T, T + TAIL_MS + 1, false, 'reused'],
  ['31 s after the first use', T, T + 31_000, false, 'reused'],
  ['two generations old, at once', T, T, true, 'reused'],
  ['two generations old, after the tail', T, T + MINUTE, true, 'reused'],
];

describe('what becomes of an id its session has moved on from', () => {
  test.each(TABLE)('%s', (_what, usedAtMs, nowMs, moved, verdict) => {
    expect(judgeMoved(usedAtMs, nowMs, moved)).toBe(verdict);
  });

  test('the tail is 30 seconds', () => {
    expect(TAIL_MS).toBe(30_000);
  });
});

describe('when the store may give a new id', () => {
  test.each([
    ['an id that never moved', 0, true],
    ['just now', T, false],
    ['in its predecessor’s tail', T - TAIL_MS, false],
    ['after it', T - TAIL_MS - 1, true],
  ])('%s', (_what, firstUsedAtMs, verdict) => {
    expect(hasSettled(firstUsedAtMs, T)).toBe(verdict);
  });
});

/** [what, before, after, is it the same] */
const KEPT: [string, Record<string, unknown>, Record<string, unknown>, boolean][] = [
  ['the same', { userId: 'a', visits: 1 }, { userId: 'a', visits: 1 }, true],
  ['in another order', { userId: 'a', visits: 1 }, { visits: 1, userId: 'a' }, true],
  ['something is added, which may be a right', { userId: 'a' }, { userId: 'a', mfa: true }, false],
  ['an undefined one is nothing', { userId: 'a' }, { userId: 'a', basket: undefined }, true],
  ['another user', { userId: 'a' }, { userId: 'b' }, false],
  ['another user, deep inside', { passport: { user: 'a' } }, { passport: { user: 'b' } }, false],
  ['something is gone', { userId: 'a', visits: 1 }, { userId: 'a' }, false],
  ['all is gone', { userId: 'a' }, {}, false],
  ['there was nothing: nothing tells whose it was', {}, { userId: 'b' }, false],
  ['there was only what middlewares write', { cookie: {}, _expire: 1, _maxAge: 2 }, { userId: 'b' }, false],
  ['only that differs', { cookie: { a: 1 }, _expire: 1, userId: 'a' }, { cookie: {}, _expire: 2, userId: 'a' }, true],
];

describe('does a session hold under its new id just what it held before', () => {
  test.each(KEPT)('%s', (_what, before, after, kept) => {
    expect(holdsTheSame(before, after)).toBe(kept);
  });
});

test.each<[string, object, object, 'all' | 'user' | null]>([
  ['nothing is left', { userId: 'a', cookie: {} }, { cookie: {} }, 'all'],
  ["nothing but the middleware's own", { userId: 'a' }, { cookie: {}, _expire: 1, _maxAge: 2 }, 'all'],
  ['nothing was there', { cookie: {} }, { cookie: {} }, null],
  ['something is left', { userId: 'a', visits: 1 }, { visits: 1 }, null],
  ['a message alone: nobody can tell', { userId: 'a' }, { flash: 'bye' }, null],
  ["Passport's user has gone", { passport: { user: 1 }, cart: [1] }, { passport: {}, cart: [1] }, 'user'],
  ["Passport's place has gone", { passport: { user: 'a' } }, { flash: 'bye' }, 'user'],
  ["@fastify/passport's user has gone", { passport: 'a' }, { flash: 'bye' }, 'user'],
  ['Passport had none', { passport: {}, userId: 'a' }, { flash: 'bye' }, null],
  ['Passport has another user', { passport: { user: 'a' } }, { passport: { user: 'b' } }, null],
  ['Passport has the same user', { passport: { user: 0 } }, { passport: { user: 0 }, more: true }, null],
])('a first save under a new id leaves the login behind: %s', (_name, before, after, left) => {
  expect(leftOut(before as Record<string, unknown>, after as Record<string, unknown>)).toBe(left);
});
