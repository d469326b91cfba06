import { errorName } from './errors.ts';
import type { Log } from './ports.ts';

/**
 * Every acquired thing registers its release here; release runs in reverse, once. One release that fails does not keep
 * the others from running.
 */
export class Releasers {
  readonly #steps: { name: string; release: () => unknown }[] = [];
  readonly #log: Log;
  #done: Promise<void> | null = null;

  constructor(log: Log) {
    this.#log = log;
  }

  add(name: string, release: () => unknown): void {
    this.#steps.push({ name, release });
  }

  run(): Promise<void> {
    this.#done ??= this.#runAll();
    return this.#done;
  }

  async #runAll(): Promise<void> {
    for (const { name, release } of this.#steps.reverse()) {
      try {
        await release();
      } catch (error) {
        this.#log.error({ event: 'release_failed', what: name, error: errorName(error) }, 'A release failed');
      }
    }
  }
}
