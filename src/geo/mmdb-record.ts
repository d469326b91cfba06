/**
 * Decodes one value of an `.mmdb` file's data (MaxMind DB format 2.0), with a budget. The library's decoder follows what a
 * damaged file says without a limit: a map of 16 million entries, or a pointer to itself, holds up every login meanwhile.
 */

/** A city record in eight languages has about 250 values. */
const MAX_VALUES = 4096;
const MAX_DEPTH = 32;
/** Of one text. Nothing that we read comes near it. */
const MAX_TEXT = 64 * 1024;

const DAMAGED = 'damaged record';

/** Type numbers of the format. */
const POINTER = 1;
const EXTENDED = 0;

interface Cursor {
  readonly bytes: Buffer;
  /** What pointers count from. */
  readonly base: number;
  /** Nothing is read from here on. */
  readonly end: number;
  at: number;
  values: number;
}

/** The value at `offset`; `base` and `end` are the first byte of the data section and the one after its last. Throws. */
export function decodeRecord(bytes: Buffer, offset: number, base: number, end: number): unknown {
  if (!(offset >= base && offset < end)) throw new RangeError(DAMAGED);
  return decode({ bytes, base, end, at: offset, values: 0 }, 0);
}

function decode(cursor: Cursor, depth: number): unknown {
  if (++cursor.values > MAX_VALUES || depth > MAX_DEPTH) throw new RangeError(DAMAGED);
  const control = unsigned(cursor, 1);
  const type = control >> 5;
  if (type === POINTER) return decodeThere(cursor, control, depth);
  // The size of an extended type's value stands in the first byte, its type in the second.
  const own = type === EXTENDED ? extended(cursor) : type;
  return decodeValue(cursor, own, sizeOf(cursor, control & 31), depth);
}

/** From 8: what a run of zeros would be, a map written the long way, is nowhere else. */
function extended(cursor: Cursor): number {
  const type = unsigned(cursor, 1) + 7;
  if (type === 7) throw new RangeError(DAMAGED);
  return type;
}

/** A pointer leads to a value that is no pointer; after it the cursor goes on where it was. */
function decodeThere(cursor: Cursor, control: number, depth: number): unknown {
  const size = (control >> 3) & 3;
  const low = unsigned(cursor, size + 1);
  const high = size === 3 ? 0 : (control & 7) * 2 ** (8 * (size + 1));
  const target = cursor.base + high + low + (POINTER_BIAS[size] ?? 0);
  const back = cursor.at;
  if (target >= cursor.end || (cursor.bytes[target] ?? 0) >> 5 === POINTER) throw new RangeError(DAMAGED);
  cursor.at = target;
  const value = decode(cursor, depth + 1);
  cursor.at = back;
  return value;
}

const POINTER_BIAS = [0, 2048, 526_336, 0];

function sizeOf(cursor: Cursor, size: number): number {
  if (size < 29) return size;
  if (size === 29) return 29 + unsigned(cursor, 1);
  return size === 30 ? 285 + unsigned(cursor, 2) : 65_821 + unsigned(cursor, 3);
}

function decodeValue(cursor: Cursor, type: number, size: number, depth: number): unknown {
  switch (type) {
    case 2:
      return text(cursor, size);
    case 3:
      return cursor.bytes.readDoubleBE(skip(cursor, 8, size));
    case 4:
      return cursor.bytes.subarray(skip(cursor, size), cursor.at);
    case 5:
    case 6:
      return unsigned(cursor, size > 4 ? -1 : size);
    case 7:
      return map(cursor, size, depth);
    case 8:
      return unsigned(cursor, size > 4 ? -1 : size) | 0;
    case 9:
    case 10:
      return wide(cursor, size);
    case 11:
      return list(cursor, size, depth);
    case 14:
      return size !== 0;
    case 15:
      return cursor.bytes.readFloatBE(skip(cursor, 4, size));
    default:
      throw new RangeError(DAMAGED);
  }
}

/** Moves on by `size` bytes and says where they began. */
function skip(cursor: Cursor, size: number, given = size): number {
  const from = cursor.at;
  if (size < 0 || size !== given || from + size > cursor.end) throw new RangeError(DAMAGED);
  cursor.at = from + size;
  return from;
}

function unsigned(cursor: Cursor, size: number): number {
  const from = skip(cursor, size);
  let value = 0;
  for (let i = from; i < cursor.at; i++) value = value * 256 + (cursor.bytes[i] ?? 0);
  return value;
}

/** Up to 128 bits. As the library: a number where it is exact, else a bigint. */
function wide(cursor: Cursor, size: number): number | bigint {
  if (size > 16) throw new RangeError(DAMAGED);
  const from = skip(cursor, size);
  let value = 0n;
  for (let i = from; i < cursor.at; i++) value = value * 256n + BigInt(cursor.bytes[i] ?? 0);
  return value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;
}

function text(cursor: Cursor, size: number): string {
  if (size > MAX_TEXT) throw new RangeError(DAMAGED);
  const from = skip(cursor, size);
  return cursor.bytes.toString('utf8', from, cursor.at);
}

/** No prototype: a key of the file may be called anything. */
function map(cursor: Cursor, size: number, depth: number): Record<string, unknown> {
  const found: Record<string, unknown> = Object.create(null);
  for (let i = 0; i < size; i++) {
    const key = decode(cursor, depth + 1);
    if (typeof key !== 'string') throw new RangeError(DAMAGED);
    found[key] = decode(cursor, depth + 1);
  }
  return found;
}

function list(cursor: Cursor, size: number, depth: number): unknown[] {
  const found: unknown[] = [];
  for (let i = 0; i < size; i++) found.push(decode(cursor, depth + 1));
  return found;
}
