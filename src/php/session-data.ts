import { type Cell, NULL_NODE, Reader, SerializedError, Writer } from './serialized.ts';

/** `session.serialize_handler`. (`php_binary` and `igbinary` are not written; a session in them is destroyed instead.) */
export type SessionFormat = 'php' | 'php_serialize';

/** Larger sessions are not read: they are destroyed instead. Bytes. */
export const MAX_SESSION_BYTES = 4 * 1024 * 1024;

/** Why a session's data could not be changed in place. */
export type UnreadableWhy = 'igbinary' | 'compressed' | 'too_large' | 'unreadable';

export type Nulled =
  /** The variable is NULL now. */
  | { readonly kind: 'nulled'; readonly data: Buffer }
  /** It was NULL before: nobody is logged in with this session. */
  | { readonly kind: 'null_already' }
  /** There is no such variable: another app's session, or a field that is configured wrongly. */
  | { readonly kind: 'missing' }
  | { readonly kind: 'unreadable'; readonly why: UnreadableWhy };

/** Sets one variable of a session's data to NULL, as `$_SESSION[field] = NULL` does: what is a reference of it is NULL too. */
export function setToNull(data: Buffer, format: SessionFormat, field: string): Nulled {
  const why = unreadable(data);
  if (why !== null) return { kind: 'unreadable', why };
  try {
    const { variables, write } = read(data, format);
    const name = Buffer.from(field, 'utf8').toString('latin1');
    const found = variables.find((variable) => variable.name === name);
    if (found === undefined) return { kind: 'missing' };
    if (isNull(found.value)) return { kind: 'null_already' };
    found.value.node = NULL_NODE;
    return { kind: 'nulled', data: Buffer.from(write(), 'latin1') };
  } catch (error) {
    if (error instanceof SerializedError || error instanceof RangeError)
      return { kind: 'unreadable', why: 'unreadable' };
    throw error;
  }
}

/** The value of a variable that is a string; null where it is none, or the data cannot be read. */
export function stringIn(data: Buffer, format: SessionFormat, field: string): string | null {
  if (unreadable(data) !== null) return null;
  try {
    const found = read(data, format).variables.find(({ name }) => name === field)?.value.node;
    if (found?.kind !== 'scalar' || !found.bytes.startsWith('s:')) return null;
    return Buffer.from(found.bytes.slice(found.bytes.indexOf('"') + 1, -2), 'latin1').toString('utf8');
  } catch (error) {
    if (error instanceof SerializedError || error instanceof RangeError) return null;
    throw error;
  }
}

/** Reads and writes back unchanged; for the tests of the format. Throws SerializedError. */
export function roundTrip(data: Buffer, format: SessionFormat): Buffer {
  return Buffer.from(read(data, format).write(), 'latin1');
}

interface Variable {
  readonly name: string;
  readonly value: Cell;
}

interface Session {
  readonly variables: readonly Variable[];
  write(): string;
}

type Read = (reader: Reader) => Session;

/** `name|<value>name|<value>...` */
const readPhp: Read = (reader) => {
  const variables: Variable[] = [];
  while (!reader.isAtEnd) variables.push({ name: reader.until('|'), value: reader.value() });
  return {
    variables,
    write() {
      const writer = new Writer();
      for (const { name, value } of variables) {
        writer.raw(`${name}|`);
        writer.value(value);
      }
      return writer.text;
    },
  };
};

/** One serialized array; the array itself takes the first number. */
const readPhpSerialize: Read = (reader) => {
  const root = reader.value();
  if (root.node.kind !== 'array' || !reader.isAtEnd) throw new SerializedError('no array of variables', reader.at);
  // A name that is a number is nobody's field.
  const named = root.node.entries.filter(({ key }) => key.startsWith('s:'));
  return {
    variables: named.map(({ key, value }) => ({ name: key.slice(key.indexOf('"') + 1, -2), value })),
    write() {
      const writer = new Writer();
      writer.value(root);
      return writer.text;
    },
  };
};

function read(data: Buffer, format: SessionFormat): Session {
  const reader = new Reader(data.toString('latin1'));
  return format === 'php' ? readPhp(reader) : readPhpSerialize(reader);
}

function isNull({ node }: Cell): boolean {
  return node.kind === 'scalar' && node.bytes === 'N;';
}

/** igbinary: version 1 or 2 in four bytes. Compressed: the magic numbers of zstd and lz4's frame; lzf has none. */
function unreadable(data: Buffer): UnreadableWhy | null {
  if (data.length > MAX_SESSION_BYTES) return 'too_large';
  if (data.length < 4) return null;
  const magic = data.readUInt32BE(0);
  if (magic === 1 || magic === 2) return 'igbinary';
  return magic === 0x28b52ffd || magic === 0x04224d18 ? 'compressed' : null;
}
