import type { Log } from '../ports.ts';

/** An outage with more logouts than this in one process loses the oldest of them. */
const MAX_LATE = 1000;

/**
 * Sessions that were to end while Redis was away: whoever logged out must not be logged in again when it is back. In
 * memory only; the app has been told that it is not done.
 */
export class LateEnds {
  readonly #handles = new Set<string>();
  readonly #log: Log;
  /** One line an outage. */
  #told = false;

  constructor(log: Log) {
    this.#log = log;
  }

  add(handle: string): void {
    this.#handles.delete(handle);
    this.#handles.add(handle);
    const [oldest] = this.#handles;
    if (this.#handles.size <= MAX_LATE || oldest === undefined) return;
    this.#handles.delete(oldest);
    if (!this.#told) this.#log.error({ event: 'logouts_lost' }, 'Redis is away and too many logouts wait for it');
    this.#told = true;
  }

  delete(handle: string): void {
    this.#handles.delete(handle);
    if (this.#handles.size === 0) this.#told = false;
  }

  all(): string[] {
    return [...this.#handles];
  }
}
