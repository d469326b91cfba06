/** Few numbers, honestly put together: medians of alternated rounds, ratios of pairs. */

export function percentile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  // Nearest rank: always a value that was measured.
  return sorted[Math.max(0, Math.ceil(part * sorted.length) - 1)] ?? Number.NaN;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2;
}

/** Three significant digits and never an exponent: what these benches can tell. */
export function short(value: number): number {
  return Number(value.toPrecision(value >= 1000 ? Math.floor(Math.log10(value)) + 1 : 3));
}

export interface Pair<T> {
  readonly ours: T;
  readonly peer: T;
}

/** Runs both sides `rounds` times in turn, and who goes first alternates too: neither always gets the warmer machine. */
export async function alternate<T>(
  rounds: number,
  ours: (round: number) => Promise<T>,
  peer: (round: number) => Promise<T>,
): Promise<Pair<T>[]> {
  const pairs: Pair<T>[] = [];
  for (let round = 0; round < rounds; round++) {
    if (round % 2 === 0) {
      const first = await ours(round);
      pairs.push({ ours: first, peer: await peer(round) });
    } else {
      const first = await peer(round);
      pairs.push({ peer: first, ours: await ours(round) });
    }
  }
  return pairs;
}

/** One number of each round. */
export function pick<T>(pairs: readonly Pair<T>[], read: (one: T) => number): Pair<number>[] {
  return pairs.map(({ ours, peer }) => ({ ours: read(ours), peer: read(peer) }));
}

export function medians(pairs: readonly Pair<number>[]): Pair<number> {
  return { ours: median(pairs.map((pair) => pair.ours)), peer: median(pairs.map((pair) => pair.peer)) };
}

/** `[ours, peer]` of each round. */
export function raw(pairs: readonly Pair<number>[]): [number, number][] {
  return pairs.map(({ ours, peer }) => [short(ours), short(peer)]);
}

/** Seeded, so that every run meets the same users and addresses (mulberry32). */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
