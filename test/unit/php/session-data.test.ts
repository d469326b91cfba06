/** PHP's own format, against real PHP where it is installed, and against its recorded output everywhere. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { MAX_VALUES } from '../../../src/php/serialized.ts';
import {
  MAX_SESSION_BYTES,
  type Nulled,
  readSession,
  roundTrip,
  type SessionFormat,
  setToNull,
} from '../../../src/php/session-data.ts';
import { spawnNode } from '../../support/index.ts';
import { findPhp, runPhp } from '../../support/php-cli.ts';
import { cpuMs } from '../../support/stopwatch.ts';

interface Case {
  readonly format: SessionFormat;
  readonly field: string;
  readonly data: Buffer;
  /** As PHP wrote it after it had set the field to NULL. */
  readonly nulled: Buffer;
}

type Recorded = Readonly<Record<'format' | 'field' | 'data' | 'nulled', string>>;

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');
const caseOf = ({ format, field, data, nulled }: Recorded): Case => ({
  format: format as SessionFormat,
  field,
  data: Buffer.from(data, 'base64'),
  nulled: Buffer.from(nulled, 'base64'),
});
const recorded = (
  JSON.parse(readFileSync(new URL('../../fixtures/php-sessions.json', import.meta.url), 'utf8')) as Recorded[]
).map(caseOf);

function nulledBy({ data, format, field }: Case): Buffer {
  const result = setToNull(data, format, field);
  if (result.kind === 'nulled') return result.data;
  expect(result.kind).toBe('null_already');
  return data;
}

const unlike = (cases: readonly Case[]) => ({
  roundTrip: cases.filter(({ data, format }) => !roundTrip(data, format).equals(data)),
  nulled: cases.filter((one) => !nulledBy(one).equals(one.nulled)),
});

describe('sessions that PHP wrote', () => {
  test('recorded ones are written back byte for byte, and with a NULL as PHP does it', () => {
    expect(recorded.length).toBeGreaterThan(50);
    expect(recorded.filter(({ data }) => /[Rr]:\d+;/.test(data.toString('latin1'))).length).toBeGreaterThan(30);
    expect(unlike(recorded)).toEqual({ roundTrip: [], nulled: [] });
  });

  const php = findPhp();
  if (php === null) {
    test('random ones: not tried, as there is no PHP here (php-cli)', () => {
      expect(php).toBeNull();
    });
  } else {
    test.each(['php', 'php_serialize'] as const)('1,500 random ones of this PHP, %s', (format) => {
      const seed = 1 + Math.floor(Math.random() * 1e9);
      const lines = runPhp('sessions.php', ['generate', String(seed), '1500', format])
        .trim()
        .split('\n');
      const cases = lines.map((line) => caseOf({ ...JSON.parse(line), format }));
      expect({ seed, ...unlike(cases), count: cases.length }).toMatchObject({ seed, roundTrip: [], count: 1500 });
      // Not always the same bytes (see `Cell.isReference`), but what PHP reads from them.
      const pairs = cases.map((one) =>
        JSON.stringify([nulledBy(one).toString('base64'), one.nulled.toString('base64')]),
      );
      const same = runPhp('sessions.php', ['same', format], pairs.join('\n')).trim().split('\n');
      expect({ seed, same: same.filter((answer) => answer === 'true').length }).toEqual({ seed, same: 1500 });
      expect(unlike(cases).nulled.length).toBeLessThan(15);
    });
  }
});

