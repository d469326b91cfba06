/** Tables that fit: columns give way to a narrow terminal, and every cell is cleaned here, once. */

import type { Style, Terminal } from './terminal.ts';
import { clean, cut, padded, widthOf } from './text.ts';

export interface Column<T> {
  readonly title: string;
  value(row: T): string;
  /** It keeps this width as long as a column can be left out instead. When left out, it is never cut. */
  readonly min?: number;
  /** Left out where there is no room for it. */
  readonly optional?: boolean;
  style?(row: T): Style | null;
}

const GAP = 2;
/** Two letters and an ellipsis still tell something. */
const LEAST = 3;

/** A head line and one line a row, without a line break at the end. */
export function table<T>(rows: readonly T[], columns: readonly Column<T>[], terminal: Terminal): string {
  const cells = rows.map((row) => columns.map((column) => clean(column.value(row))));
  const natural = columns.map(({ title }, i) => Math.max(title.length, ...cells.map((row) => widthOf(row[i] ?? ''))));
  const widths = fitted(columns, natural, terminal.columns);
  const line = (texts: readonly string[], styleOf: (i: number) => Style | null): string => {
    const last = widths.findLastIndex((width) => width > 0);
    const shown = widths.flatMap((width, i) => {
      if (width === 0) return [];
      const text = cut(texts[i] ?? '', width);
      return [terminal.paint(i === last ? text : padded(text, width), styleOf(i))];
    });
    return shown.join(' '.repeat(GAP)).trimEnd();
  };
  const head = line(
    columns.map(({ title }) => title),
    () => 'dim',
  );
  const body = rows.map((row, at) => line(cells[at] ?? [], (i) => columns[i]?.style?.(row) ?? null));
  return [head, ...body].join('\n');
}

/** The width of each column, 0 for one that is left out. */
function fitted<T>(columns: readonly Column<T>[], natural: readonly number[], room: number): number[] {
  const least = columns.map(({ min }, i) => Math.min(min ?? Number.POSITIVE_INFINITY, natural[i] ?? 0));
  const widths = [...natural];
  const total = (of: readonly number[]) => of.reduce((sum, width) => sum + (width > 0 ? width + GAP : 0), -GAP);
  for (let i = columns.length - 1; i >= 0 && total(least) > room; i--) {
    if (columns[i]?.optional !== true) continue;
    least[i] = 0;
    widths[i] = 0;
  }
  shrink(widths, least, () => total(widths) > room);
  const last = columns.map(({ min }, i) => (min === undefined ? (natural[i] ?? 0) : LEAST));
  shrink(widths, last, () => total(widths) > room);
  return widths;
}

/** The widest give way first, a column at a time. */
function shrink(widths: number[], least: readonly number[], tooWide: () => boolean): void {
  for (let at = widestAbove(widths, least); at !== -1 && tooWide(); at = widestAbove(widths, least)) {
    widths[at] = (widths[at] ?? 0) - 1;
  }
}

/** The widest column that may still give way, or -1. */
function widestAbove(widths: readonly number[], least: readonly number[]): number {
  let found = -1;
  for (const [i, width] of widths.entries()) {
    if (width > (least[i] ?? 0) && width > (widths[found] ?? 0)) found = i;
  }
  return found;
}

/** Two blocks of lines beside each other, or below each other where that is too narrow. Lines must be clean. */
export function sideBySide(left: readonly string[], right: readonly string[], terminal: Terminal): string[] {
  const columns = Math.min(terminal.columns, 120);
  if (columns < 70) return [...left, '', ...right].map((line) => cut(line, columns));
  const half = Math.floor((columns - GAP) / 2);
  const height = Math.max(left.length, right.length);
  return Array.from({ length: height }, (_, i) => {
    const first = padded(cut(left[i] ?? '', half), half + GAP);
    return `${first}${cut(right[i] ?? '', half)}`.trimEnd();
  });
}
