/**
 * The search tree of an `.mmdb` file: finding an address, and checking that it is one tree without a loose end.
 *
 * An own walk, since the library's parses the text again, walks every address's first bits anew and costs six times as much.
 * Here a table holds where each first 16 bits lead, for both families. The bytes are the file's own; nothing is copied.
 */

import type { AddressFamily } from '../domain/types.ts';

export interface TreeShape {
  readonly bytes: Buffer;
  readonly nodeCount: number;
  /** Bits of one of a node's two records: 24, 28 or 32. */
  readonly recordSize: number;
  readonly ipVersion: 4 | 6;
}

/** Where each first 16 bits lead: a record, and after how many bits it was met. */
interface Start {
  readonly record: Uint32Array;
  readonly depth: Uint8Array;
}

const TABLE_BITS = 16;

/** Zero bytes between the tree and the data: records below `nodeCount + 16` mean nothing. */
export const SEPARATOR_BYTES = 16;

export class MmdbTree {
  readonly nodeCount: number;
  readonly ipVersion: 4 | 6;
  /** Bits that lead to the last answer of `find`: the length of its network's prefix in the asked family. */
  depth = 0;
  readonly #record: (node: number, side: number) => number;
  readonly #v4: Start;
  readonly #v6: Start | null;

  /** Takes a tree whose size has been checked against the file's. Costs a few milliseconds. */
  constructor({ bytes, nodeCount, recordSize, ipVersion }: TreeShape) {
    this.nodeCount = nodeCount;
    this.ipVersion = ipVersion;
    this.#record = recordReader(bytes, recordSize);
    this.#v6 = ipVersion === 6 ? this.#startOf(0) : null;
    this.#v4 = this.#startOf(ipVersion === 6 ? this.#v4Root() : 0);
  }

  /** Right or left record of a node. */
  record(node: number, side: number): number {
    return this.#record(node, side);
  }

  /**
   * The data offset (from the start of the data section) for an address, as `wordsOf` gives its bits; -1 where the tree has
   * none. An IPv4 file has no word for IPv6: -1, where the library would walk its first 32 bits.
   */
  find(words: Uint16Array, family: AddressFamily): number {
    const start = family === 4 ? this.#v4 : this.#v6;
    this.depth = 0;
    if (start === null) return -1;
    const first = words[0] ?? 0;
    const bits = family === 4 ? 32 : 128;
    const { nodeCount } = this;
    let node = start.record[first] ?? nodeCount;
    let depth = start.depth[first] ?? 0;
    while (node < nodeCount && depth < bits) {
      node = this.#record(node, ((words[depth >> 4] ?? 0) >> (15 - (depth & 15))) & 1);
      depth++;
    }
    this.depth = depth;
    return node > nodeCount ? node - nodeCount - SEPARATOR_BYTES : -1;
  }

  /** Has it a word of any address of the family? Of IPv6: of 2000::/3, which is all that is in use. */
  holds(family: AddressFamily): boolean {
    if (family === 6) return this.ipVersion === 6 && this.#at('001') !== this.nodeCount;
    return (this.ipVersion === 6 ? this.#v4Root() : 0) !== this.nodeCount;
  }

  /** IPv4 stands below 96 zero bits. */
  #v4Root(): number {
    return this.#at('0'.repeat(96));
  }

  /** The record that these bits lead to from the root, or the one before it that is no node. */
  #at(bits: string): number {
    let node = 0;
    for (let i = 0; i < bits.length && node < this.nodeCount; i++) node = this.#record(node, bits[i] === '1' ? 1 : 0);
    return node;
  }

  #startOf(root: number): Start {
    const start = { record: new Uint32Array(1 << TABLE_BITS), depth: new Uint8Array(1 << TABLE_BITS) };
    this.#fill(start, root, 0, 0);
    return start;
  }

  #fill(start: Start, node: number, from: number, depth: number): void {
    if (node < this.nodeCount && depth < TABLE_BITS) {
      this.#fill(start, this.#record(node, 0), from, depth + 1);
      this.#fill(start, this.#record(node, 1), from + (1 << (TABLE_BITS - depth - 1)), depth + 1);
      return;
    }
    const end = from + (1 << (TABLE_BITS - depth));
    start.record.fill(node, from, end);
    start.depth.fill(depth, from, end);
  }
}

function recordReader(bytes: Buffer, recordSize: number): (node: number, side: number) => number {
  const at = (index: number): number => bytes[index] ?? 0;
  if (recordSize === 24) {
    return (node, side) => {
      const from = node * 6 + side * 3;
      return (at(from) << 16) | (at(from + 1) << 8) | at(from + 2);
    };
  }
  if (recordSize === 32) return (node, side) => bytes.readUInt32BE(node * 8 + side * 4);
  // 28 bits: the byte in the middle holds the high four of the left record, then of the right one.
  return (node, side) => {
    const from = node * 7 + side * 4;
    const middle = at(node * 7 + 3);
    const high = side === 0 ? middle >> 4 : middle & 15;
    return (high << 24) | (at(from) << 16) | (at(from + 1) << 8) | at(from + 2);
  };
}

export interface TreeCheck {
  /** Why it is no sound tree, or null. */
  readonly problem: 'record_outside' | 'node_without_parent' | null;
  /** Distinct data offsets, the first ones up to a bound. */
  readonly offsets: ReadonlySet<number>;
}

/** Of a city file some; of a country file all. */
const MAX_OFFSETS = 20_000;
/** About two milliseconds of work. */
const NODES_AT_A_TIME = 20_000;

/**
 * Looks at every record: it must be a node, nothing, or lead into the data; and to every node but the root one must lead.
 * (A wrong bit in a record cuts its former node off, so most damage shows, and two files mixed into one always.)
 *
 * `pause` is awaited every few milliseconds of work: a city file has ten million records, and logins must not wait.
 */
export async function checkTree(tree: MmdbTree, dataBytes: number, pause: () => Promise<void>): Promise<TreeCheck> {
  const { nodeCount } = tree;
  const hasParent = new Uint8Array((nodeCount >> 3) + 1);
  const offsets = new Set<number>();
  for (let from = 0; from < nodeCount; from += NODES_AT_A_TIME) {
    if (from > 0) await pause();
    const end = Math.min(nodeCount, from + NODES_AT_A_TIME);
    for (let node = from; node < end; node++) {
      for (let side = 0; side < 2; side++) {
        const record = tree.record(node, side);
        if (record < nodeCount) hasParent[record >> 3] = (hasParent[record >> 3] ?? 0) | (1 << (record & 7));
        else if (record > nodeCount) {
          const offset = record - nodeCount - SEPARATOR_BYTES;
          if (offset < 0 || offset >= dataBytes) return { problem: 'record_outside', offsets };
          if (offsets.size < MAX_OFFSETS) offsets.add(offset);
        }
      }
    }
  }
  return { problem: allHaveParents(hasParent, nodeCount) ? null : 'node_without_parent', offsets };
}

/** One bit a node; the root needs none. */
function allHaveParents(hasParent: Uint8Array, nodeCount: number): boolean {
  hasParent[0] = (hasParent[0] ?? 0) | 1;
  const whole = nodeCount >> 3;
  for (let i = 0; i < whole; i++) if (hasParent[i] !== 0xff) return false;
  return hasParent[whole] === (1 << (nodeCount & 7)) - 1;
}
