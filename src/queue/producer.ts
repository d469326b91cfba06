import { randomBytes } from 'node:crypto';
import type { LoginEvent } from '../domain/types.ts';
import { errorName } from '../errors.ts';
import type { Log } from '../ports.ts';
import { LOGINS_PER_JOB } from './job.ts';

/** Puts one batch on the queue under a given id; adding the same id twice queues it once. Throws when Redis is away. */
export type AddBatch = (batchId: string, logins: readonly LoginEvent[]) => Promise<void>;

/** `queued`: durably. `pending`: it will be, as soon as Redis answers. `dropped`: too many were waiting already. */
export type ReportStatus = 'queued' | 'pending' | 'dropped';

export interface ProducerOptions {
  readonly add: AddBatch;
  readonly log: Log;
  /** How long a report waits before it answers `pending`. */
  readonly timeoutMs: number;
  /** How many logins may wait for Redis in memory; more are dropped, counted and logged. */
  readonly maxWaiting: number;
}

export interface ProducerCounts {
  queued: number;
  dropped: number;
  /** Waiting in memory now. */
  waiting: number;
}

interface Waiting {
  readonly login: LoginEvent;
  settle(status: ReportStatus): void;
}

interface Batch {
  readonly id: string;
  readonly entries: readonly Waiting[];
}

const FIRST_RETRY_MS = 50;
const LAST_RETRY_MS = 1000;

/**
 * Group commit: when no enqueue is under way a login goes out at once, alone. While one is, those that arrive wait and
 * go out together when it returns. No timer, no added delay, and under load a job carries many logins. A batch that
 * failed is tried again as it is, under the same id: an answer that got lost must not queue its logins twice, nor may
 * logins be added to an id that the queue has already seen.
 */
export class Producer {
  readonly #options: ProducerOptions;
  /** Batch ids are this and a number: fresh random bytes for each would be dearer than all our own work on a report. */
  readonly #name = randomBytes(12).toString('base64url');
  #batches = 0;
  #waiting: Waiting[] = [];
  #current: Batch | null = null;
  #settling = false;
  #failures = 0;
  #retryTimer: NodeJS.Timeout | null = null;
  #queued = 0;
  #dropped = 0;
  #closing = false;
  #idle: (() => void) | null = null;

  constructor(options: ProducerOptions) {
    this.#options = options;
  }

  /** Never throws, and settles within `timeoutMs`. */
  report(login: LoginEvent): Promise<ReportStatus> {
    if (this.#closing || this.#size() >= this.#options.maxWaiting) return Promise.resolve(this.#drop(1));
    const away = this.#failures > 0;
    const settled = new Promise<ReportStatus>((resolve) => {
      // While Redis is known to be away nobody waits: the login is in memory, and that is all there is to say.
      const timer = away ? null : setTimeout(resolve, this.#options.timeoutMs, 'pending');
      const settle = (status: ReportStatus) => {
        if (timer) clearTimeout(timer);
        resolve(status);
      };
      this.#waiting.push({ login, settle });
      if (away) resolve('pending');
    });
    if (this.#current === null && !this.#settling) void this.#send();
    return settled;
  }

  counts(): ProducerCounts {
    return { queued: this.#queued, dropped: this.#dropped, waiting: this.#size() };
  }

  /** Redis is back: try now instead of at the next retry. */
  wake(): void {
    if (this.#retryTimer) this.#retryNow();
  }

  /** Sends what waits, for at most `timeoutMs`; what is left then is dropped, counted and logged. */
  async close(timeoutMs: number): Promise<void> {
    this.#closing = true;
    if (this.#size() > 0) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, timeoutMs);
        this.#idle = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    if (this.#retryTimer) clearTimeout(this.#retryTimer);
    const left = [...(this.#current?.entries ?? []), ...this.#waiting];
    this.#current = null;
    this.#waiting = [];
    if (left.length > 0) this.#drop(left.length);
    for (const entry of left) entry.settle('dropped');
  }

  #size(): number {
    return this.#waiting.length + (this.#current?.entries.length ?? 0);
  }

  #drop(count: number): 'dropped' {
    this.#dropped += count;
    // Powers of two: an outage under load must not become a flood of log lines.
    if ((this.#dropped & (this.#dropped - 1)) === 0 || count > 1) {
      this.#options.log.error(
        { event: 'login_dropped', dropped: this.#dropped },
        'Logins were dropped and will not be checked: Redis was away for too long',
      );
    }
    return 'dropped';
  }

  async #send(): Promise<void> {
    this.#current ??= { id: `${this.#name}-${++this.#batches}`, entries: this.#waiting.splice(0, LOGINS_PER_JOB) };
    const batch = this.#current;
    try {
      await this.#options.add(
        batch.id,
        batch.entries.map((entry) => entry.login),
      );
      this.#delivered(batch);
    } catch (error) {
      this.#failed(batch, error);
    }
  }

  #delivered(batch: Batch): void {
    if (this.#current !== batch) return; // closed meanwhile: these were counted as dropped
    if (this.#failures > 0) this.#options.log.info({ event: 'enqueue_back' }, 'Logins are being queued again');
    this.#failures = 0;
    this.#queued += batch.entries.length;
    for (const entry of batch.entries) entry.settle('queued');
    this.#current = null;
    // Those whom this wakes may report again at once: all of them go with the next batch, not the first one ahead of it.
    this.#settling = true;
    process.nextTick(() => this.#settled());
  }

  #settled(): void {
    this.#settling = false;
    if (this.#waiting.length > 0) void this.#send();
    else this.#idle?.();
  }

  #failed(batch: Batch, error: unknown): void {
    if (this.#current !== batch) return;
    this.#failures += 1;
    if (this.#failures === 1) {
      this.#options.log.warn(
        { event: 'enqueue_failing', error: errorName(error) },
        'Logins cannot be queued; they wait in memory and are sent again',
      );
    }
    for (const entry of [...batch.entries, ...this.#waiting]) entry.settle('pending');
    const delayMs = Math.min(FIRST_RETRY_MS * 2 ** Math.min(this.#failures - 1, 10), LAST_RETRY_MS);
    this.#retryTimer = setTimeout(() => this.#retryNow(), delayMs);
    this.#retryTimer.unref();
  }

  #retryNow(): void {
    if (this.#retryTimer) clearTimeout(this.#retryTimer);
    this.#retryTimer = null;
    void this.#send();
  }
}
