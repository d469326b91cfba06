/** The session id of a PHP site on its way through the queue. */
import { randomBytes } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { BouncerError } from '../../../src/errors.ts';
import { sealsOf } from '../../../src/php/seal.ts';
import { sealedIdSchema } from '../../../src/queue/job.ts';
import { findPhp, runPhp } from '../../support/php-cli.ts';

const LID = 'aaaabbbbccccddddEEEEFFFFGGGGHHHHIIIIJJ';
const ID = '0e2kehkk3c2oebarm3bvhctgc0';
const newKey = () => randomBytes(32).toString('base64');
const [k1, k2] = [newKey(), newKey()];

describe('a sealed session id', () => {
  test('opens with its key, for its login only, and fits into a job', () => {
    const seals = sealsOf({ k1 });
    for (const id of [ID, 'a'.repeat(16), ',-'.repeat(128)]) {
      const sealed = seals.seal(id, LID);
      expect(sealed).not.toContain(id);
      expect(sealedIdSchema.safeParse(sealed).success).toBe(true);
      expect(seals.open(sealed, LID)).toEqual({ id });
      expect(seals.open(sealed, LID.replace('J', 'K'))).toEqual({ why: 'not_opened' });
    }
  });

  test('is never the same twice', () => {
    const seals = sealsOf({ k1 });
    expect(new Set(Array.from({ length: 100 }, () => seals.seal(ID, LID))).size).toBe(100);
  });

  test('keys change over: the first one seals, all open; one that is gone is named', () => {
    const before = sealsOf({ k1 }).seal(ID, LID);
    const during = sealsOf({ k2, k1 });
    expect(during.seal(ID, LID)).toMatch(/^v1\.k2\./);
    expect(during.open(before, LID)).toEqual({ id: ID });
    expect(sealsOf({ k2 }).open(before, LID)).toEqual({ why: 'unknown_key' });
    expect(sealsOf({ k1: k2 }).open(before, LID)).toEqual({ why: 'not_opened' });
  });

  test('each letter of it counts', () => {
    const seals = sealsOf({ k1 });
    const sealed = seals.seal(ID, LID);
    const changed = [...sealed].map(
      (letter, i) => sealed.slice(0, i) + (letter === 'A' ? 'B' : 'A') + sealed.slice(i + 1),
    );
    // The last letter of base64 carries bits that do not count.
    expect(changed.slice(0, -1).filter((one) => 'id' in seals.open(one, LID))).toEqual([]);
  });

  test.each([
    '',
    'v1',
    'v2.k1.x.y',
    `v1.k1.${'A'.repeat(16)}.`,
    `v1.k1.${'A'.repeat(16)}.${'A'.repeat(22)}`,
    'v1.k1..',
  ])('"%s" does not open', (text) => {
    expect(sealsOf({ k1 }).open(text, LID)).toEqual({ why: 'not_opened' });
  });

  test.each(['deleted', '', '../../etc/passwd', `${ID}_LOCK`, 'a b'.repeat(6), 'x'.repeat(257)])(
    'the id "%s" is none, whoever sealed it',
    (id) => {
      const seals = sealsOf({ k1 });
      expect(seals.open(seals.seal(id, LID), LID)).toEqual({ why: 'not_opened' });
    },
  );

  test.each([{}, { k1: '' }, { k1: 'too short' }, { k1: randomBytes(33).toString('base64') }, { 'a b': k1 }])(
    'keys %j are refused',
    (keys) => {
      expect(() => sealsOf(keys as Record<string, string>)).toThrow(BouncerError);
    },
  );

  const php = findPhp();
  if (php === null) {
    test('PHP seals the same: not tried, as there is no PHP here (php-cli)', () => {
      expect(php).toBeNull();
    });
  } else {
    test('PHP seals the same', () => {
      const sealed = runPhp('seal.php', [ID, LID, 'k1', k1]);
      expect(sealedIdSchema.safeParse(sealed).success).toBe(true);
      expect(sealsOf({ k2, k1 }).open(sealed, LID)).toEqual({ id: ID });
    });
  }
});
