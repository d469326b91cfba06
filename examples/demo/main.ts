/**
 * The demo. `npm start` runs it until Ctrl-C; `npm start -- --once` plays the story by itself and exits with 0 only if
 * all of it held; `--once --json` prints one JSON object. Nothing is left behind, however it ends.
 */
import { parseArgs } from 'node:util';
import { openStage, type Stage } from './stage.ts';
import { failedStory, playStory } from './story.ts';
import { banner, incidentLine, storyHead, storyLine, storyTail, USAGE } from './terminal.ts';

const STORY_LIMIT_MS = 60_000;
const CLOSE_LIMIT_MS = 15_000;
/** A second Ctrl-C does not wait; npm passes the first one on, so that it may come twice at once. */
const SAME_SIGNAL_MS = 1000;

interface Arguments {
  readonly once: boolean;
  readonly json: boolean;
  readonly help: boolean;
  readonly host: string;
  /** Null: the first free one from 3000. */
  readonly port: number | null;
}

function readArguments(): Arguments {
  const { values } = parseArgs({
    options: {
      once: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
      host: { type: 'string', default: '127.0.0.1' },
      port: { type: 'string' },
    },
  });
  const port = values.port === undefined ? null : Number(values.port);
  if (port !== null && !(Number.isInteger(port) && port >= 0 && port <= 65_535)) {
    throw new Error('--port: give a number from 0 to 65535');
  }
  if (values.json && !values.once) throw new Error('--json goes with --once');
  return { ...values, port };
}

function openFor(args: Arguments, signal: AbortSignal): Promise<Stage> {
  const portsToTry = args.port === null ? 50 : 1;
  return openStage({
    redisUrl: process.env.REDIS_URL,
    host: args.host,
    port: args.port ?? (args.once ? 0 : 3000),
    portsToTry,
    signal,
    onWorkerLine: (line) => {
      if (!args.once && line.event === 'incident') console.log(incidentLine(line));
    },
  });
}

/** Resolves when it is time to go; rejects when the worker is gone before. */
async function showUntilStopped(stage: Stage, signal: AbortSignal): Promise<void> {
  console.log(banner(stage));
  const stopped = new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
  const said = await Promise.race([stopped, stage.workerEnded]);
  if (said !== undefined) throw new Error(`The worker ended. Its last lines:\n${said}`);
}

async function playOnce(args: Arguments, signal: AbortSignal): Promise<boolean> {
  let stage: Stage | null = null;
  try {
    stage = await openFor(args, signal);
    if (!args.json) console.log(storyHead(stage));
    const outcome = await playStory(stage.url, signal, (step) => {
      if (!args.json) console.log(storyLine(step));
    });
    console.log(args.json ? JSON.stringify(outcome) : storyTail(outcome));
    return outcome.ok;
  } catch (error) {
    if (args.json) console.log(JSON.stringify(failedStory(message(error))));
    throw error;
  } finally {
    await stage?.close();
  }
}

async function show(args: Arguments, signal: AbortSignal): Promise<void> {
  const stage = await openFor(args, signal);
  try {
    await showUntilStopped(stage, signal);
    console.error('\nClosing ...');
  } finally {
    await stage.close();
  }
}

/** Aborts on the first signal; a later one ends the process at once (Redis and worker notice and follow). */
function onStop(): AbortController {
  const controller = new AbortController();
  let firstAtMs = 0;
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => {
      if (!controller.signal.aborted) {
        firstAtMs = Date.now();
        controller.abort(new Error(`Stopped by ${name}.`));
        watchdog(CLOSE_LIMIT_MS);
      } else if (Date.now() - firstAtMs > SAME_SIGNAL_MS) process.exit(1);
    });
  }
  return controller;
}

/** When nothing holds the process any more this does not either. */
function watchdog(limitMs: number): void {
  setTimeout(() => {
    console.error('Closing took too long; ended by force.');
    process.exit(1);
  }, limitMs).unref();
}

function message(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

async function main(): Promise<boolean> {
  const args = readArguments();
  if (args.help) {
    console.log(USAGE);
    return true;
  }
  const stop = onStop();
  if (args.once) return playOnce(args, AbortSignal.any([stop.signal, AbortSignal.timeout(STORY_LIMIT_MS)]));
  try {
    await show(args, stop.signal);
  } catch (error) {
    if (!stop.signal.aborted) throw error;
  }
  return true;
}

try {
  process.exitCode = (await main()) ? 0 : 1;
} catch (error) {
  console.error(message(error));
  process.exitCode = 1;
}
watchdog(CLOSE_LIMIT_MS);
