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

/** A session's data, read once. */
export interface SessionData {
  /** The value of a variable that is a string; else null. */
  stringIn(field: string): string | null;
  /**
   * Sets one variable to NULL, as `$_SESSION[field] = NULL` does: what is a reference of it is NULL too. Unreadable: what is
   * left would be too deep to write (a reference's first place is written with all that it refers to).
   */
  setToNull(field: string): Nulled;
}

/** Bounded in time and memory, whatever the data are. */
export function readSession(data: Buffer, format: SessionFormat): SessionData | UnreadableWhy {
  const why = unreadable(data);
  if (why !== null) return why;
  const session = guarded(() => {
    const { variables, write } = read(data, format);
    return {
      stringIn: (field: string) => textOf(variables.get(latin1(field))),
      setToNull(field: string) {
        const found = variables.get(latin1(field));
        if (found === undefined) return { kind: 'missing' as const };
        if (isNull(found)) return { kind: 'null_already' as const };
        found.node = NULL_NODE;
        const text = guarded(write);
        if (text === null) return { kind: 'unreadable' as const, why: 'unreadable' as const };
        return { kind: 'nulled' as const, data: Buffer.from(text, 'latin1') };
      },
    };
  });
  return session ?? 'unreadable';
}

/** Both in one go. */
export function setToNull(data: Buffer, format: SessionFormat, field: string): Nulled {
  const session = readSession(data, format);
  return typeof session === 'string' ? { kind: 'unreadable', why: session } : session.setToNull(field);
}

/** Reads and writes back unchanged; for the tests of the format. Throws SerializedError. */
export function roundTrip(data: Buffer, format: SessionFormat): Buffer {
  return Buffer.from(read(data, format).write(), 'latin1');
}

interface Session {
  readonly variables: ReadonlyMap<string, Cell>;
  write(): string;
}

type Read = (reader: Reader) => Session;

/** `name|<value>name|<value>...` */
const readPhp: Read = (reader) => {
  const variables = new Map<string, Cell>();
  while (!reader.isAtEnd) {
    const name = reader.until('|');
    // The last one would count: PHP writes no second one.
    if (variables.has(name)) throw new SerializedError('a variable twice', reader.at);
    variables.set(name, reader.value());
  }
  return {
    variables,
    write() {
      const writer = new Writer();
      for (const [name, value] of variables) {
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
  const variables = new Map(named.map(({ key, value }) => [key.slice(key.indexOf('"') + 1, -2), value]));
  if (variables.size < named.length) throw new SerializedError('a variable twice', reader.at);
  return {
    variables,
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

/** Null: the data cannot be worked with. */
function guarded<T>(work: () => T): T | null {
  try {
    return work();
  } catch (error) {
    // RangeError: the stack of this process is smaller than such data are deep.
    if (error instanceof SerializedError || error instanceof RangeError) return null;
    throw error;
  }
}

function isNull({ node }: Cell): boolean {
  return node.kind === 'scalar' && node.bytes === 'N;';
}

function textOf(cell: Cell | undefined): string | null {
  const node = cell?.node;
  if (node?.kind !== 'scalar' || !node.bytes.startsWith('s:')) return null;
  return Buffer.from(node.bytes.slice(node.bytes.indexOf('"') + 1, -2), 'latin1').toString('utf8');
}

/** A name as it stands in the data, one character a byte. */
function latin1(name: string): string {
  return Buffer.from(name, 'utf8').toString('latin1');
}

/** igbinary: version 1 or 2 in four bytes. Compressed: the magic numbers of zstd and lz4's frame; lzf has none. */
function unreadable(data: Buffer): UnreadableWhy | null {
  if (data.length > MAX_SESSION_BYTES) return 'too_large';
  if (data.length < 4) return null;
  const magic = data.readUInt32BE(0);
  if (magic === 1 || magic === 2) return 'igbinary';
  return magic === 0x28b52ffd || magic === 0x04224d18 ? 'compressed' : null;
}
