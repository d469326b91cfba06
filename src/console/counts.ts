/** Counts over time, gathered into the bars of a chart. */

import type { SeriesPoint } from '../desk-ports.ts';

const HOUR_MS = 3_600_000;

/** What the overview can show. Each begins at a whole bar, so that the first is no half one. */
export const PERIODS = {
  day: { text: 'last day', bars: 24, barMs: HOUR_MS, bar: 'an hour' },
  week: { text: 'last week', bars: 28, barMs: 6 * HOUR_MS, bar: 'six hours' },
} as const;
export type PeriodName = keyof typeof PERIODS;

export interface Period {
  readonly name: PeriodName;
  readonly text: string;
  /** What one bar stands for, in words. */
  readonly bar: string;
  readonly barMs: number;
  readonly bars: number;
  readonly fromMs: number;
  readonly toMs: number;
}

export function periodOf(name: PeriodName, nowMs: number): Period {
  const { bars, barMs, ...words } = PERIODS[name];
  const fromMs = Math.floor(nowMs / barMs) * barMs - (bars - 1) * barMs;
  return { name, ...words, bars, barMs, fromMs, toMs: nowMs };
}

/** The names in the order a login goes through them. */
export const SERIES = [
  { name: 'checked', text: 'Checked' },
  { name: 'unchecked', text: 'Not checked' },
  { name: 'flagged', text: 'Flagged' },
  { name: 'revoked', text: 'Ended' },
  { name: 'would_revoke', text: 'Would have ended' },
] as const;
export type SeriesName = (typeof SERIES)[number]['name'];

export interface Bar {
  readonly atMs: number;
  readonly counts: Readonly<Record<SeriesName, number>>;
}

/** One bar for each step of the period, oldest first, empty ones too. What lies outside is left out. */
export function barsOf(points: readonly SeriesPoint[], { fromMs, barMs, bars }: Period): Bar[] {
  const found = Array.from({ length: bars }, (_, i) => ({
    atMs: fromMs + i * barMs,
    counts: { checked: 0, unchecked: 0, flagged: 0, revoked: 0, would_revoke: 0 },
  }));
  for (const { atMs, counts } of points) {
    const bar = found[Math.floor((atMs - fromMs) / barMs)];
    for (const { name } of bar === undefined ? [] : SERIES) if (bar) bar.counts[name] += counts[name] ?? 0;
  }
  return found;
}

export function totalOf(bars: readonly Bar[], name: SeriesName): number {
  return bars.reduce((sum, { counts }) => sum + counts[name], 0);
}
