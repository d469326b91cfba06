/**
 * A child process as an object: `serve(api)` in the child, `start(file)` in the parent, calls over IPC. Node flags are
 * inherited, so `node --cpu-prof dist/test/bench/main.js NAME` profiles every process of a bench.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

interface Call {
  readonly id: number;
  readonly name: string;
  readonly args: readonly unknown[];
}
type Answer = { readonly id: number; readonly value: unknown } | { readonly id: number; readonly error: string };

type Method = (...args: never[]) => unknown;
type Result<M> = M extends (...args: never[]) => infer R ? Awaited<R> : never;
type Arguments<M> = M extends (...args: infer A) => unknown ? A : never;

/** What a child offers: every member a method. */
export type Api<A> = { readonly [K in keyof A]: Method };

const STOP = '(stop)';
const STOP_LIMIT_MS = 8000;

export class Child<A extends Api<A>> {
  readonly #process: ChildProcess;
  readonly #name: string;
  readonly #waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  readonly #exited: Promise<void>;
  #next = 1;

  constructor(child: ChildProcess, name: string, log: () => string) {
    this.#process = child;
    this.#name = name;
    child.on('message', (answer: Answer) => this.#settle(answer));
    this.#exited = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        const error = new Error(`${name} ended (${signal ?? code}):\n${log()}`);
        for (const one of this.#waiting.values()) one.reject(error);
        this.#waiting.clear();
        resolve();
      });
    });
  }

  call<K extends keyof A & string>(name: K, ...args: Arguments<A[K]>): Promise<Result<A[K]>> {
    return this.#send(name, args) as Promise<Result<A[K]>>;
  }

  /** Asks it to close what it holds and exit; after a while it is killed. */
  async stop(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const force = setTimeout(() => this.#process.kill('SIGKILL'), STOP_LIMIT_MS);
    this.#send(STOP, []).catch(() => {}); // its end is the answer
    await this.#exited;
    clearTimeout(force);
  }

  #send(name: string, args: readonly unknown[]): Promise<unknown> {
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      if (!this.#process.connected) return reject(new Error(`${this.#name} has ended`));
      this.#waiting.set(id, { resolve, reject });
      this.#process.send({ id, name, args } satisfies Call);
    });
  }

  #settle(answer: Answer): void {
    const one = this.#waiting.get(answer.id);
    this.#waiting.delete(answer.id);
    if ('error' in answer) one?.reject(new Error(`${this.#name}: ${answer.error}`));
    else one?.resolve(answer.value);
  }
}

/** `file` beside the roles, without its ending. What it says on stderr goes to `<dir>/<name>.log`, shown if it dies. */
export function start<A extends Api<A>>(file: string, dir: string, name = file): Child<A> {
  const path = `${dir}/${name}.log`;
  const log = openSync(path, 'a');
  const child = fork(fileURLToPath(new URL(`../roles/${file}.js`, import.meta.url)), {
    stdio: ['ignore', log, log, 'ipc'],
  });
  closeSync(log);
  return new Child<A>(child, name, () => readFileSync(path, 'utf8').slice(-2000));
}

/** In the child. `close` runs when the parent asks for the end, or has gone. */
export function serve<A extends Api<A>>(api: A, close: () => Promise<void>): void {
  let closing = false;
  const end = () => {
    if (!closing) close().finally(() => process.exit(0));
    closing = true;
  };
  process.on('disconnect', end);
  process.on('SIGINT', () => {}); // Ctrl-C is the parent's business
  process.on('message', ({ id, name, args }: Call) => {
    if (name === STOP) return end();
    const method = api[name as keyof A] as unknown as (...given: readonly unknown[]) => unknown;
    Promise.resolve()
      .then(() => method(...args))
      .then(
        (value) => process.send?.({ id, value } satisfies Answer),
        (error: unknown) => process.send?.({ id, error: String((error as Error).stack ?? error) } satisfies Answer),
      );
  });
}
