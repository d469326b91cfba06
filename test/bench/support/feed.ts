/** A published geofeed, and pairs of its rows. */
import { readFileSync } from 'node:fs';
import { parseCidr } from '../../../src/domain/address.ts';
import { normaliseCountry } from '../../../src/domain/country.ts';
import type { AddressFamily } from '../../../src/domain/types.ts';
import { unquoted, withoutComment } from '../../../src/geo/geofeed-line.ts';

export interface Row {
  readonly family: AddressFamily;
  readonly words: readonly number[];
  readonly prefix: number;
  readonly country: string;
}

export type Draw = () => number;
export type Pair = readonly [Row, Row];

/** Lines that are no prefix with a country are skipped and counted; comments and blank ones are not. */
export function readFeed(path: string): { rows: Row[]; skipped: number } {
  const rows: Row[] = [];
  let skipped = 0;
  for (const whole of readFileSync(path, 'utf8')
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)) {
    const { text } = withoutComment(whole);
    if (text === '') continue;
    const [prefix = '', code = ''] = text.split(',', 2).map(unquoted);
    const cidr = parseCidr(prefix);
    const { country } = normaliseCountry(code);
    if (cidr === null || country === undefined) skipped++;
    else rows.push({ family: cidr.family, words: cidr.words, prefix: cidr.prefix, country });
  }
  return { rows, skipped };
}

/** Neighbours in a list: from one index to before another. */
interface Span {
  readonly from: number;
  readonly to: number;
}

const sizeOf = ({ from, to }: Span): number => to - from;

/** The rows of one family and country, side by side; those of its family, and the blocks of its family. */
interface Block extends Span {
  readonly index: number;
  readonly family: { rows: Span; blocks: Span };
}

/** Pairs by index, out of rows that are sorted once: a feed of half a million rows is drawn from as fast as one of ten. */
export class Feed {
  readonly #rows: readonly Row[];
  readonly #blocks: readonly Block[];

  constructor(rows: readonly Row[]) {
    this.#rows = [...rows].sort(
      (a, b) => a.family - b.family || (a.country < b.country ? -1 : +(a.country > b.country)),
    );
    this.#blocks = blocksOf(this.#rows);
  }

  /** First the country, each alike, then one of its rows. Null where no two rows are such a pair. */
  byCountry(isSame: boolean): ((draw: Draw) => Pair) | null {
    const firsts = this.#withPartner(isSame);
    if (firsts.length === 0) return null;
    return (draw) => {
      const block = pick(firsts, draw);
      const other = isSame ? block : this.#block(outside(block.family.blocks, blockAlone(block), draw));
      return [this.#row(inside(block, draw)), this.#row(inside(other, draw))];
    };
  }

  /** Every row alike, and its partner alike among those that fit. */
  byRow(isSame: boolean): ((draw: Draw) => Pair) | null {
    const firsts = this.#withPartner(isSame).flatMap((block) => Array<Block>(sizeOf(block)).fill(block));
    if (firsts.length === 0) return null;
    return (draw) => {
      const block = pick(firsts, draw);
      const other = isSame ? inside(block, draw) : outside(block.family.rows, block, draw);
      return [this.#row(inside(block, draw)), this.#row(other)];
    };
  }

  #withPartner(isSame: boolean): Block[] {
    return this.#blocks.filter((block) => (isSame ? sizeOf(block) : sizeOf(block.family.blocks)) > 1);
  }

  #row(index: number): Row {
    return this.#rows[index] as Row;
  }

  #block(index: number): Block {
    return this.#blocks[index] as Block;
  }
}

function blocksOf(rows: readonly Row[]): readonly Block[] {
  const spans = spansOf(rows, ({ family, country }) => `${family} ${country}`);
  const families = spansOf(rows, ({ family }) => family).map((span) => {
    const of = spans.flatMap(({ from }, index) => (span.from <= from && from < span.to ? [index] : []));
    return { rows: span, blocks: { from: of[0] ?? 0, to: (of.at(-1) ?? -1) + 1 } };
  });
  return families.flatMap((family) =>
    spans
      .slice(family.blocks.from, family.blocks.to)
      .map((span, i) => ({ ...span, index: family.blocks.from + i, family })),
  );
}

/** Runs of rows with the same key. */
function spansOf(rows: readonly Row[], keyOf: (row: Row) => unknown): readonly Span[] {
  const starts: number[] = [];
  let before: unknown;
  for (const [at, row] of rows.entries()) {
    const key = keyOf(row);
    if (key !== before) starts.push(at);
    before = key;
  }
  return starts.map((from, i) => ({ from, to: starts[i + 1] ?? rows.length }));
}

const blockAlone = ({ index }: Block): Span => ({ from: index, to: index + 1 });

const inside = ({ from, to }: Span, draw: Draw): number => from + Math.floor(draw() * (to - from));

function outside(all: Span, hole: Span, draw: Draw): number {
  const at = all.from + Math.floor(draw() * (sizeOf(all) - sizeOf(hole)));
  return at < hole.from ? at : at + sizeOf(hole);
}

const pick = <T>(list: readonly T[], draw: Draw): T => list[Math.floor(draw() * list.length)] as T;
