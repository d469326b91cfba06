/** The state machine of an incident's answers, as a table: state x answer -> what follows, or why it is refused. */
import { describe, expect, test } from '@jest/globals';
import {
  type AnswerEffect,
  type AnswerWish,
  afterUndo,
  type IncidentRecord,
  type IncidentStatus,
  isAlike,
  judgeAnswer,
} from '../../src/domain/incident.ts';
import type { Located, Unlocatable } from '../../src/domain/types.ts';

const EMPTY = { places: [], networks: [] };
const HERE: Located = {
  kind: 'located',
  address: '90.0.15.20',
  family: 4,
  network: '90.0.15.0/24',
  candidates: ['FR'],
  agreed: true,
  evidence: [],
};
const SOMEWHERE: Unlocatable = { kind: 'unlocatable', why: 'no_data', address: '8.8.8.8', evidence: [] };
const NOWHERE: Unlocatable = { kind: 'unlocatable', why: 'no_address', address: null, evidence: [] };

function incident(overrides: Partial<IncidentRecord> = {}): IncidentRecord {
  return {
    id: 'AAAA-BBBB-0001',
    lid: 'L'.repeat(22),
    handle: 'h'.repeat(43),
    userId: 'alice',
    action: 'revoke',
    reason: 'country_changed',
    mode: 'enforce',
    outcome: 'revoked',
    baseline: { v4: EMPTY, v6: EMPTY },
    sighting: HERE,
    loginAtMs: 1,
    queuedAtMs: 2,
    decidedAtMs: 3,
    status: 'open',
    visitCount: 0,
    visits: [],
    ...overrides,
  };
}

const wish = (disposition: AnswerWish['disposition'], more: Partial<AnswerWish> = {}): AnswerWish => ({
  disposition,
  by: 'ann',
  giveBack: true,
  blockAddress: false,
  atMs: 100_000,
  ...more,
});

describe('an open incident', () => {
  const flag = { action: 'flag', reason: 'country_disputed', outcome: 'none' } as const;
  const reuse = { reason: 'session_reused', sighting: HERE } as const;
  const TABLE: [string, Partial<IncidentRecord>, AnswerWish, AnswerEffect[]][] = [
    ['revoked, safe', {}, wish('safe'), ['teach', 'close_alike', 'give_back']],
    ['revoked, safe, not given back', {}, wish('safe', { giveBack: false }), ['teach', 'close_alike']],
    ['flagged, safe', flag, wish('safe'), ['teach', 'close_alike']],
    ['observed, safe', { mode: 'observe', outcome: 'observed' }, wish('safe'), ['teach', 'close_alike']],
    ['of an anonymous network, safe', { ...flag, reason: 'anonymous_network' }, wish('safe'), ['teach']],
    ['without a country, safe', { ...flag, sighting: SOMEWHERE }, wish('safe'), ['close_alike']],
    ['reused, safe', reuse, wish('safe'), ['give_back']],
    ['revoked, confirmed', {}, wish('confirmed'), ['end_login', 'end_others']],
    ['flagged, confirmed: it ends now', flag, wish('confirmed'), ['end_login', 'end_others']],
    [
      'observed, confirmed, blocked',
      { mode: 'observe', outcome: 'observed' },
      wish('confirmed', { blockAddress: true }),
      ['end_login', 'end_others', 'block_address'],
    ],
    ['without an address, confirmed', { sighting: NOWHERE }, wish('confirmed'), ['end_login']],
    ['revoked, dismissed', {}, wish('dismissed'), []],
    ['flagged, dismissed', flag, wish('dismissed'), []],
  ];

  test.each(TABLE)('%s', (_, overrides, wanted, effects) => {
    expect(judgeAnswer(incident(overrides), wanted)).toEqual({ kind: 'answer', effects });
  });

  test.each([
    ['an address is blocked with confirmed only', {}, wish('safe', { blockAddress: true }), 'only_confirmed_blocks'],
    ['nor with dismissed', {}, wish('dismissed', { blockAddress: true }), 'only_confirmed_blocks'],
    ['none that nobody knows', { sighting: NOWHERE }, wish('confirmed', { blockAddress: true }), 'no_address'],
  ])('%s', (_, overrides, wanted, why) => {
    expect(judgeAnswer(incident(overrides), wanted)).toEqual({ kind: 'refused', why });
  });
});

