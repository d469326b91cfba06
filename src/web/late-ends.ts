import type { Log } from '../ports.ts';

/** An outage with more logouts than this in one process loses the oldest of them. */
const MAX_LATE = 1000;

/** A Redis that refuses writes (full, read-only, busy) does not say when it takes them again, and no connection comes back. */
const RETRY_MS = 1000;

export interface LateEnd {
  readonly handle: string;
  /** Its login, where that was known. */
  readonly lid: string | undefined;
}

/**
 * Sessions that were to end while Redis was away, or refused it: whoever logged out must not be logged in again when it is
 * back. In memory only; the app has been told that it is not done.
 */
export class LateEnds {
  /** With the login of each, where that was known. */
  readonly #handles = new Map<string, string | undefined>();
  readonly #log: Log;
  readonly #again: () => Promise<void>;
  #timer: NodeJS.Timeout | undefined;
  /** One line an outage. */
  #told = false;
  #isStopped = false;

  /** @param again tries what waits once more: called every second while anything does. */
  constructor(log: Log, again: () => Promise<void> = async () => {}) {
    this.#log = log;
    this.#again = again;
  }

  #wait(): void {
    if (this.#isStopped) return;
    this.#timer ??= setTimeout(() => {
      this.#again().finally(() => {
        this.#timer = undefined;
        if (this.#handles.size > 0) this.#wait();
      });
    }, RETRY_MS).unref();
  }

  has(handle: string): boolean {
    return this.#handles.has(handle);
  }

  /** Any session of this login? Hardly ever is there one to look at. */
  hasLogin(lid: string): boolean {
    return lid !== '' && this.#handles.size > 0 && [...this.#handles.values()].includes(lid);
  }

  add(handle: string, lid?: string): void {
    this.#handles.delete(handle);
    this.#handles.set(handle, lid);
    this.#wait();
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

  /** Nothing is tried again, nor what a try that is under way puts back. */
  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    this.#handles.clear();
  }

  all(): LateEnd[] {
    return [...this.#handles].map(([handle, lid]) => ({ handle, lid }));
  }
}
