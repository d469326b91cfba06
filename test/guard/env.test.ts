/** config/ is the only reader of the environment: everything else takes values. */
import { describe, expect, test } from '@jest/globals';
import { isNode, type Node, nodes, parse, place, type Source, sources, stringOf } from './source.ts';

function named(node: unknown, name: string): boolean {
  return isNode(node) && node.type === 'Identifier' && node.value === name;
}

/** `process.env`, `process['env']`, `globalThis.process.env` */
function isEnvMember(node: Node): boolean {
  if (node.type !== 'MemberExpression') return false;
  const object = node.object as Node;
  const property = node.property as Node;
  const ofProcess =
    named(object, 'process') || (object.type === 'MemberExpression' && named(object.property, 'process'));
  const computed = property.type === 'Computed' ? stringOf(property.expression) : null;
  return ofProcess && (named(property, 'env') || computed === 'env');
}

/** `const { env } = process` */
function isEnvPattern(node: Node): boolean {
  if (node.type !== 'VariableDeclarator' || !named(node.init, 'process')) return false;
  const properties = (node.id as Node).properties;
  return Array.isArray(properties) && properties.some((each: Node) => named(each.key, 'env'));
}

/** `import { env } from 'node:process'` */
function isEnvImport(node: Node): boolean {
  if (node.type !== 'ImportDeclaration' || !/^(node:)?process$/.test(stringOf(node.source) ?? '')) return false;
  return (node.specifiers as Node[]).some((each) => named(each.imported ?? each.local, 'env'));
}

function readers(from: Source): string[] {
  const found = [...nodes(from.tree)].filter((node) => isEnvMember(node) || isEnvPattern(node) || isEnvImport(node));
  return found.map((node) => place(from, node));
}

describe('process.env', () => {
  test('is read in config/ only', () => {
    expect(sources('src', 'workers').flatMap(readers)).toEqual([]);
  });

  test.each([
    'const a = process.env.X;',
    "const a = process['env'];",
    'const a = globalThis.process.env;',
    'const { env } = process;',
    'const { env: e } = process;',
    "import { env } from 'node:process';",
    "import { env as e } from 'process';",
  ])('this guard sees %s', (text) => {
    // The key of `{ env: e }` and the imported name of `env as e` are what counts.
    expect(readers(parse('x.ts', text))).toHaveLength(1);
  });

  test('this guard lets other things pass', () => {
    expect(readers(parse('x.ts', 'process.on("exit", f); options.env; // process.env'))).toEqual([]);
  });
});
