/**
 * Runs a worker as the work of this process: until a signal, then in good order out. Nothing happens on import.
 *
 * Exit codes: 0 when it was told to stop and every job in hand was finished; 1 when it could not start, crashed, was
 * forced, did not finish within `shutdownTimeoutSeconds`, or something kept the process open. What is left undone after
 * a 1 is not lost: another worker does it again, with the same result.
 */

import { type Config, loadConfig, parseFlags, type ResolvedConfig } from '../config/load.ts';
import { errorName } from '../src/errors.ts';
import { defaultLog } from '../src/log.ts';
import type { Log } from '../src/ports.ts';
import { failureLine, placesOf } from './failure.ts';

export const EXIT_DRAINED = 0;
export const EXIT_UNCLEAN = 1;

/** How long the process may take to end by itself once everything is released. */
const NATURAL_EXIT_MS = 1000;

/** What runs here: a worker that finishes the jobs in hand when it is closed. */
export interface Work {
  close(): Promise<void>;
}

export type Start = (config: Config, log: Log) => Work | Promise<Work>;

/** For a process of its own: settings from its arguments, a failure as one line. Resolves with the exit code. */
export async function runFromArguments(run: (resolved: ResolvedConfig) => Promise<number>): Promise<number> {
  try {
    return await run(loadConfig(parseFlags(process.argv.slice(2))));
  } catch (error) {
    process.stderr.write(`${failureLine(error)}\n`);
    return EXIT_UNCLEAN;
  }
}

/**
 * Resolves with the exit code when the worker has ended; set it as `process.exitCode` and let the process end by itself.
 * Throws what `start` throws. Takes over the process's signals and uncaught errors, so call it once. `name` stands in log
 * lines: `The <name> has stopped`.
 */
export async function runProcess({ config, warnings }: ResolvedConfig, name: string, start: Start): Promise<number> {
  const log = defaultLog(config.logLevel);
  for (const warning of warnings) log.warn({ event: 'config_warning', warning }, 'The configuration looks mistaken');
  const stop = new StopRequests(log);
  const worker = await start(config, log);
  const cause = await stop.requested;
  log.info({ event: 'draining', cause }, 'Taking no new job; finishing those in hand');
  const drained = await within(worker.close(), config.shutdownTimeoutSeconds * 1000);
  if (!drained) {
    log.error(
      { event: 'drain_timeout', seconds: config.shutdownTimeoutSeconds },
      'Not done in time; what is in hand is left to other workers',
    );
    process.exit(EXIT_UNCLEAN);
  }
  log.info({ event: 'worker_stopped', cause }, `The ${name} has stopped`);
  watchTheExit(log);
  return stop.crashed ? EXIT_UNCLEAN : EXIT_DRAINED;
}

/** The first request to stop is heard by whoever awaits `requested`; a second signal ends the process at once. */
class StopRequests {
  readonly requested: Promise<string>;
  crashed = false;
  readonly #log: Log;
  #request: (cause: string) => void = () => {};
  #signals = 0;

  constructor(log: Log) {
    this.#log = log;
    this.requested = new Promise((resolve) => {
      this.#request = resolve;
    });
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => this.#onSignal(signal));
    process.on('uncaughtException', (error) => this.#onCrash('uncaught_exception', error));
    process.on('unhandledRejection', (error) => this.#onCrash('unhandled_rejection', error));
  }

  #onSignal(signal: string): void {
    this.#signals += 1;
    this.#request(signal);
    if (this.#signals < 2) return;
    this.#log.warn({ event: 'forced', signal }, 'A second signal: leaving the jobs in hand to others');
    process.exit(EXIT_UNCLEAN);
  }

  /** Whatever state we are in now is unknown: drain what can be drained, and let the supervisor start a fresh process. */
  #onCrash(event: string, error: unknown): void {
    this.crashed = true;
    this.#log.error({ event, error: errorName(error), at: placesOf(error) }, 'An unexpected error; the worker stops');
    this.#request(event);
  }
}

/** True when the work ended in time. */
async function within(work: Promise<void>, timeoutMs: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<false>((resolve) => {
    timer = setTimeout(resolve, timeoutMs, false);
  });
  try {
    return await Promise.race([work.then(() => true), timeout]);
  } finally {
    clearTimeout(timer);
  }
}

/** All is released, so nothing should keep the process open; if something does, that is a bug, and it is told. */
function watchTheExit(log: Log): void {
  const timer = setTimeout(() => {
    const open = process.getActiveResourcesInfo();
    log.error({ event: 'failed_to_exit', open }, 'The worker failed to exit naturally');
    process.exit(EXIT_UNCLEAN);
  }, NATURAL_EXIT_MS);
  timer.unref();
}
