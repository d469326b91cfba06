/**
 * What is shipped works: the packed tarball, unpacked into an empty project, imported from ES modules, CommonJS and
 * TypeScript, and run as a command. The project has the package's own dependencies (linked, so that no network is
 * needed) and nothing else: an import that package.json does not declare fails here.
 */
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, extname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { files, read, root } from './source.ts';

interface PackageJson {
  readonly name: string;
  readonly version: string;
  readonly bin: Readonly<Record<string, string>>;
  readonly exports: Readonly<Record<string, unknown>>;
  readonly dependencies: Readonly<Record<string, string>>;
}

const own = JSON.parse(read('package.json')) as PackageJson;
const subpaths = Object.keys(own.exports).filter((path) => path !== './package.json');
const specifiers = subpaths.map((path) => `${own.name}${path.slice(1)}`);
const names = specifiers.map((specifier, i) => [`m${i}`, specifier] as const);
const consumer = mkdtempSync(join(tmpdir(), 'session-bouncer-pack-'));
const installed = join(consumer, 'node_modules', own.name);
const execute = promisify(execFile);

/** Without what npm and Jest put into the environment of this test. */
const cleanEnv = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^(npm_|JEST_|NODE_OPTIONS$|NODE_ENV$)/i.test(name)),
);

function run(command: string, args: readonly string[], cwd = consumer) {
  return execute(command, args, { cwd, env: cleanEnv, timeout: 60_000, maxBuffer: 10_000_000 });
}

/** The same, for a command whose failure is the point: what it said, rather than that it failed. */
async function outputOf(command: string, args: readonly string[]): Promise<string> {
  try {
    const { stdout, stderr } = await run(command, args);
    return stdout + stderr;
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
    return `failed\n${stdout}${stderr}`;
  }
}

function write(file: string, text: string): void {
  writeFileSync(join(consumer, file), text);
}

function link(target: string, path: string): void {
  mkdirSync(dirname(path), { recursive: true });
  symlinkSync(target, path);
}

async function packAndUnpack(): Promise<void> {
  if (!existsSync(join(root, 'dist/src'))) throw new Error('dist/ is missing: `npm test` builds it first');
  await run('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', consumer], root);
  mkdirSync(installed, { recursive: true });
  const tarball = join(consumer, `${own.name}-${own.version}.tgz`);
  await run('tar', ['-xzf', tarball, '-C', installed, '--strip-components=1']);
}

/** As npm would, but without downloading: dependencies, the command, and the types of Node for the TypeScript consumer. */
function linkDependencies(): void {
  for (const name of [...Object.keys(own.dependencies), '@types/node']) {
    link(join(root, 'node_modules', name), join(consumer, 'node_modules', name));
  }
  for (const [name, file] of Object.entries(own.bin)) {
    link(join(installed, file), join(consumer, 'node_modules', '.bin', name));
  }
  write('package.json', JSON.stringify({ name: 'consumer', private: true, dependencies: { [own.name]: own.version } }));
}

beforeAll(async () => {
  await packAndUnpack();
  linkDependencies();
}, 60_000);

afterAll(() => rmSync(consumer, { recursive: true, force: true }));

