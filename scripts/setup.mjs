#!/usr/bin/env node
/**
 * Makes a fresh clone runnable: `npm start`, `npm test` and the CI call it first. Plain Node, since it runs before
 * anything is installed. It does only what is missing and says nothing when nothing is.
 *
 *   (always)    installs the dependencies, where node_modules does not hold what package-lock.json names
 *   --build     compiles into dist/, where a source is newer than the last build
 *   --redis     finds a Redis (or Valkey) server, or installs one with the system's package manager; skipped where
 *               REDIS_URL is set. No service is left running: the tests and the demo start private servers.
 *   --quiet     no progress lines; errors are shown all the same
 *   --redis-dirs=/a:/b   look for the server in these directories only (to try the installation)
 *
 * Everything goes to stderr: the stdout of `npm start -- --once --json` belongs to its JSON.
 */
import { spawnSync } from 'node:child_process';
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { delimiter, dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { copyAssets, writeStamp } from './copy-assets.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const cache = join(root, '.cache');
const flags = new Set(process.argv.slice(2));
const quiet = flags.has('--quiet');

function main() {
  try {
    if (missingDependency() !== null) withLock('install', installDependencies);
    if (flags.has('--redis') && !process.env.REDIS_URL && findRedis() === null) withLock('redis', installRedis);
    if (flags.has('--build') && sourceNewerThanStamp()) withLock('build', build);
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}

function say(line) {
  if (!quiet) console.error(line);
}

/**
 * Runs a command with its output on our stderr; when quiet, shows what it said only if it failed. `hide`: never shows
 * it. `show`: in case of failure shows that many lines.
 */
function run(command, args, { env = {}, hide = false, show = Number.POSITIVE_INFINITY } = {}) {
  const hold = quiet || hide || Number.isFinite(show);
  const stdio = hold ? ['ignore', 'pipe', 'pipe'] : ['ignore', 2, 2];
  const maxBuffer = 64 * 1024 * 1024;
  const result = spawnSync(command, args, {
    cwd: root,
    env: { ...process.env, ...env },
    stdio,
    maxBuffer,
    encoding: 'utf8',
  });
  const ok = result.status === 0;
  const said = `${result.stdout ?? ''}${result.stderr ?? ''}${result.error?.message ?? ''}`;
  if (!ok && !hide && said) console.error(said.trimEnd().split('\n').slice(0, show).join('\n'));
  return ok;
}

/**
 * One process at a time may install or build; the others wait and then look again whether anything is left to do.
 * A lock whose owner is dead is taken over. (Two takers in the same instant are possible and harmless: files are
 * renamed into place one by one.)
 */
function withLock(name, work) {
  mkdirSync(cache, { recursive: true });
  const lock = join(cache, `${name}.lock`);
  for (;;) {
    try {
      writeFileSync(lock, String(process.pid), { flag: 'wx' });
      break;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
      if (!ownerAlive(lock)) rmSync(lock, { force: true });
      else Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100);
    }
  }
  try {
    work();
  } finally {
    rmSync(lock, { force: true });
  }
}

function ownerAlive(lock) {
  try {
    const pid = Number(readFileSync(lock, 'utf8'));
    // Just created, not yet written: its owner lives, unless it has been like that for long.
    if (pid === 0) return Date.now() - statSync(lock).mtimeMs < 5000;
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

// --- dependencies ---------------------------------------------------------------------------------------------------

function readJson(file) {
  try {
    return JSON.parse(readFileSync(join(root, file), 'utf8'));
  } catch {
    return null;
  }
}

/**
 * By content, not by time: a git checkout changes times. npm notes what it installed in node_modules/.package-lock.json.
 * Optional packages may be absent (another platform, or they failed to install): that is npm's to decide.
 */
function missingDependency() {
  const wanted = readJson('package-lock.json')?.packages ?? {};
  const installed = readJson('node_modules/.package-lock.json')?.packages;
  if (!installed) return 'everything';
  for (const [path, entry] of Object.entries(wanted)) {
    if (path === '') continue;
    const have = installed[path];
    const differs = have ? have.version !== entry.version : !entry.optional && !entry.devOptional && !entry.peer;
    if (differs) return path;
  }
  const own = readJson('package.json');
  const direct = Object.keys({ ...own.dependencies, ...own.devDependencies });
  return direct.find((name) => !installed[`node_modules/${name}`]) ?? null;
}

function installDependencies() {
  if (missingDependency() === null) return;
  say('Installing dependencies ...');
  // The build needs the development packages, whatever NODE_ENV says.
  const options = ['--include=dev', '--no-audit', '--no-fund'];
  if (existsSync(join(root, 'package-lock.json'))) {
    const ci = npm(['ci', ...options], { show: 8 });
    if (ci) return;
    say('npm ci did not work; trying npm install (package-lock.json stays as it is) ...');
  }
  // --no-save: whoever wants another lock file asks npm for it; a setup changes nothing that is under version control.
  if (!npm(['install', '--no-save', ...options])) {
    throw new Error('The dependencies could not be installed: see the message of npm above.');
  }
}

function npm(args, options) {
  // Inside an npm script this is the npm that is running; it need not be on PATH.
  const cli = process.env.npm_execpath;
  return cli?.endsWith('npm-cli.js') ? run(process.execPath, [cli, ...args], options) : run('npm', args, options);
}

// --- build ----------------------------------------------------------------------------------------------------------

const BUILD_INPUTS = ['src', 'workers', 'config', 'examples', 'test'];
const BUILD_FILES = ['tsconfig.json', 'package.json', 'scripts/copy-assets.mjs'];

function sourceNewerThanStamp() {
  let stamp;
  try {
    stamp = statSync(join(root, 'dist', '.stamp')).mtimeMs;
  } catch {
    return true;
  }
  const newer = (path) => existsSync(path) && statSync(path).mtimeMs > stamp;
  // A directory's own time changes when a file in it comes or goes.
  const newerBelow = (dir) =>
    newer(dir) ||
    readdirSync(dir, { withFileTypes: true }).some((entry) => {
      const path = join(dir, entry.name);
      if (entry.isDirectory()) return entry.name !== 'fixtures' && newerBelow(path);
      return newer(path);
    });
  const inputs = BUILD_INPUTS.map((dir) => join(root, dir)).filter((dir) => existsSync(dir));
  return BUILD_FILES.some((file) => newer(join(root, file))) || inputs.some(newerBelow);
}

/** Compiles beside dist/ and then renames file by file, so that a process that runs from dist/ never meets half a file. */
function build() {
  if (!sourceNewerThanStamp()) return;
  say('Building ...');
  const startedMs = Date.now();
  const out = join(cache, `build-${process.pid}`);
  try {
    const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
    if (!run(process.execPath, [tsc, '-p', 'tsconfig.json', '--outDir', out])) {
      throw new Error('The build failed: see the errors above. dist/ is as it was.');
    }
    copyAssets(out);
    moveChanged(out, join(root, 'dist'));
    writeStamp(join(root, 'dist'), startedMs);
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
}

function moveChanged(from, to) {
  const fresh = new Set(filesBelow(from).map((file) => relative(from, file)));
  for (const file of fresh) {
    const target = join(to, file);
    if (existsSync(target) && readFileSync(target).equals(readFileSync(join(from, file)))) continue;
    mkdirSync(dirname(target), { recursive: true });
    renameSync(join(from, file), target);
  }
  for (const old of existsSync(to) ? filesBelow(to) : []) {
    if (!fresh.has(relative(to, old))) rmSync(old);
  }
}

function filesBelow(dir) {
  return readdirSync(dir, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name));
}

// --- Redis ----------------------------------------------------------------------------------------------------------

const REDIS_NAMES = ['redis-server', 'valkey-server'];
const linkDir = join(cache, 'bin');

/** The same places as findRedisServer() in examples/support/private-redis.ts, which is not compiled yet when we run. */
function redisDirs() {
  const given = process.argv.find((arg) => arg.startsWith('--redis-dirs='));
  if (given) return given.slice('--redis-dirs='.length).split(delimiter).concat(linkDir);
  const path = (process.env.PATH ?? '').split(delimiter).filter(Boolean);
  return [...path, '/usr/bin', '/usr/local/bin', '/opt/homebrew/bin', linkDir];
}

function findRedis() {
  for (const dir of redisDirs()) {
    const name = REDIS_NAMES.find((candidate) => executable(join(dir, candidate)));
    if (name) return join(dir, name);
  }
  return null;
}

function executable(file) {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function onPath(command) {
  const dirs = (process.env.PATH ?? '').split(delimiter).filter(Boolean);
  return [...dirs, '/usr/bin', '/usr/sbin', '/sbin', '/opt/homebrew/bin'].some((dir) => executable(join(dir, command)));
}

/** In this order: the first one that this machine has is asked. Of all these only Debian's packages start a service. */
const MANAGERS = [
  { command: 'apt-get', install: aptInstall, typed: 'apt-get update && apt-get install -y redis-server' },
  {
    command: 'dnf',
    install: (as) => anyOf(as, ['dnf', 'install', '-y'], ['valkey', 'redis']),
    typed: 'dnf install -y valkey',
  },
  {
    command: 'apk',
    install: (as) => anyOf(as, ['apk', 'add', '--no-cache'], ['valkey', 'redis']),
    typed: 'apk add valkey',
  },
  {
    command: 'pacman',
    install: (as) => anyOf(as, ['pacman', '-Sy', '--noconfirm'], ['valkey', 'redis']),
    typed: 'pacman -S valkey',
  },
];

function installRedis() {
  if (findRedis() !== null) return;
  if (linkFromTools()) return;
  const manager = MANAGERS.find(({ command }) => onPath(command));
  if (!manager && onPath('brew')) return installWithBrew();
  if (!manager) throw noRedis('install Redis or Valkey (https://redis.io/docs/latest/operate/oss_and_stack/install/)');
  const as = rootPrefix();
  if (as === null) throw noRedis(`type: sudo sh -c '${manager.typed}'`);
  say(`Installing a Redis server with ${manager.command} ...`);
  manager.install(as);
  if (findRedis() === null) throw noRedis(`type: ${as.length > 0 ? 'sudo ' : ''}sh -c '${manager.typed}'`);
}

function noRedis(remedy) {
  return new Error(
    `There is no redis-server on this machine, and it could not be installed from here.\nPlease ${remedy}\n` +
      'or set REDIS_URL to a Redis that may be used for this.',
  );
}

/** [] for root, ['sudo', '-n'] where sudo asks for no password, else null. */
function rootPrefix() {
  if (process.getuid?.() === 0) return [];
  return onPath('sudo') && run('sudo', ['-n', 'true'], { hide: true }) ? ['sudo', '-n'] : null;
}

function asRoot(as, command, options) {
  const [first, ...rest] = [...as, ...command];
  return run(first, rest, options);
}

function anyOf(as, command, packages) {
  packages.some((name) => asRoot(as, [...command, name], { hide: name !== packages.at(-1) }));
}

function installWithBrew() {
  say('Installing a Redis server with brew ...');
  run('brew', ['install', 'redis']);
  if (findRedis() === null) throw noRedis('type: brew install redis');
}

/**
 * Debian's `redis-server` package starts a service on port 6379. Its program, however, lies in `redis-tools`, which
 * starts nothing: there the server and the checking tool are one file, and the name it is called by decides.
 */
function aptInstall(as) {
  const apt = (...args) => [
    'env',
    'DEBIAN_FRONTEND=noninteractive',
    'apt-get',
    '-q',
    '-o',
    'DPkg::Lock::Timeout=120',
    ...args,
  ];
  const install = (name, options) => asRoot(as, apt('install', '-y', '--no-install-recommends', name), options);
  if (!install('redis-tools', { hide: true })) {
    // No package lists yet, or old ones.
    asRoot(as, apt('update'));
    install('redis-tools');
  }
  if (linkFromTools()) return;
  // Packaged otherwise here: take the whole package, and stop the service that has just been started.
  if (install('redis-server')) asRoot(as, ['service', 'redis-server', 'stop'], { hide: true });
}

function linkFromTools() {
  const dirs = redisDirs().filter((dir) => dir !== linkDir);
  const tool = dirs
    .map((dir) => join(dir, 'redis-check-rdb'))
    .concat('/usr/bin/redis-check-rdb')
    .find(executable);
  if (!tool) return false;
  const link = join(linkDir, 'redis-server');
  mkdirSync(linkDir, { recursive: true });
  rmSync(link, { force: true });
  symlinkSync(tool, link);
  const version = spawnSync(link, ['--version'], { encoding: 'utf8' }).stdout ?? '';
  if (/server v=/.test(version)) return true;
  rmSync(link);
  return false;
}

main();