describe('setting a variable to NULL', () => {
  const nulled = (text: string): Nulled => ({ kind: 'nulled', data: bytes(text) });

  test.each<[string, string, SessionFormat, Nulled]>([
    ['a string', 'a|i:1;username|s:3:"bob";b|b:0;', 'php', nulled('a|i:1;username|N;b|b:0;')],
    ['a string that looks like the end', 'username|s:9:"x";n|i:1;";b|b:0;', 'php', nulled('username|N;b|b:0;')],
    ['a reference of it', 'username|s:3:"bob";b|R:1;', 'php', nulled('username|N;b|R:1;')],
    ['an object that stands elsewhere, too', 'username|O:1:"U":0:{}b|r:1;', 'php', nulled('username|N;b|O:1:"U":0:{}')],
    [
      'numbers move up',
      'username|a:2:{i:0;i:1;i:1;i:2;}b|O:1:"U":0:{}c|r:4;',
      'php',
      nulled('username|N;b|O:1:"U":0:{}c|r:2;'),
    ],
    ['NULL before', 'username|N;', 'php', { kind: 'null_already' }],
    ['none of that name', 'user|s:3:"bob";', 'php', { kind: 'missing' }],
    ['nothing at all', '', 'php', { kind: 'missing' }],
    [
      'one array',
      'a:2:{s:8:"username";s:3:"bob";i:7;s:8:"username";}',
      'php_serialize',
      nulled('a:2:{s:8:"username";N;i:7;s:8:"username";}'),
    ],
    ['not a variable, but a value within one', 'a|a:1:{s:8:"username";s:3:"bob";}', 'php', { kind: 'missing' }],
  ])('%s', (_, text, format, result) => {
    expect(setToNull(bytes(text), format, 'username')).toEqual(result);
  });

  test('a name of more than ASCII', () => {
    const data = Buffer.from('prénom|s:3:"bob";');
    expect(setToNull(data, 'php', 'prénom')).toEqual({ kind: 'nulled', data: Buffer.from('prénom|N;') });
  });

  test('the text of a variable', () => {
    const session = readSession(Buffer.from('a|s:3:"né";b|i:1;c|N;'), 'php');
    if (typeof session === 'string') throw new Error(session);
    expect(['a', 'b', 'c', 'd'].map((name) => session.stringIn(name))).toEqual(['né', null, null, null]);
  });
});

const deep = (levels: number) => `a|${'a:1:{i:0;'.repeat(levels)}N;${'}'.repeat(levels)}`;
const big = MAX_SESSION_BYTES;

