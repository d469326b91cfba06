/**
 * A Redis server of our own, on a free port, with nothing on disk: for the demo, the benchmarks and the tests. It never
 * outlives its owner: `stop()` ends it, the owner's exit ends it, and should the owner be killed outright, a watcher
 * does (a shell that waits for the end of a pipe which only the owner holds open).
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { accessSync, closeSync, constants, existsSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

export interface PrivateRedisOptions {
  /** More arguments of redis-server, e.g. `['--appendonly', 'yes']`; they win over ours. */
  readonly args?: readonly string[];
  /** A free one is chosen when left out. */
  readonly port?: number;
  /** Working directory. A temporary one, removed by `stop()`, when left out. */
  readonly dir?: string;
}

export interface PrivateRedis {
  readonly url: string;
  readonly port: number;
  readonly dir: string;
  /** Of the running server; another one after `restart()`. */
  readonly pid: number;
  /** Ends it, gracefully for three seconds; removes the temporary directory. May be called more than once. */
  stop(): Promise<void>;
  /** Sends a signal (SIGKILL when left out) and waits until the server has gone. The directory stays, for `restart()`. */
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** The server stands still: connections stay open, nothing answers. */
  pause(): void;
  resume(): void;
  /** Stops it where it still runs and starts it again on the same port, in the same directory. */
  restart(): Promise<void>;
}

const NAMES = ['redis-server', 'valkey-server'];
const START_LIMIT_MS = 10_000;
const STOP_LIMIT_MS = 3000;
const PORT_ATTEMPTS = 8;
const FIRST_PORT = 12_000;
const PORTS = 20_000;

/** Where a server program is, or null: PATH, the usual places, and where scripts/setup.mjs puts one (see there). */
export function findRedisServer(): string | null {
  const path = (process.env.PATH ?? '').split(delimiter).filter(Boolean);
  const dirs = [...path, '/usr/bin', '/usr/local/bin', '/opt/homebrew/bin', join(projectRoot(), '.cache', 'bin')];
  const files = dirs.flatMap((dir) => NAMES.map((name) => join(dir, name)));
  return files.find(executable) ?? null;
}

/** This file runs from examples/ and from dist/examples/. */
function projectRoot(): string {
  let dir = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(dir, 'package.json')) && dirname(dir) !== dir) dir = dirname(dir);
  return dir;
}

function executable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/**
 * Free at the time of asking; whoever binds it must be ready to try another one. From below those that systems hand out by
 * themselves (from 32768 or 49152 on): else the next connection of anybody on this machine might have it.
 */
export async function freePort(): Promise<number> {
  for (let attempt = 1; ; attempt += 1) {
    const port = FIRST_PORT + randomInt(PORTS);
    if (attempt === PORT_ATTEMPTS || (await isFree(port))) return port;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

export async function startRedis(options: PrivateRedisOptions = {}): Promise<PrivateRedis> {
  const server = new Server(options);
  try {
    await startOnSomePort(server, options.port);
  } catch (error) {
    await server.stop();
    throw error;
  }
  return server;
}

async function startOnSomePort(server: Server, port: number | undefined): Promise<void> {
  if (port !== undefined) return server.start(port);
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await server.start(await freePort());
    } catch (error) {
      // Between our look and the server's bind, someone else took the port.
      if (attempt === PORT_ATTEMPTS || !String(error).includes('Address already in use')) throw error;
    }
  }
}

/** Everything that must not outlive this process. One listener for all: Node warns at eleven. */
const running = new Set<Server>();
let exitHooked = false;

function endWithProcess(server: Server): void {
  running.add(server);
  if (exitHooked) return;
  exitHooked = true;
  process.on('exit', () => {
    for (const each of running) each.endNow();
  });
}

class Server implements PrivateRedis {
  readonly dir: string;
  readonly #ownDir: boolean;
  readonly #args: readonly string[];
  #port = 0;
  #child: ChildProcess | null = null;
  #watcher: ChildProcess | null = null;

  constructor(options: PrivateRedisOptions) {
    this.#ownDir = options.dir === undefined;
    this.dir = options.dir ?? mkdtempSync(join(tmpdir(), 'session-bouncer-redis-'));
    this.#args = options.args ?? [];
  }

