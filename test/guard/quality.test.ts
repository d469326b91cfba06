/** House rules that a reader should not have to watch: no `any`, short functions, real tests, keys in one file. */
import { describe, expect, test } from '@jest/globals';
import {
  isNode,
  lineOf,
  type Node,
  nodes,
  nodesOf,
  parse,
  place,
  type Source,
  source,
  sources,
  stringOf,
} from './source.ts';

const FUNCTION_LIMIT = 60;
const FUNCTIONS = [
  'FunctionDeclaration',
  'FunctionExpression',
  'ArrowFunctionExpression',
  'ClassMethod',
  'PrivateMethod',
  'Constructor',
  'MethodProperty',
  'GetterProperty',
  'SetterProperty',
];

const shipped = sources('src', 'workers', 'config');
const everything = [...shipped, ...sources('examples', 'test')];
const tests = everything.filter(({ file }) => file.endsWith('.test.ts'));

function anys(from: Source): string[] {
  return nodesOf(from.tree, 'TsKeywordType')
    .filter(({ kind }) => kind === 'any')
    .map((node) => place(from, node));
}

function longFunctions(from: Source): string[] {
  return nodesOf(from.tree, ...FUNCTIONS).flatMap((node) => {
    const { start, end } = node.span ?? { start: 1, end: 1 };
    const lines = lineOf(from.text, end) - lineOf(from.text, start) + 1;
    return lines > FUNCTION_LIMIT ? [`${place(from, node)}: ${lines} lines`] : [];
  });
}

function callee(node: Node): string {
  const at = node.callee as Node;
  if (at.type === 'Identifier') return String(at.value);
  if (at.type === 'MemberExpression')
    return `${callee({ type: '', callee: at.object })}.${(at.property as Node).value}`;
  return at.type === 'CallExpression' ? callee(at) : '';
}

function calls(from: Source): string[] {
  return nodesOf(from.tree, 'CallExpression').map(callee);
}

const SKIPPED =
  /^(x(it|test|describe)|f(it|describe))$|^(it|test|describe)\..*\b(only|skip|failing|todo)\b|^(it|test|describe)\.(only|skip|todo)$/;

function strings(from: Source): { text: string; node: Node }[] {
  const specifiers = new Set(
    nodesOf(from.tree, 'ImportDeclaration', 'ExportAllDeclaration').map(({ source: at }) => at),
  );
  return [...nodes(from.tree)].flatMap((node) => {
    if (specifiers.has(node)) return [];
    const text = stringOf(node) ?? (node.type === 'TemplateLiteral' ? templateText(node) : null);
    return text === null ? [] : [{ text, node }];
  });
}

function templateText(node: Node): string {
  return (node.quasis as { cooked: string }[]).map(({ cooked }) => cooked).join('<>');
}

/** What keys.ts puts between its variable parts, such as `:incident:`: nobody else spells that. */
function keyParts(): string[] {
  const parts = strings(source('src/redis/keys.ts')).flatMap(({ text }) => text.split('<>'));
  return [...new Set(parts)].filter((part) => /^:[a-z][a-z-]+/.test(part));
}

const KEY_COMMANDS = new Set([
  'get',
  'set',
  'del',
  'unlink',
  'exists',
  'expire',
  'pexpire',
  'pttl',
  'ttl',
  'incr',
  'incrby',
  'hget',
  'hset',
  'hmget',
  'hgetall',
  'hdel',
  'hincrby',
  'lpush',
  'rpush',
  'lrange',
  'ltrim',
  'llen',
  'sadd',
  'srem',
  'smembers',
  'zadd',
  'zrem',
  'zrange',
  'zcard',
  'zscore',
  'getdel',
  'getex',
  'setex',
  'psetex',
  'setnx',
  'publish',
  'xadd',
]);

/** `redis.get('users')`: a key spelled on the spot, in a file that talks to Redis. */
function literalKeys(from: Source): string[] {
  const receiver = /(^|\.)(redis|client|connection|pipeline|multi|batch)\.\w+$/;
  return nodesOf(from.tree, 'CallExpression').flatMap((node) => {
    const name = callee(node);
    if (!receiver.test(name) || !KEY_COMMANDS.has(name.slice(name.lastIndexOf('.') + 1))) return [];
    const first = (node.arguments as { expression: unknown }[])[0]?.expression;
    const spelled = isNode(first) && ['StringLiteral', 'TemplateLiteral', 'BinaryExpression'].includes(first.type);
    return spelled ? [`${place(from, node)}: ${name}`] : [];
  });
}

function spelledKeys(from: Source): string[] {
  const parts = keyParts();
  const isKey = (text: string) =>
    parts.some((part) => text.includes(part)) || /\{[\w<>-]+\}:[a-z]/.test(text) || /<>:[a-z-]+(:<>|$)/.test(text);
  return strings(from)
    .filter(({ text }) => isKey(text))
    .map(({ node }) => place(from, node));
}

describe('sources', () => {
  test('have no `any`', () => {
    expect(everything.flatMap(anys)).toEqual([]);
    expect(anys(parse('x.ts', 'const a = b as any;'))).toHaveLength(1);
  });

  test(`have no function over ${FUNCTION_LIMIT} lines`, () => {
    expect(shipped.flatMap(longFunctions)).toEqual([]);
    expect(longFunctions(parse('x.ts', `const f = () => {${'\n'.repeat(FUNCTION_LIMIT)}};`))).toHaveLength(1);
  });

  test('spell no Redis key outside src/redis/keys.ts', () => {
    expect(keyParts()).toContain(':session:');
    const others = shipped.filter(({ file }) => file !== 'src/redis/keys.ts');
    expect(others.flatMap((from) => [...spelledKeys(from), ...literalKeys(from)])).toEqual([]);
  });
});

describe('tests', () => {
  test('each file asserts something', () => {
    const asserts = (name: string) => /^(expect|assert)\b/.test(name);
    expect(tests.filter((from) => !calls(from).some(asserts)).map(({ file }) => file)).toEqual([]);
  });

  const skipped = (from: Source) => [...new Set(calls(from).filter((name) => SKIPPED.test(name)))];

  test('none is skipped, and none runs alone', () => {
    expect(tests.flatMap((from) => skipped(from).map((name) => `${from.file}: ${name}`))).toEqual([]);
    expect(skipped(parse('x.ts', 'test.only.each([1])("a", f); describe.skip("b", f); xit("c", f);'))).toHaveLength(3);
  });
});
