/** Reading our own sources: files, syntax trees, imports. For the guard tests. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseSync } from '@swc/core';

export const root = fileURLToPath(new URL('../../', import.meta.url));

/** A node of the syntax tree, as far as we look into it. */
export interface Node {
  readonly type: string;
  readonly span?: { readonly start: number; readonly end: number };
  readonly [field: string]: unknown;
}

export interface Source {
  /** From the project's root, with slashes. */
  readonly file: string;
  readonly text: string;
  readonly tree: Node;
}

/** Files below a directory (or the file itself), as paths from the root. Missing ones are empty, not an error. */
export function files(where: string, pattern: RegExp): string[] {
  const path = join(root, where);
  if (!existsSync(path)) return [];
  if (pattern.test(where)) return [where];
  return readdirSync(path, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && pattern.test(entry.name))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
    .filter((file) => !file.startsWith('test/fixtures/'))
    .sort();
}

export function read(file: string): string {
  return readFileSync(join(root, file), 'utf8');
}

const parsed = new Map<string, Source>();

export function source(file: string): Source {
  const known = parsed.get(file);
  if (known !== undefined) return known;
  const fresh = parse(file, read(file));
  parsed.set(file, fresh);
  return fresh;
}

export function parse(file: string, text: string): Source {
  const tree = parseSync(text, {
    syntax: 'typescript',
    tsx: file.endsWith('.tsx'),
    target: 'es2022',
  }) as unknown as Node;
  return { file, text, tree };
}

export function sources(...where: readonly string[]): Source[] {
  return where.flatMap((each) => files(each, /\.tsx?$/)).map(source);
}

export function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && typeof (value as { type?: unknown }).type === 'string';
}

/** Every node, parents first. Some parts (arguments, for one) are wrapped in objects without a type. */
export function* nodes(value: unknown): Generator<Node> {
  if (typeof value !== 'object' || value === null) return;
  if (isNode(value)) yield value;
  for (const part of Array.isArray(value) ? value : Object.values(value)) yield* nodes(part);
}

export function nodesOf(tree: Node, ...types: readonly string[]): Node[] {
  return [...nodes(tree)].filter((node) => types.includes(node.type));
}

/** The parser counts bytes from one. */
export function lineOf(text: string, position: number): number {
  return Buffer.from(text)
    .subarray(0, position - 1)
    .toString()
    .split('\n').length;
}

export function place(from: Source, node: Node): string {
  return `${from.file}:${lineOf(from.text, node.span?.start ?? 1)}`;
}

export function stringOf(node: unknown): string | null {
  return isNode(node) && node.type === 'StringLiteral' ? String(node.value) : null;
}

export interface Import {
  readonly specifier: string;
  /** `import type`, `export type`, or a type written as `import('x').Y`. */
  readonly typeOnly: boolean;
  /** `import('x')`: loaded when that line runs. */
  readonly lazy?: boolean;
}

export function importsOf({ tree }: Source): Import[] {
  return [...nodes(tree)].flatMap((node) => {
    const found = importOf(node);
    return found === null || found.specifier === '' ? [] : [found];
  });
}

function importOf(node: Node): Import | null {
  switch (node.type) {
    case 'ImportDeclaration':
    case 'ExportAllDeclaration':
    case 'ExportNamedDeclaration':
      return { specifier: stringOf(node.source) ?? '', typeOnly: node.typeOnly === true || onlyTypes(node) };
    case 'TsImportType':
      return { specifier: stringOf(node.argument) ?? '', typeOnly: true };
    case 'TsExternalModuleReference':
      return { specifier: stringOf(node.expression) ?? '', typeOnly: false };
    case 'CallExpression':
      return calledImport(node);
    default:
      return null;
  }
}

/** `import { type A, type B }` */
function onlyTypes(node: Node): boolean {
  const specifiers = node.specifiers;
  return Array.isArray(specifiers) && specifiers.length > 0 && specifiers.every((each) => each.isTypeOnly === true);
}

/** `import('x')` and `require('x')`. What is not a plain string cannot be checked and counts as such. */
function calledImport(node: Node): Import | null {
  const callee = node.callee as Node;
  const required = callee.type === 'Identifier' && callee.value === 'require';
  if (callee.type !== 'Import' && !required) return null;
  const first = (node.arguments as { expression: unknown }[])[0]?.expression;
  return { specifier: stringOf(first) ?? '(computed)', typeOnly: false, lazy: !required };
}

/** A file of ours as a path from the root; a package or a Node module as it is written. */
export function resolveImport(file: string, specifier: string): string {
  return specifier.startsWith('.') ? normalize(join(dirname(file), specifier)) : specifier;
}

export function isOurs(target: string): boolean {
  return /^(src|workers|config|examples|test)\//.test(target);
}

/** The strings of `type Name = 'a' | 'b' | Other`, where Other is such a type in the same file. */
export function unionOf(file: string, name: string): string[] {
  const alias = nodesOf(source(file).tree, 'TsTypeAliasDeclaration').find((node) => (node.id as Node).value === name);
  if (alias === undefined) throw new Error(`${file} has no type ${name}`);
  return members(file, alias.typeAnnotation as Node);
}

function members(file: string, type: Node): string[] {
  if (type.type === 'TsUnionType') return (type.types as Node[]).flatMap((each) => members(file, each));
  if (type.type === 'TsLiteralType') return [stringOf(type.literal) ?? ''];
  if (type.type === 'TsTypeReference') return unionOf(file, String((type.typeName as Node).value));
  throw new Error(`${file}: not a union of strings (${type.type})`);
}