  get port(): number {
    return this.#port;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.#port}`;
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  async start(port: number): Promise<void> {
    this.#port = port;
    const child = this.#spawn();
    this.#child = child;
    endWithProcess(this);
    try {
      await untilReady(child, port, () => this.#logTail());
    } catch (error) {
      await this.kill();
      throw error;
    }
  }

  /** In a process group of its own: Ctrl-C in a terminal must reach the owner only, which may still need the server. */
  #spawn(): ChildProcess {
    const program = findRedisServer();
    if (program === null)
      throw new Error('No redis-server found: run `node scripts/setup.mjs --redis`, or set REDIS_URL.');
    const log = openSync(join(this.dir, 'server.log'), 'w');
    const fixed = ['--port', String(this.#port), '--bind', '127.0.0.1', '--dir', this.dir];
    const args = [...fixed, '--save', '', '--appendonly', 'no', '--daemonize', 'no', ...this.#args];
    const child = spawn(program, args, { stdio: ['ignore', log, log], detached: true });
    closeSync(log);
    child.unref();
    child.once('exit', () => this.#unwatch());
    child.once('error', () => this.#unwatch());
    this.#watcher = watchOver(child, this.#ownDir ? this.dir : '');
    return child;
  }

  #unwatch(): void {
    this.#watcher?.kill('SIGKILL');
    this.#watcher = null;
  }

  #logTail(): string {
    try {
      return readFileSync(join(this.dir, 'server.log'), 'utf8').slice(-2000);
    } catch {
      return '';
    }
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const child = this.#child;
    if (child === null || hasExited(child)) return;
    const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    child.ref();
    child.kill(signal);
    await gone;
  }

  async stop(): Promise<void> {
    await this.#end();
    running.delete(this);
    if (this.#ownDir) rmSync(this.dir, { recursive: true, force: true });
  }

  /** SIGCONT first: a paused server hears nothing else. */
  async #end(): Promise<void> {
    this.resume();
    const force = setTimeout(() => this.#child?.kill('SIGKILL'), STOP_LIMIT_MS);
    await this.kill('SIGTERM');
    clearTimeout(force);
  }

  pause(): void {
    this.#child?.kill('SIGSTOP');
  }

  resume(): void {
    this.#child?.kill('SIGCONT');
  }

  async restart(): Promise<void> {
    await this.#end();
    await this.start(this.#port);
  }

  /** The owner exits: no time to wait. */
  endNow(): void {
    this.#child?.kill('SIGKILL');
    this.#unwatch();
    if (this.#ownDir) rmSync(this.dir, { recursive: true, force: true });
  }
}

function hasExited(child: ChildProcess): boolean {
  return child.pid === undefined || child.exitCode !== null || child.signalCode !== null;
}

/** `read` returns at the end of the pipe: when the owner has gone, however it went. */
function watchOver(child: ChildProcess, dir: string): ChildProcess | null {
  if (child.pid === undefined) return null;
  const script = 'read -r _; kill -9 "$0"; if [ -n "$1" ]; then rm -rf -- "$1"; fi';
  const watcher = spawn('/bin/sh', ['-c', script, String(child.pid), dir], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  watcher.on('error', () => {});
  watcher.stdin?.on('error', () => {});
  watcher.unref();
  // Held open, yet no reason for the owner to stay.
  (watcher.stdin as unknown as { unref?: () => void } | null)?.unref?.();
  return watcher;
}

async function untilReady(child: ChildProcess, port: number, log: () => string): Promise<void> {
  let spawnError: Error | null = null;
  child.once('error', (error) => {
    spawnError = error;
  });
  const end = Date.now() + START_LIMIT_MS;
  while (Date.now() < end) {
    if (spawnError !== null) throw spawnError;
    if (hasExited(child)) throw new Error(`The private Redis on port ${port} ended at once:\n${log()}`);
    if (child.pid !== undefined && (await answers(port, child.pid))) return;
    await sleep(15);
  }
  throw new Error(`The private Redis on port ${port} did not answer within ${START_LIMIT_MS} ms:\n${log()}`);
}

/** PONG, and from our own child: the port might belong to someone else's server. With a password set, that must do. */
function answers(port: number, pid: number): Promise<boolean> {
  return new Promise((resolve) => {
    let text = '';
    const socket = connect(port, '127.0.0.1', () => socket.write('PING\r\nINFO server\r\n'));
    const settle = (ready: boolean) => {
      socket.destroy();
      resolve(ready);
    };
    socket.setTimeout(1000, () => settle(false));
    socket.on('error', () => settle(false));
    socket.on('close', () => settle(false));
    socket.on('data', (data) => {
      text += data.toString('latin1');
      const told = /process_id:(\d+)\r\n/.exec(text)?.[1];
      if (text.startsWith('-')) settle(text.startsWith('-NOAUTH'));
      else if (told !== undefined) settle(text.startsWith('+PONG') && told === String(pid));
    });
  });
}
