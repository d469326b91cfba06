/** The worker as a process of its own, started and ended by the demo. */
import { type ChildProcess, spawn } from 'node:child_process';
import { dirname } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export interface WorkerProcess {
  readonly pid: number;
  /** Settles when it has ended, with the last lines it wrote. */
  readonly ended: Promise<string>;
  /** Drains (SIGTERM); after five seconds it is killed. */
  stop(): Promise<void>;
}

/** One line of its log, a JSON object. */
export type LogLine = Readonly<Record<string, unknown>>;

const START_LIMIT_MS = 20_000;
const STOP_LIMIT_MS = 5000;
const LINES_KEPT = 15;

/** Returns at once; `ready` settles when it takes jobs. In a process group of its own: Ctrl-C is for the demo to handle. */
export function spawnWorker(redisUrl: string, prefix: string, onLine: (line: LogLine) => void) {
  const file = fileURLToPath(new URL('./worker.js', import.meta.url));
  const child = spawn(process.execPath, [file], {
    env: environment(redisUrl, prefix),
    cwd: dirname(file), // where no configuration file lies
    stdio: ['pipe', 'ignore', 'pipe'],
    detached: true,
  });
  child.stdin?.on('error', () => {});
  const tail: string[] = [];
  const ended = new Promise<string>((resolve) => {
    child.once('close', () => resolve(tail.join('\n')));
    child.once('error', (error) => resolve(error.message));
  });
  const started = new Promise<void>((resolve) => {
    createInterface({ input: child.stderr ?? process.stdin }).on('line', (text) => {
      tail.push(text);
      if (tail.length > LINES_KEPT) tail.shift();
      const line = parse(text);
      if (line.event === 'worker_started') resolve();
      onLine(line);
    });
  });
  const worker: WorkerProcess = { pid: child.pid ?? 0, ended, stop: () => stop(child, ended) };
  return { worker, ready: (signal: AbortSignal) => ready(started, ended, signal) };
}

/** The worker's settings are this demo's own: what the shell says about another installation must not change it. */
function environment(redisUrl: string, prefix: string): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('SESSION_BOUNCER_'));
  return {
    ...Object.fromEntries(inherited),
    REDIS_URL: redisUrl,
    SESSION_BOUNCER_PREFIX: prefix,
    // Half of the logins here are a thief's: the safety brake would hold after the tenth.
    SESSION_BOUNCER_BRAKE_MIN_LOGINS: '10000',
  };
}

function parse(text: string): LogLine {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as LogLine) : {};
  } catch {
    return {};
  }
}

async function ready(started: Promise<void>, ended: Promise<string>, signal: AbortSignal): Promise<void> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(START_LIMIT_MS)]);
  const aborted = new Promise<never>((_, reject) => {
    limit.addEventListener('abort', () => reject(limit.reason), { once: true });
  });
  const died = ended.then((said) => {
    throw new Error(`The worker ended before it took a job:\n${said}`);
  });
  died.catch(() => {}); // later, its end is expected
  await Promise.race([started, died, aborted]);
}

async function stop(child: ChildProcess, ended: Promise<string>): Promise<void> {
  const force = setTimeout(() => child.kill('SIGKILL'), STOP_LIMIT_MS);
  child.kill('SIGTERM');
  await ended;
  clearTimeout(force);
}
