/** A process of our own from dist/: its output collected, its end certain. */
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { release } from './release.ts';

export const projectRoot = fileURLToPath(new URL('../../', import.meta.url));

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface SpawnOptions {
  /** The project's root when left out. */
  readonly cwd?: string;
  /** Before the file, e.g. `['--expose-gc']`. */
  readonly nodeArgs?: readonly string[];
}

export interface Spawned {
  readonly child: ChildProcess;
  readonly pid: number;
  readonly stdout: string;
  readonly stderr: string;
  /** Both, as they came. */
  readonly output: string;
  /** Settles when the process has ended and its output is complete. */
  readonly exited: Promise<Exit>;
  /** The first match in the output, past or to come. Rejects when the process ends first, or after the time. */
  waitFor(pattern: RegExp, timeoutMs?: number): Promise<RegExpMatchArray>;
  /** Sends the signal (SIGTERM when left out) and waits for the end. */
  kill(signal?: NodeJS.Signals): Promise<Exit>;
}

/** `file` as it lies under dist/, e.g. `workers/login.js`. In `env`, undefined takes a variable away. */
export function spawnNode(
  file: string,
  args: readonly string[] = [],
  env: Readonly<Record<string, string | undefined>> = {},
  options: SpawnOptions = {},
): Spawned {
  const full = [...(options.nodeArgs ?? []), join(projectRoot, 'dist', file), ...args];
  const child = spawn(process.execPath, full, {
    cwd: options.cwd ?? projectRoot,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const spawned = new Collected(child, file);
  release(() => spawned.kill('SIGKILL'));
  return spawned;
}

class Collected implements Spawned {
  readonly child: ChildProcess;
  readonly exited: Promise<Exit>;
  readonly #name: string;
  readonly #watchers = new Set<() => void>();
  stdout = '';
  stderr = '';
  output = '';
  #ended = false;

  constructor(child: ChildProcess, name: string) {
    this.child = child;
    this.#name = name;
    child.stdout?.setEncoding('utf8').on('data', (text: string) => this.#take('stdout', text));
    child.stderr?.setEncoding('utf8').on('data', (text: string) => this.#take('stderr', text));
    this.exited = new Promise((resolve) => {
      const end = (code: number | null, signal: NodeJS.Signals | null) => {
        this.#ended = true;
        for (const look of this.#watchers) look();
        resolve({ code, signal });
      };
      child.once('close', end);
      child.once('error', () => end(null, null));
    });
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  #take(stream: 'stdout' | 'stderr', text: string): void {
    this[stream] += text;
    this.output += text;
    for (const look of this.#watchers) look();
  }

  waitFor(pattern: RegExp, timeoutMs = 25_000): Promise<RegExpMatchArray> {
    return new Promise((resolve, reject) => {
      const settle = (act: () => void) => {
        clearTimeout(timer);
        this.#watchers.delete(look);
        act();
      };
      const fail = (why: string) =>
        settle(() => reject(new Error(`${this.#name} ${why} without ${pattern}. Its output:\n${this.output}`)));
      const look = () => {
        const match = this.output.match(pattern);
        if (match !== null) settle(() => resolve(match));
        else if (this.#ended) fail('ended');
      };
      const timer = setTimeout(() => fail(`ran ${timeoutMs} ms`), timeoutMs);
      this.#watchers.add(look);
      look();
    });
  }

  async kill(signal: NodeJS.Signals = 'SIGTERM'): Promise<Exit> {
    if (!this.#ended) this.child.kill(signal);
    return this.exited;
  }
}