describe('an answered incident', () => {
  const ANSWERS = ['confirmed', 'safe', 'dismissed'] as const;
  const all = ANSWERS.flatMap((status) => ANSWERS.flatMap((as) => ['ann', 'bob'].map((by) => ({ status, as, by }))));

  test.each(all)('$status by ann, then $as by $by', ({ status, as, by }) => {
    const verdict = judgeAnswer(incident({ status, resolvedBy: 'ann' }), wish(as, { by }));
    const expected = status === as && by === 'ann' ? 'complete' : 'refused';
    expect(verdict.kind).toBe(expected);
    if (verdict.kind === 'refused') expect(verdict.why).toBe('closed');
  });

  test.each(all)('$status by ann and left half done, then $as by $by', ({ status, as, by }) => {
    const left = incident({ status, resolvedBy: 'ann', resolvedAtMs: 70_000, pending: {} });
    const isSame = status === as;
    expect(judgeAnswer(left, wish(as, { by })).kind).toBe(isSame ? 'complete' : 'refused');
    // So soon after it was given, whoever gave it is at it.
    const early = judgeAnswer(left, wish(as, { by, atMs: 99_999 }));
    expect(early.kind).toBe(isSame && by === 'ann' ? 'complete' : 'refused');
  });

  test.each(ANSWERS)('what the registry worker closed is open to a person: %s', (as) => {
    const closed = incident({ status: 'dismissed', resolvedBy: 'registry' });
    expect(judgeAnswer(closed, wish(as)).kind).toBe('answer');
  });

  test('of a flag that the user confirmed and a person calls safe the session is given back', () => {
    const flag = { action: 'flag', reason: 'country_disputed', outcome: 'none' } as const;
    const overruled = incident({ ...flag, status: 'safe', resolvedBy: 'ann', overruled: 'confirmed' });
    expect(judgeAnswer(overruled, wish('safe'))).toEqual({
      kind: 'complete',
      effects: ['teach', 'close_alike', 'give_back'],
    });
  });

  test.each<[IncidentStatus, string]>([
    ['open', 'keep'],
    ['safe', 'keep'],
    ['dismissed', 'keep'],
    ['confirmed', 'reopen'],
  ])('undo of one that is %s: %s', (status, what) => {
    expect(afterUndo(status)).toBe(what);
  });
});

describe('alike', () => {
  const other = (overrides: Partial<IncidentRecord> = {}) => incident({ id: 'AAAA-BBBB-0002', ...overrides });
  const seen = (...candidates: string[]): Located => ({ ...HERE, candidates, network: '90.1.1.0/24' });

  test.each<[string, Partial<IncidentRecord>, Partial<IncidentRecord>, boolean]>([
    ['the same country from another network', {}, { sighting: seen('FR') }, true],
    ['a flag of the same country', {}, { action: 'flag', reason: 'country_disputed' }, true],
    ['one country of the two that were named', { sighting: seen('BE', 'FR') }, { sighting: seen('FR') }, true],
    ['a country more than was named', {}, { sighting: seen('BE', 'FR') }, false],
    ['another country', {}, { sighting: seen('BR') }, false],
    ['another user', {}, { userId: 'bob' }, false],
    ['one that is answered', {}, { status: 'confirmed' }, false],
    ['a reuse', {}, { reason: 'session_reused' }, false],
    ['of a reuse nothing is', { reason: 'session_reused' }, {}, false],
    ['one that has no country', {}, { sighting: SOMEWHERE }, false],
    ['itself', {}, { id: 'AAAA-BBBB-0001' }, false],
  ])('%s', (_, first, second, alike) => {
    expect(isAlike(incident(first), other(second))).toBe(alike);
  });
});
