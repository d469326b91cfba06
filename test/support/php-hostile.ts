/** Reads sessions made to eat memory, in a process that has little; prints what became of each. For tests. */
import { MAX_VALUES } from '../../src/php/serialized.ts';
import { MAX_SESSION_BYTES, setToNull } from '../../src/php/session-data.ts';

const MANY = MAX_VALUES - 10;
const FULL = MAX_SESSION_BYTES;

/** `array`: what is in one array. */
const array = (count: number, entries: string): string => `a|a:${count}:{${entries}}username|i:1;`;
const numbered = (count: number, value: string) => Array.from({ length: count }, (_, i) => `i:${i};${value}`).join('');

const SESSIONS: Readonly<Record<string, () => string>> = {
  'as many values as are read': () => array(MANY, numbered(MANY, 'a:0:{}')),
  'one more than are read': () => array(MAX_VALUES, numbered(MAX_VALUES, 'N;')),
  'references to one array': () =>
    array(MANY, `i:0;a:1:{i:0;N;}${numbered(MANY - 1, 'R:2;').replaceAll('i:0;R', 'i:-1;R')}`),
  'the same object again and again': () => array(MANY, `i:-1;O:1:"A":0:{}${numbered(MANY - 1, 'r:2;')}`),
  'arrays in arrays': () => `a|${'a:1:{i:0;'.repeat(FULL / 10)}`,
  'a length that lies': () => `a|s:9999999999:"${'x'.repeat(FULL - 30)}";`,
  'a count that lies': () => `a|a:9999999999:{${numbered(100_000, 'b:0;')}`,
  'names without values': () => 'a|'.repeat(FULL / 2),
  'one long string': () => `username|s:${FULL - 40}:"${'x'.repeat(FULL - 40)}";`,
};

for (const [name, make] of Object.entries(SESSIONS)) {
  const { kind } = setToNull(Buffer.from(make(), 'latin1'), 'php', 'username');
  process.stdout.write(`${name}: ${kind}\n`);
}
