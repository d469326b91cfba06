/** A large `.mmdb` file (IPv4, a complete tree), written directly: the writer beside it builds its tree of objects. */

export interface BigMmdb {
  readonly recordSize: 24 | 28 | 32;
  /** Depth of the tree: 2^levels - 1 nodes. */
  readonly levels: number;
  /** Distinct city records that the leaves lead to, in turn. */
  readonly records: number;
  readonly databaseType?: string;
}

const COUNTRIES = ['GB', 'FR', 'DE', 'US', 'JP', 'BR', 'ZA', 'AU'];

const text = (value: string): Buffer => {
  const bytes = Buffer.from(value);
  const head = bytes.length < 29 ? [0x40 | bytes.length] : [0x40 | 29, bytes.length - 29];
  return Buffer.concat([Buffer.from(head), bytes]);
};
const unsigned = (value: number): Buffer =>
  Buffer.from([0xc4, value >>> 24, (value >> 16) & 255, (value >> 8) & 255, value & 255]);
const map = (...pairs: (readonly [string, Buffer])[]): Buffer =>
  Buffer.concat([Buffer.from([0xe0 | pairs.length]), ...pairs.flatMap(([key, value]) => [text(key), value])]);
const double = (value: number): Buffer => {
  const bytes = Buffer.alloc(9);
  bytes[0] = 0x68;
  bytes.writeDoubleBE(value, 1);
  return bytes;
};

export function bigMmdb({ recordSize, levels, records, databaseType = 'Acme-City' }: BigMmdb): Buffer {
  const { data, offsets } = dataOf(records);
  const nodeCount = 2 ** levels - 1;
  const tree = treeOf(recordSize, nodeCount, offsets);
  const metadata = map(
    ['binary_format_major_version', unsigned(2)],
    ['binary_format_minor_version', unsigned(0)],
    ['build_epoch', unsigned(1_780_000_000)],
    ['database_type', text(databaseType)],
    ['description', map(['en', text('written by a test')])],
    ['ip_version', unsigned(4)],
    ['node_count', unsigned(nodeCount)],
    ['record_size', unsigned(recordSize)],
  );
  return Buffer.concat([tree, Buffer.alloc(16), data, Buffer.from('\xab\xcd\xefMaxMind.com', 'latin1'), metadata]);
}

function dataOf(records: number): { data: Buffer; offsets: Uint32Array } {
  const chunks: Buffer[] = [];
  const offsets = new Uint32Array(records);
  let offset = 0;
  for (let i = 0; i < records; i++) {
    const country = map(['iso_code', text(COUNTRIES[i % COUNTRIES.length] ?? '')]);
    const location = map(
      ['latitude', double((i % 180) - 90)],
      ['longitude', double((i % 360) - 180)],
      ['accuracy_radius', unsigned(1 + (i % 500))],
    );
    const record = map(['country', country], ['location', location]);
    offsets[i] = offset;
    offset += record.length;
    chunks.push(record);
  }
  return { data: Buffer.concat(chunks), offsets };
}

function treeOf(recordSize: number, nodeCount: number, offsets: Uint32Array): Buffer {
  const size = recordSize / 4;
  const tree = Buffer.alloc(nodeCount * size);
  for (let node = 0; node < nodeCount; node++) {
    const [left, right] = [2 * node + 1, 2 * node + 2].map((child) =>
      child < nodeCount ? child : nodeCount + 16 + (offsets[child % offsets.length] ?? 0),
    ) as [number, number];
    writeNode(tree, node * size, recordSize, left, right);
  }
  return tree;
}

function writeNode(tree: Buffer, at: number, recordSize: number, left: number, right: number): void {
  if (recordSize === 28) {
    tree.writeUIntBE(left & 0xffffff, at, 3);
    tree[at + 3] = ((left >>> 24) << 4) | (right >>> 24);
    tree.writeUIntBE(right & 0xffffff, at + 4, 3);
    return;
  }
  const bytes = recordSize / 8;
  tree.writeUIntBE(left, at, bytes);
  tree.writeUIntBE(right, at + bytes, bytes);
}
