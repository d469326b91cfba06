/**
 * Writes small `.mmdb` files for tests (MaxMind DB format 2.0, 24-bit records, no data pointers). Not for production:
 * the tree is built of objects, and a file holds at most 16 million nodes and data bytes together.
 */

/** Numbers are written as unsigned 32-bit, bigints as unsigned 64-bit integers. */
export type MmdbValue = string | number | bigint | boolean | MmdbValue[] | { readonly [key: string]: MmdbValue };

export interface MmdbFile {
  readonly databaseType: string;
  /** Milliseconds since the epoch. */
  readonly builtAtMs: number;
  /** Default 6; IPv4 networks then stand below `::/96`, as in the published files. */
  readonly ipVersion?: 4 | 6;
  /** CIDR -> record, e.g. `{ '81.2.69.0/24': { country: { iso_code: 'GB' } } }`. The longest prefix wins. */
  readonly networks: Readonly<Record<string, MmdbValue>>;
  /** Put over the metadata, to make wrong ones, e.g. `{ node_count: 'many' }`. */
  readonly metadata?: Readonly<Record<string, MmdbValue>>;
}

/** A record of the tree: nothing, the offset of a value in the data section, or a node. */
type Slot = null | number | Node;
interface Node {
  slots: [Slot, Slot];
  number: number;
}

export function writeMmdb(file: MmdbFile): Buffer {
  const ipVersion = file.ipVersion ?? 6;
  const { root, data } = treeOf(file.networks, ipVersion);
  const nodes = numbered(root);
  const tree = Buffer.concat(nodes.map((node) => nodeBytes(node, nodes.length)));
  const metadata = encode({ ...metadataOf(file, ipVersion, nodes.length), ...file.metadata });
  return Buffer.concat([tree, Buffer.alloc(16), data, Buffer.from('\xab\xcd\xefMaxMind.com', 'latin1'), metadata]);
}

function metadataOf(file: MmdbFile, ipVersion: number, nodeCount: number): Record<string, MmdbValue> {
  return {
    binary_format_major_version: 2,
    binary_format_minor_version: 0,
    build_epoch: BigInt(Math.floor(file.builtAtMs / 1000)),
    database_type: file.databaseType,
    description: { en: 'written by a test' },
    ip_version: ipVersion,
    languages: ['en'],
    node_count: nodeCount,
    record_size: 24,
  };
}

function treeOf(networks: MmdbFile['networks'], ipVersion: 4 | 6): { root: Node; data: Buffer } {
  const root = node(null);
  const chunks: Buffer[] = [];
  let offset = 0;
  const sorted = Object.entries(networks).map(([cidr, value]) => ({ bits: bitsOf(cidr, ipVersion), value }));
  sorted.sort((a, b) => a.bits.length - b.bits.length);
  for (const { bits, value } of sorted) {
    insert(root, bits, offset);
    const chunk = encode(value);
    chunks.push(chunk);
    offset += chunk.length;
  }
  return { root, data: Buffer.concat(chunks) };
}

function node(below: Slot): Node {
  return { slots: [below, below], number: -1 };
}

/** A shorter network on the way is split: its value goes on below on both sides. */
function insert(root: Node, bits: readonly (0 | 1)[], offset: number): void {
  let at = root;
  for (const bit of bits.slice(0, -1)) {
    const slot = at.slots[bit];
    const next = slot === null || typeof slot === 'number' ? node(slot) : slot;
    at.slots[bit] = next;
    at = next;
  }
  at.slots[bits.at(-1) ?? 0] = offset;
}

function bitsOf(cidr: string, ipVersion: 4 | 6): (0 | 1)[] {
  const [ip = '', length = ''] = cidr.split('/');
  const v4 = !ip.includes(':');
  const own = v4 ? ip.split('.').map((part) => Number(part).toString(2).padStart(8, '0')) : ipv6Bits(ip);
  const padding = v4 && ipVersion === 6 ? '0'.repeat(96) : '';
  const text = padding + own.join('').slice(0, Number(length));
  return [...text].map((bit) => (bit === '1' ? 1 : 0));
}

function ipv6Bits(ip: string): string[] {
  const [left = [], right = []] = ip.split('::').map((side) => side.split(':').filter((group) => group !== ''));
  const zeros = new Array<string>(8 - left.length - right.length).fill('0');
  return [...left, ...zeros, ...right].map((group) => Number.parseInt(group, 16).toString(2).padStart(16, '0'));
}

function numbered(root: Node): Node[] {
  const nodes = [root];
  for (const next of nodes) {
    next.number = nodes.indexOf(next);
    for (const slot of next.slots) if (slot !== null && typeof slot !== 'number') nodes.push(slot);
  }
  return nodes;
}

function nodeBytes({ slots }: Node, nodeCount: number): Buffer {
  const bytes = Buffer.alloc(6);
  slots.forEach((slot, side) => {
    const none = slot === null ? nodeCount : undefined;
    const value = typeof slot === 'number' ? nodeCount + 16 + slot : slot?.number;
    bytes.writeUIntBE(none ?? value ?? nodeCount, side * 3, 3);
  });
  return bytes;
}

/** Type numbers of the format; those above 7 are written as extended types. */
const TYPE = { string: 2, uint32: 6, map: 7, uint64: 9, array: 11, boolean: 14 } as const;

function encode(value: MmdbValue): Buffer {
  if (typeof value === 'string') return field(TYPE.string, Buffer.byteLength(value), Buffer.from(value));
  if (typeof value === 'number') return unsigned(TYPE.uint32, BigInt(value));
  if (typeof value === 'bigint') return unsigned(TYPE.uint64, value);
  if (typeof value === 'boolean') return field(TYPE.boolean, value ? 1 : 0);
  if (Array.isArray(value)) return field(TYPE.array, value.length, ...value.map(encode));
  const entries = Object.entries(value);
  return field(TYPE.map, entries.length, ...entries.flatMap(([key, item]) => [encode(key), encode(item)]));
}

/** Big-endian, without leading zero bytes. */
function unsigned(type: number, value: bigint): Buffer {
  const hex = value === 0n ? '' : value.toString(16);
  const bytes = Buffer.from(hex.padStart(hex.length + (hex.length % 2), '0'), 'hex');
  return field(type, bytes.length, bytes);
}

/** Sizes from 29 on take one more byte (up to 284), which is enough for tests. */
function field(type: number, size: number, ...payload: Buffer[]): Buffer {
  if (size > 284) throw new RangeError('mmdb-writer: a value of more than 284 bytes or entries');
  const head = [((type <= 7 ? type : 0) << 5) | Math.min(size, 29)];
  if (type > 7) head.push(type - 7);
  if (size >= 29) head.push(size - 29);
  return Buffer.concat([Buffer.from(head), ...payload]);
}
