/** How a user's baseline is spelled in Redis: what is written is what is read, byte for byte where nothing changed. */
import { describe, expect, test } from '@jest/globals';
import { learn } from '../../src/domain/decide.ts';
import { DEFAULT_POLICY } from '../../src/domain/policy.ts';
import type { Baseline, Located } from '../../src/domain/types.ts';
import { decodeBaseline, encodeBaseline, NOTHING_STORED, revisionOf } from '../../src/redis/baseline-text.ts';

const NOW_MS = 1_780_000_000_000;
const empty = NOTHING_STORED.baseline;

const seen = (network: string, candidates: readonly string[], agreed = true): Located => ({
  kind: 'located',
  address: '192.0.2.1',
  family: network.includes(':') ? 6 : 4,
  network,
  candidates,
  agreed,
  evidence: [],
});

function taught(...sightings: readonly Located[]): Baseline {
  return sightings.reduce((known, one, i) => learn(known, one, NOW_MS + i * 7_200_000, DEFAULT_POLICY), empty);
}

const BOTH = taught(
  seen('81.2.69.0/24', ['GB']),
  seen('2a02:2f0::/48', ['BE', 'GB'], false),
  seen('81.2.70.0/24', ['GB']),
  seen('81.2.69.0/24', ['GB']),
  seen('198.51.100.0/24', ['US']),
);

const PLAIN = `{"r":7,"4":[["GB",1,${NOW_MS},${NOW_MS + 5}],["81.2.69.0/24",${NOW_MS},${NOW_MS + 5}]],"6":[[],[]]}`;

describe('the text of a baseline', () => {
  test.each([
    ['nothing', empty],
    ['one family', taught(seen('81.2.69.0/24', ['GB']))],
    ['the other', taught(seen('2a02:2f0::/48', ['BE', 'GB'], false))],
    ['both, with several places and networks', BOTH],
  ])('%s comes back as it was written, under the next revision', (_, baseline) => {
    const text = encodeBaseline({ baseline, revision: 6 });
    expect(decodeBaseline(text)).toEqual({ baseline, revision: 7 });
    expect(JSON.parse(text)).toMatchObject({ r: 7 });
    expect(encodeBaseline({ ...decodeBaseline(text), revision: 6 })).toBe(text);
  });

  test('what is learned on top of what was read is spelled as if it had never been read', () => {
    const { baseline } = decodeBaseline(encodeBaseline({ baseline: BOTH, revision: 0 }));
    const later = seen('81.2.70.0/24', ['GB']);
    const next = (known: Baseline) => learn(known, later, NOW_MS + 90_000_000, DEFAULT_POLICY);
    expect(next(baseline)).not.toBe(baseline);
    expect(encodeBaseline({ baseline: next(baseline), revision: 1 })).toBe(
      encodeBaseline({ baseline: next(BOTH), revision: 1 }),
    );
  });

  test('nothing of how it was spelled shows on an incident', () => {
    const { baseline } = decodeBaseline(encodeBaseline({ baseline: BOTH, revision: 0 }));
    expect(JSON.parse(JSON.stringify(baseline))).toEqual(JSON.parse(JSON.stringify(BOTH)));
    expect(Object.keys({ ...baseline.v4.networks[0] })).toEqual(['network', 'firstSeenMs', 'lastSeenMs']);
  });

  test.each([
    ['with blanks', JSON.stringify(JSON.parse(PLAIN), null, 1)],
    ['with an escape', PLAIN.replace('81.2.69.0', '81.2.69\\u002e0')],
    ['with broken times', PLAIN.replaceAll(String(NOW_MS + 5), `${NOW_MS + 5}.0`)],
    ['with more at its end', PLAIN.replace(/\}$/, ',"later":1}')],
  ])('JSON of the same parts is read however it is spelled: %s', (_, text) => {
    expect(decodeBaseline(text)).toEqual(decodeBaseline(PLAIN));
  });

  test.each(['', 'x', '{"r":7}', '{"r":7,"4":[[],[]]}', PLAIN.slice(0, -1), PLAIN.slice(0, -40), `${PLAIN}x`])(
    'throws at %j',
    (text) => {
      expect(() => decodeBaseline(text)).toThrow();
    },
  );

  test('the revision is found where the rest cannot be read', () => {
    expect(['{"r":41,"4":oops', 'oops', ''].map(revisionOf)).toEqual([41, 0, 0]);
  });
});
