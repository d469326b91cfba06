/** What a bench gives back, as the last line of JSON or as a table. */
import { availableParallelism, cpus, loadavg } from 'node:os';

export interface Report {
  readonly bench: string;
  readonly [more: string]: unknown;
}

/** Of a bench that compares one figure. */
export interface BenchResult extends Report {
  /** The figure that is compared, of our side and of the peer. */
  readonly ours: number;
  readonly peer: number;
  /** How many times better ours is: above 1 is better, whichever way the figure itself goes. */
  readonly ratio: number;
  /** What `ours` and `peer` are. */
  readonly unit: string;
  /** Everything else: raw rounds, conditions, counts. */
  readonly [more: string]: unknown;
}

/** What a bench is told. `scale` below 1 makes it smaller in every way, for tests: its figures then mean nothing. */
export interface BenchOptions {
  readonly rounds: number | null;
  readonly scale: number;
  /** A geofeed, for `accuracy`. */
  readonly csv?: string | undefined;
  /** Databases beside those that npm ships, for `accuracy`. */
  readonly databases?: readonly string[] | undefined;
  /** For progress lines. */
  say(line: string): void;
}

export type Bench = (options: BenchOptions) => Promise<Report>;

export function scaled(count: number, options: BenchOptions): number {
  return Math.max(10, Math.round(count * options.scale));
}

export function machine(redis: string) {
  return {
    cores: availableParallelism(),
    cpu: cpus()[0]?.model ?? '?',
    node: process.version,
    redis,
    platform: `${process.platform} ${process.arch}`,
    // Far above the number of processes of the bench: others were busy on this machine, repeat it.
    load1: Number((loadavg()[0] ?? 0).toFixed(2)),
  };
}

export function table(result: Report): string {
  const rows = Object.entries(result).map(([name, value]) => [name, text(value)] as const);
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `${name.padEnd(width)}  ${value}`).join('\n');
}

function text(value: unknown): string {
  if (Array.isArray(value)) return value.map((one) => (Array.isArray(one) ? one.join(' : ') : text(one))).join(',  ');
  if (typeof value !== 'object' || value === null) return String(value);
  return Object.entries(value)
    .map(([name, one]) => `${name} ${text(one)}`)
    .join(', ');
}
