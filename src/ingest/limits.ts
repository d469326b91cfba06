/** Token buckets, in this process's memory: each process has its own. */

export interface BucketOptions {
  readonly perSecond: number;
  /** How much may come at once after a rest. */
  readonly burst: number;
  /** How many names are known at the same time; the one that was new the longest ago is forgotten for another. */
  readonly most?: number;
}

interface Bucket {
  tokens: number;
  atMs: number;
}

export class Buckets {
  readonly #options: Required<BucketOptions>;
  readonly #buckets = new Map<string, Bucket>();

  constructor(options: BucketOptions) {
    this.#options = { most: 10_000, ...options };
  }

  /** How long until this much may be taken, milliseconds; 0: now. Takes nothing. */
  waitMs(name: string, count: number, nowMs: number): number {
    const { perSecond, burst } = this.#options;
    const missing = Math.min(count, burst) - this.#filled(name, nowMs).tokens;
    return missing <= 0 ? 0 : Math.ceil((1000 * missing) / perSecond);
  }

  /** More than is there makes a debt, which is worked off first: a large batch passes, and what follows it waits. */
  take(name: string, count: number, nowMs: number): void {
    this.#filled(name, nowMs).tokens -= count;
  }

  #filled(name: string, nowMs: number): Bucket {
    const { perSecond, burst, most } = this.#options;
    let bucket = this.#buckets.get(name);
    if (bucket === undefined) {
      if (this.#buckets.size >= most) this.#buckets.delete(this.#buckets.keys().next().value ?? '');
      bucket = { tokens: burst, atMs: nowMs };
      this.#buckets.set(name, bucket);
    }
    // A clock that was set back gives nothing and takes nothing.
    const passedMs = Math.max(0, nowMs - bucket.atMs);
    bucket.tokens = Math.min(burst, bucket.tokens + (passedMs * perSecond) / 1000);
    bucket.atMs = nowMs;
    return bucket;
  }
}
