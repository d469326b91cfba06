/** What the processes of the `bounce` bench saw, put together for each thief. */
import type { Reported } from '../roles/bounce-web.ts';
import type { Ended } from '../roles/bounce-worker.ts';
import type { Polled } from '../roles/poller.ts';
import { percentile, short } from './stats.ts';

export interface Seen {
  /** From the call of reportLogin to the end of the first refused request; null when none was refused. */
  readonly ms: number | null;
  readonly servedAfterTombstone: number;
  readonly servedWhileWriting: number;
  readonly requests: number;
}

/** When one thief's session ended, as far as anyone can tell from outside. Monotonic milliseconds. */
export interface Written {
  /** Not before this: the time in our tombstone, read just before it is sent. For the peer the same as the next. */
  readonly fromMs: number;
  /** Not after this: the worker had Redis's answer. */
  readonly confirmedMs: number;
}

/** Each thief's own: our tombstone names the time that its batch read, the peer's worker the session. */
export function writtenTimes(
  reported: readonly Reported[],
  ended: readonly Ended[],
  tombstones: ReadonlyMap<string, number> | null,
): Written[] {
  // The first confirmation counts: another batch may have read the clock in the same millisecond.
  const byKey = new Map([...ended].reverse().map((one) => [one.key, one]));
  return reported.map(({ sessionId }, index) => {
    const atMs = tombstones?.get(sessionId);
    const end = byKey.get(tombstones === null ? sessionId : String(atMs));
    if (end === undefined) throw new Error(`The session of thief ${index} was never ended`);
    return { fromMs: atMs === undefined ? end.confirmedMs : atMs + end.offsetMs, confirmedMs: end.confirmedMs };
  });
}

export function judge(reported: readonly Reported[], polled: readonly Polled[], written: readonly Written[]): Seen[] {
  return polled.map(({ firstRefusedMs, servedBeganMs, requests }, index) => {
    const { fromMs, confirmedMs } = written[index] ?? { fromMs: Number.NaN, confirmedMs: Number.NaN };
    const reportedMs = reported[index]?.atMs ?? Number.NaN;
    return {
      ms: firstRefusedMs === null ? null : firstRefusedMs - reportedMs,
      servedAfterTombstone: servedBeganMs.filter((began) => began > confirmedMs).length,
      servedWhileWriting: servedBeganMs.filter((began) => began > fromMs && began <= confirmedMs).length,
      requests,
    };
  });
}

export function summarise(seen: readonly Seen[]) {
  const times = seen.map(({ ms }) => ms ?? Number.POSITIVE_INFINITY);
  const sum = (read: (one: Seen) => number) => seen.reduce((total, one) => total + read(one), 0);
  return {
    p50: short(percentile(times, 0.5)),
    p99: short(percentile(times, 0.99)),
    servedAfterTombstone: sum((one) => one.servedAfterTombstone),
    servedWhileWriting: sum((one) => one.servedWhileWriting),
    neverRefused: seen.filter(({ ms }) => ms === null).length,
    thieves: seen.length,
    requests: sum((one) => one.requests),
  };
}
