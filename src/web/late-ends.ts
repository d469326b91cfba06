import type { Log } from '../ports.ts';

/** An outage with more logouts than this in one process loses the oldest of them. */
const MAX_LATE = 1000;

/**
 * Sessions that were to end while Redis was away: whoever logged out must not be logged in again when it is back. In
 * memory only; the app has been told that it is not done.
 */
export class LateEnds {
  /** With the login of each, where that was known. */
  readonly #handles = new Map<string, string | undefined>();
  readonly #log: Log;
  /** One line an outage. */
  #told = false;

  constructor(log: Log) {
    this.#log = log;
  }

  add(handle: string, lid?: string): void {
    this.#handles.delete(handle);
    this.#handles.set(handle, lid);
    const [oldest] = this.#handles.keys();
    if (this.#handles.size <= MAX_LATE || oldest === undefined) return;
    this.#handles.delete(oldest);
    if (!this.#told) this.#log.error({ event: 'logouts_lost' }, 'Redis is away and too many logouts wait for it');
    this.#told = true;
  }

  delete(handle: string): void {
    this.#handles.delete(handle);
    if (this.#handles.size === 0) this.#told = false;
  }

  all(): { handle: string; lid: string | undefined }[] {
    return [...this.#handles].map(([handle, lid]) => ({ handle, lid }));
  }
}
