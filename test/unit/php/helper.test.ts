/** The PHP helper as a file: short, without dependencies, and in the PHP of 7.4. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';

const text = readFileSync(new URL('../../../examples/php/session_bouncer.php', import.meta.url), 'utf8');
const code = text.replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '').replace(/'(?:\\.|[^'\\])*'/g, "''");

/** What PHP 7.4 does not know. */
const NEWER = {
  'nullsafe operator': /\?->/,
  match: /\bmatch\s*\(/,
  'enum, readonly': /\b(enum|readonly)\s+\w/,
  attribute: /#\[/,
  'catch without a variable': /catch\s*\([\w\\|\s]+\)/,
  'constructor promotion': /__construct\([^)]*\b(public|private|protected)\b/,
  'union type': /\w\|\w[\w|]*\s+\$|\):\s*\??\w+\|/,
  'mixed, static, never as types': /\):\s*(mixed|static|never)\b|\bmixed\s+\$/,
  'named argument': /[(,]\s*[a-z]\w*:\s+[^:]/,
  'trailing comma of parameters': /function\s+\w*\([^)]*,\s*\)/,
  'throw as an expression': /(\?\?|\?:|=>|=)\s*throw\b/,
  'functions of PHP 8': /\b(str_contains|str_starts_with|str_ends_with|get_debug_type|array_is_list|json_validate)\(/,
  '$object::class': /\$\w+::class/,
  'first-class callable': /\(\.\.\.\)/,
};

describe('session_bouncer.php', () => {
  test('has less than 150 lines and includes nothing', () => {
    expect(text.trimEnd().split('\n').length).toBeLessThan(150);
    expect(code).not.toMatch(/\b(require|include)(_once)?\b|\buse\s/);
  });

  test.each(Object.entries(NEWER))('does without %s', (_, pattern) => {
    expect(code.match(pattern)).toBeNull();
  });

  test('what it looks for it would find', () => {
    const newer = 'function f(int|string $a, mixed $b,) : static { match (1) {} $a?->b; f(x: 1); try {} catch (E) {} }';
    const found = Object.entries(NEWER).filter(([, pattern]) => pattern.test(newer));
    expect(found.length).toBeGreaterThanOrEqual(5);
  });
});
