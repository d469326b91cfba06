/** Where a command writes: results to standard output, everything else to standard error. */

import { loadTerminal } from '../../config/load.ts';
import { safeJson } from '../domain/hostile-text.ts';

const CODES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33 } as const;
export type Style = keyof typeof CODES;

export interface Terminal {
  /** Columns that a line may take; Infinity where nobody looks at it (a pipe). */
  readonly columns: number;
  paint(text: string, style: Style | null): string;
}

/** Colours and a width only on a terminal; `NO_COLOR` and `COLUMNS` are respected. */
export function standardOutput(): Terminal {
  const { noColor, columns } = loadTerminal();
  const isTerminal = process.stdout.isTTY === true;
  const width = isTerminal ? process.stdout.columns || 80 : Number.POSITIVE_INFINITY;
  return terminal(columns ?? width, isTerminal && !noColor);
}

export function terminal(columns: number, colour: boolean): Terminal {
  const paint = (text: string, style: Style | null) =>
    colour && style !== null ? `\u001b[${CODES[style]}m${text}\u001b[0m` : text;
  return { columns, paint };
}

export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

export function printJson(value: unknown): void {
  print(safeJson(value, 2));
}

/** Says on a terminal what is being waited for; the line goes away when the work is done. */
export async function withProgress<T>(what: string, work: Promise<T>): Promise<T> {
  if (process.stderr.isTTY !== true) return work;
  const timer = setTimeout(() => process.stderr.write(`\r${what} ...`), 200);
  try {
    return await work;
  } finally {
    clearTimeout(timer);
    process.stderr.write('\r\u001b[K');
  }
}
