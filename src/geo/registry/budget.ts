/**
 * How much we may ask each registry. They are free services with limits that they enforce by refusing, for a day or for
 * good; so we stay far below on our own, and stop as soon as one says so. Kept per process: run one registry worker.
 */

import type { Registry } from '../../domain/registry.ts';
import type { Clock } from '../../ports.ts';

export interface Rate {
  /** Questions that may be asked at once after a quiet time. */
  readonly burst: number;
  /** How many come back each minute. */
  readonly perMinute: number;
}

/** LACNIC answers about ten questions a minute before it refuses; the others allow more than this. */
export const DEFAULT_RATES: Readonly<Record<Registry, Rate>> = {
  afrinic: { burst: 5, perMinute: 20 },
  apnic: { burst: 5, perMinute: 20 },
  arin: { burst: 10, perMinute: 30 },
  lacnic: { burst: 3, perMinute: 6 },
  ripe: { burst: 10, perMinute: 30 },
};

/** Failures in a row (no connection, no time, no sense) after which a registry is left alone. */
const FAILURES_TO_OPEN = 5;
const FIRST_PAUSE_MS = 30_000;
const MAX_PAUSE_MS = 3_600_000;

/** Permanently denied: a person must talk to the registry; asking once a day tells whether one has. */
const DENIED_PAUSE_MS = 86_400_000;

/** A token bucket and a circuit breaker, for one registry. Times are in milliseconds. */
export class Budget {
  readonly #rate: Rate;
  readonly #clock: Clock;
  #tokens: number;
  #filledAtMs: number;
  #openUntilMs = 0;
  #failures = 0;
  #pauses = 0;

  constructor(rate: Rate, clock: Clock) {
    this.#rate = rate;
    this.#clock = clock;
    this.#tokens = rate.burst;
    this.#filledAtMs = clock();
  }

  /** Takes one question: 0, or how long to wait before one may be had. */
  take(): number {
    const nowMs = this.#clock();
    if (nowMs < this.#openUntilMs) return this.#openUntilMs - nowMs;
    const perMs = this.#rate.perMinute / 60_000;
    const elapsedMs = Math.max(0, nowMs - this.#filledAtMs);
    this.#tokens = Math.min(this.#rate.burst, this.#tokens + elapsedMs * perMs);
    this.#filledAtMs = nowMs;
    if (this.#tokens < 1) return Math.ceil((1 - this.#tokens) / perMs);
    this.#tokens -= 1;
    return 0;
  }

  succeeded(): void {
    this.#failures = 0;
    this.#pauses = 0;
  }

  /** No answer. Returns how long the registry is left alone now, 0 for not yet. */
  failed(): number {
    this.#failures += 1;
    return this.#failures < FAILURES_TO_OPEN ? 0 : this.#open(null);
  }

  /** It refused: `retryAfterMs` as it asked for, or null; `forGood` when it says that it will not answer us again. */
  refused(retryAfterMs: number | null, forGood: boolean): number {
    return this.#open(forGood ? DENIED_PAUSE_MS : retryAfterMs);
  }

  #open(pauseMs: number | null): number {
    const doubling = Math.min(MAX_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(this.#pauses, 10));
    const ms = pauseMs ?? doubling;
    this.#pauses += 1;
    // One question after the pause decides: its failure opens the circuit again at once.
    this.#failures = FAILURES_TO_OPEN - 1;
    this.#openUntilMs = Math.max(this.#openUntilMs, this.#clock() + ms);
    this.#tokens = 1;
    this.#filledAtMs = this.#openUntilMs;
    return ms;
  }
}

export function budgetsFor(rates: Readonly<Record<Registry, Rate>>, clock: Clock): Readonly<Record<Registry, Budget>> {
  const of = (registry: Registry) => new Budget(rates[registry], clock);
  return { afrinic: of('afrinic'), apnic: of('apnic'), arin: of('arin'), lacnic: of('lacnic'), ripe: of('ripe') };
}