describe('what PHP would not have written', () => {
  test.each([
    ['a length beyond the end', 'a|s:9999999999:"x";'],
    ['a length that is too short', 'a|s:2:"abc";'],
    ['a count that is too large', 'a|a:4000000000:{i:0;N;}'],
    ['a count that is too small', 'a|a:1:{i:0;N;i:1;N;}'],
    ['a negative length', 'a|s:-1:"";'],
    ['a number without end', `a|i:${'9'.repeat(big - 10)}`],
    ['an array that holds itself by r:', 'a|a:1:{i:0;r:1;}'],
    ['a reference to what comes later', 'a|R:2;b|N;'],
    ['a reference to nothing', 'a|R:0;'],
    ['a reference to a key', 'a|a:1:{s:1:"x";R:3;}'],
    ['a variable twice', 'username|s:1:"a";username|s:1:"b";'],
    ["a class's own format", 'a|C:1:"X":2:{ab}'],
    ['an array as a key', 'a|a:1:{a:0:{}N;}'],
    ['a name without a value', 'a|'],
    ['another handler', 'a:1:{s:8:"username";N;}'],
    ['100,000 levels', deep(100_000)],
    ['100,000 open ones', `a|${'a:1:{i:0;'.repeat(100_000)}`],
    ['too many values', `a|a:${MAX_VALUES}:{${'i:0;N;'.repeat(MAX_VALUES)}}`],
    ['too many variables', Array.from({ length: MAX_VALUES + 1 }, (_, i) => `${i}|N;`).join('')],
    ['4 MiB without a |', 'x'.repeat(big)],
    ['4 MiB of |', '|'.repeat(big)],
    ['4 MiB of opening quotes', `a|${'s:1:"'.repeat(big / 5 - 1)}`],
  ])('%s is refused', (_, text) => {
    expect(setToNull(bytes(text), 'php', 'username')).toEqual({ kind: 'unreadable', why: 'unreadable' });
  });

  test.each([
    ['10 MB', Buffer.alloc(10_000_000, 'a|N;'), 'too_large'],
    ['igbinary', Buffer.from('00000002140111', 'hex'), 'igbinary'],
    ['zstd', Buffer.from('28b52ffd2001', 'hex'), 'compressed'],
  ])('%s is named for what it is', (_, data, why) => {
    expect(setToNull(data, 'php', 'username')).toEqual({ kind: 'unreadable', why });
  });

  test('as deep as PHP reads is read', () => {
    const data = bytes(`${deep(1000)}username|i:1;`);
    expect(setToNull(data, 'php', 'username')).toEqual({ kind: 'nulled', data: bytes(`${deep(1000)}username|N;`) });
    expect(roundTrip(data, 'php').equals(data)).toBe(true);
  });

  test('objects that hold each other, and very many references, are written in their own length', () => {
    const ring = 'a|O:1:"A":1:{s:1:"b";O:1:"B":1:{s:1:"a";r:1;}}';
    const many = `b|a:50000:{i:0;N;${Array.from({ length: 49_999 }, (_, i) => `i:${i + 1};R:4;`).join('')}}`;
    const text = `${ring}${many}username|i:1;`;
    const result = setToNull(bytes(text), 'php', 'username');
    if (result.kind !== 'nulled') throw new Error(result.kind);
    expect(result.data.equals(bytes(text.replace('username|i:1;', 'username|N;')))).toBe(true);
  });

  test('what would be too deep to write, when the variable is gone that held its parts, is unreadable', () => {
    // Each object is a thousand arrays deep and ends in a reference to the one before it: written from outside they are one in another.
    const [chain, depth] = [12, 1000];
    let [next, objects] = [2, ''];
    for (let i = 0; i < chain; i++) {
      const inmost = i === 0 ? 'N;' : `r:${next - (depth + 2)};`;
      objects += `i:${i};O:1:"A":1:{s:1:"n";${'a:1:{i:0;'.repeat(depth)}${inmost}${'}'.repeat(depth)}}`;
      next += depth + 2;
    }
    const held = `username|a:${chain}:{${objects}}`;
    expect(roundTrip(bytes(held), 'php').equals(bytes(held))).toBe(true);
    const data = bytes(`${held}keep|r:${next - (depth + 2)};`);
    expect(setToNull(data, 'php', 'username')).toEqual({ kind: 'unreadable', why: 'unreadable' });
  });

  test('none of it takes more memory than a small process has', async () => {
    const child = spawnNode('test/support/php-hostile.js', [], {}, { nodeArgs: ['--max-old-space-size=64'] });
    expect(await child.exited).toEqual({ code: 0, signal: null });
    expect(child.stdout.trim().split('\n')).toEqual([
      'as many values as are read: nulled',
      'one more than are read: unreadable',
      'references to one array: nulled',
      'the same object again and again: nulled',
      'arrays in arrays: unreadable',
      'a length that lies: unreadable',
      'a count that lies: unreadable',
      'names without values: unreadable',
      'one long string: nulled',
    ]);
  });

  test('work grows with the length, not with its square', () => {
    const work = (count: number): number => {
      const data = bytes(`${Array.from({ length: count }, (_, i) => `k${i}|s:1:"|";`).join('')}username|i:1;`);
      let best = Number.POSITIVE_INFINITY;
      for (let round = 0; round < 5; round++) {
        const from = process.cpuUsage();
        expect(setToNull(data, 'php', 'username').kind).toBe('nulled');
        best = Math.min(best, cpuMs(from));
      }
      return best;
    };
    work(5000);
    // Sixteen times as much: a square would be 256 times.
    expect(work(80_000) / work(5000)).toBeLessThan(100);
  });
});