describe('the packed package', () => {
  test('has every file that its package.json points to', () => {
    const pointed = JSON.stringify([own.exports, own.bin]).match(/(?<=")(\.\/)?dist\/[^"]+/g) ?? [];
    expect(pointed.filter((file) => !existsSync(join(installed, file)))).toEqual([]);
  });

  test('has the Lua scripts, what pages load, and the pages about codes', () => {
    const scripts = [...files('src/redis/scripts', /\.lua$/), ...files('src/console/assets', /\.(css|js|svg)$/)];
    expect(scripts.map((file) => extname(file))).toEqual(expect.arrayContaining(['.lua', '.css', '.js', '.svg']));
    expect(scripts.filter((file) => !existsSync(join(installed, 'dist', file)))).toEqual([]);
    expect(readFileSync(join(installed, 'docs/errors.md'), 'utf8')).toBe(read('docs/errors.md'));
  });

  test('has no tests, examples or sources', () => {
    const unwanted = ['dist/test', 'dist/examples', 'test', 'examples', 'src', 'scripts'];
    expect(unwanted.filter((path) => existsSync(join(installed, path)))).toEqual([]);
  });

  test('exports named things only', async () => {
    const lines = names.map(([name, specifier]) => `import * as ${name} from '${specifier}';`);
    const list = names.map(([name]) => `Object.keys(${name})`).join(', ');
    write('list.mjs', `${lines.join('\n')}\nconsole.log(JSON.stringify([${list}]));\n`);
    const { stdout } = await run(process.execPath, ['list.mjs']);
    const exported = JSON.parse(stdout) as string[][];
    expect(exported.filter((each) => each.length === 0 || each.includes('default'))).toEqual([]);
  });

  test.each(specifiers)('%s can be required', async (specifier) => {
    write('require.cjs', `console.log(Object.keys(require('${specifier}')).length > 0);\n`);
    const said = await outputOf(process.execPath, ['require.cjs']);
    // Before Node 20.19 an ES module cannot be required. (Jest's copy of `process` does not know: ask a plain Node.)
    const able = await outputOf(process.execPath, ['-p', 'process.features.require_module === true']);
    expect(said).toMatch(able === 'true\n' ? /^true\n/ : /ERR_REQUIRE_ESM/);
  });

  test('ends by itself after an import: nothing is opened', async () => {
    write('idle.mjs', specifiers.map((specifier) => `await import('${specifier}');`).join('\n'));
    await expect(run(process.execPath, ['idle.mjs'])).resolves.toMatchObject({ stdout: '' });
  });

  test('has types that hold for a strict TypeScript consumer', async () => {
    const uses = `\nexport const seen = [${names.map(([name]) => name).join(', ')}];\n`;
    write('consumer.mts', names.map(([name, at]) => `import * as ${name} from '${at}';`).join('\n') + uses);
    write('required.cts', names.map(([name, at]) => `import ${name} = require('${at}');`).join('\n') + uses);
    const compilerOptions = {
      module: 'nodenext',
      target: 'es2022',
      lib: ['es2023'],
      strict: true,
      exactOptionalPropertyTypes: true,
      skipLibCheck: true,
      noEmit: true,
      types: ['node'],
    };
    write('tsconfig.json', JSON.stringify({ compilerOptions, files: ['consumer.mts', 'required.cts'] }));
    const tsc = join(root, 'node_modules/typescript/bin/tsc');
    expect(await outputOf(process.execPath, [tsc, '-p', '.'])).toBe('');
  });

  test('has types that are complete in themselves', async () => {
    // skipLibCheck would hide a missing import in our own declarations; those of others are not ours to judge.
    const compilerOptions = {
      module: 'nodenext',
      target: 'es2022',
      lib: ['es2023'],
      strict: true,
      noEmit: true,
      types: ['node'],
    };
    write('tsconfig.json', JSON.stringify({ compilerOptions, files: ['consumer.mts'] }));
    const said = await outputOf(process.execPath, [
      join(root, 'node_modules/typescript/bin/tsc'),
      '-p',
      '.',
      '--pretty',
      'false',
    ]);
    expect(said.split('\n').filter((line) => line.includes(`node_modules/${own.name}/`))).toEqual([]);
  });

  test('runs as a command', async () => {
    const [command = ''] = Object.keys(own.bin);
    const { stdout } = await run('npx', ['--no-install', command, '--help']);
    expect(stdout).toMatch(/usage/i);
    expect(readFileSync(join(installed, own.bin[command] ?? ''), 'utf8')).toMatch(/^#!\/usr\/bin\/env node\n/);
  });
});
