/**
 * Every Lua script says in its header what it takes and what it keeps, and the header is true.
 *
 *   src/redis/scripts/<name>-<number of keys>.lua        (`-n`: as many keys as the call has)
 *
 *   --[[
 *     One sentence: what it does. Invariant: what it keeps, whatever happens around it.
 *
 *     KEYS[1]  meaning                    one line each, two blanks before the meaning; more lines are indented
 *     KEYS[1..]  meaning                  (only in a `-n` script) all keys from here on
 *     ARGV[1]  meaning
 *     ARGV[2..]  meaning of the rest      read in a loop, or by a computed index
 *
 *     Output: what it returns
 *   ]]
 *
 * Checked: the sections and their order; the number of keys against the file's name; every KEYS[n] and ARGV[n] that the
 * body reads is documented, and every documented one is read; a script takes its keys from KEYS and never builds one
 * (on a Cluster it would not know the slot). One that says "Only for a single server" may add what it has read to a key's
 * beginning that KEYS gives it: so keys are spelled in `keys.ts` there too.
 */
import { describe, expect, test } from '@jest/globals';
import { files, read } from './source.ts';

const HEADER = /^--\[\[\n([\s\S]*?)\n\]\]\n/;
const SECTIONS = /^ {2}[A-Z][\s\S]*?\n\n((?: {2}(?:KEYS|ARGV)\[[\s\S]*?\n)+)\n {2}Output: \S/;
const ENTRY = /^ {2}(KEYS|ARGV)\[(\d+)(\.\.)?\] {2}\S/;

interface Documented {
  readonly numbers: number[];
  /** The first number of `[n..]`, or null. */
  readonly rest: number | null;
}

interface Used {
  readonly numbers: Set<number>;
  /** Read by an index that only the run knows: `ARGV[2 * i]`, `ipairs(ARGV)`, `#ARGV`, `unpack(ARGV)`. */
  readonly computed: boolean;
}

function problemsOf(file: string, text: string): string[] {
  const header = HEADER.exec(text)?.[1];
  if (header === undefined) return ['has no header: --[[ ... ]] must come first'];
  const body = withoutComments(text.replace(HEADER, ''));
  return [
    ...formProblems(header),
    ...keyProblems(file, header),
    ...listProblems('KEYS', header, body),
    ...listProblems('ARGV', header, body),
    ...builtKeys(body),
    ...(/\bOnly for a single server\b/.test(header) ? [] : lengthenedKeys(body)),
  ];
}

function formProblems(header: string): string[] {
  const problems: string[] = [];
  if (!/\bInvariant: \S/.test(header.split('\n\n')[0] ?? ''))
    problems.push('names no invariant in its first paragraph');
  if (!SECTIONS.test(`${header}\n`)) problems.push('lacks the order: sentence, KEYS and ARGV lines, Output');
  for (const line of header.split('\n')) {
    if (/^ {2}(KEYS|ARGV)\b/.test(line) && !ENTRY.test(line)) problems.push(`cannot be read here: "${line.trim()}"`);
  }
  const names = header
    .split('\n')
    .map((line) => ENTRY.exec(line)?.[1])
    .filter((name) => name !== undefined);
  if (names.join() !== [...names].sort().reverse().join()) problems.push('documents an ARGV before a KEYS');
  return problems;
}

function keyProblems(file: string, header: string): string[] {
  const count = /-(\d+|n)\.lua$/.exec(file)?.[1];
  if (count === undefined) return ['is not named <name>-<number of keys>.lua'];
  const { numbers, rest } = documented('KEYS', header);
  if (count === 'n') return rest === null ? ['takes n keys, but documents no KEYS[n..]'] : [];
  if (rest !== null) return ['documents KEYS[n..], but its name has a number'];
  return numbers.length === Number(count) ? [] : [`is named for ${count} keys and documents ${numbers.length}`];
}

function documented(list: 'KEYS' | 'ARGV', header: string): Documented {
  const entries = header.split('\n').flatMap((line) => ENTRY.exec(line) ?? []);
  const numbers: number[] = [];
  let rest: number | null = null;
  for (let i = 0; i < entries.length; i += 4) {
    if (entries[i + 1] !== list) continue;
    if (entries[i + 3] === '..') rest = Number(entries[i + 2]);
    else numbers.push(Number(entries[i + 2]));
  }
  return { numbers, rest };
}

function listProblems(list: 'KEYS' | 'ARGV', header: string, body: string): string[] {
  const { numbers, rest } = documented(list, header);
  const used = usedIn(list, body);
  const isCovered = (n: number) => numbers.includes(n) || (rest !== null && n >= rest);
  const problems = [...used.numbers]
    .filter((n) => !isCovered(n))
    .map((n) => `reads ${list}[${n}], which is not documented`);
  const unread = numbers.filter((n) => !used.numbers.has(n) && !used.computed);
  problems.push(...unread.map((n) => `documents ${list}[${n}], which is never read`));
  const inOrder = numbers.every((n, i) => n === i + 1) && (rest === null || rest === numbers.length + 1);
  if (!inOrder) problems.push(`documents ${list} out of order or with gaps`);
  if (used.computed && rest === null) problems.push(`reads ${list} by a computed index, but documents no ${list}[n..]`);
  const restRead = used.computed || [...used.numbers].some((n) => rest !== null && n >= rest);
  if (rest !== null && !restRead) problems.push(`documents ${list}[${rest}..], which is never read`);
  return problems;
}

function usedIn(list: 'KEYS' | 'ARGV', body: string): Used {
  const numbers = new Set<number>();
  let computed = false;
  for (const [, after = ''] of body.matchAll(new RegExp(`\\b${list}\\b\\s*(\\[[^\\]]*\\])?`, 'g'))) {
    const index = after.slice(1, -1).trim();
    const loop = /^\w+$/.test(index) ? fixedLoop(index, body) : null;
    if (/^\d+$/.test(index)) numbers.add(Number(index));
    else if (loop !== null) for (const n of loop) numbers.add(n);
    else computed = true;
  }
  return { numbers, computed };
}

/** `for i = 2, 5 do` reads what a list of four numbers would. */
function fixedLoop(name: string, body: string): number[] | null {
  const bounds = new RegExp(`\\bfor\\s+${name}\\s*=\\s*(\\d+)\\s*,\\s*(\\d+)\\s+do\\b`).exec(body);
  if (bounds === null) return null;
  const from = Number(bounds[1]);
  return Array.from({ length: Number(bounds[2]) - from + 1 }, (_, i) => from + i);
}

/** The first argument after the command is a key: a name or KEYS[..], neither a string nor put together. */
function builtKeys(body: string): string[] {
  return [...body.matchAll(/redis\.p?call\(\s*(['"]\w+['"])\s*,\s*([^,)]*)/g)]
    .filter(([, , key = '']) => /['"]|\.\./.test(key))
    .map(([call]) => `builds a key instead of taking it from KEYS: ${call.slice(0, 60)}`);
}

function lengthenedKeys(body: string): string[] {
  return [...body.matchAll(/\bKEYS\[[^\]]*\]\s*\.\.[^\n]*/g)].map(
    ([what]) => `builds a key out of another one: ${what}`,
  );
}

function withoutComments(lua: string): string {
  return lua.replace(/--\[\[[\s\S]*?\]\]/g, '').replace(/--[^\n]*/g, '');
}

const scripts = files('src/redis/scripts', /\.lua$/);

const GOOD = `--[[
  Does it. Invariant: holds.

  KEYS[1]  a key
  ARGV[1]  one
  ARGV[2..]  the rest

  Output: 1
]]
for i = 2, #ARGV do redis.call('SADD', KEYS[1], ARGV[1], ARGV[i]) end
return 1
`;

describe('Lua scripts', () => {
  test('are there', () => {
    expect(scripts.length).toBeGreaterThan(0);
  });

  test.each(scripts)('%s agrees with its header', (file) => {
    expect(problemsOf(file, read(file))).toEqual([]);
  });

  test('names are unique without their number of keys', () => {
    const names = scripts.map((file) => file.replace(/-(\d+|n)\.lua$/, ''));
    expect(new Set(names).size).toBe(names.length);
  });
});

describe('this guard', () => {
  test('accepts a good script', () => {
    expect(problemsOf('x-1.lua', GOOD)).toEqual([]);
  });

  test.each([
    ['no header', 'x-1.lua', GOOD.replace(HEADER, ''), 'has no header'],
    ['no invariant', 'x-1.lua', GOOD.replace('Invariant: holds.', ''), 'names no invariant'],
    ['no output', 'x-1.lua', GOOD.replace('Output: 1', 'Returns 1'), 'lacks the order'],
    ['another key count', 'x-2.lua', GOOD, 'is named for 2 keys'],
    ['an undocumented argument', 'x-1.lua', GOOD.replace('  ARGV[2..]  the rest\n', ''), 'by a computed index'],
    [
      'an argument never read',
      'x-1.lua',
      GOOD.replace('ARGV[1], ARGV[i]', 'ARGV[i]').replace('#ARGV', '3').replace('for i = 2, 3', 'for i = 2, 3'),
      'documents ARGV[1], which is never read',
    ],
    ['a key it builds', 'x-1.lua', GOOD.replace("'SADD', KEYS[1]", "'SADD', 'a:' .. ARGV[1]"), 'builds a key'],
    [
      'a key made of another one',
      'x-1.lua',
      GOOD.replace("'SADD', KEYS[1]", "'SADD', key").replace('for i', "local key = KEYS[1] .. ':x'\nfor i"),
      'builds a key out of another',
    ],
    ['a gap', 'x-1.lua', GOOD.replace('ARGV[2..]', 'ARGV[3..]'), 'with gaps'],
  ])('sees %s', (_, file, text, problem) => {
    expect(problemsOf(file, text).join('\n')).toContain(problem);
  });
});
