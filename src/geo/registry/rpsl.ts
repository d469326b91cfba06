/**
 * The text that whois servers answer with, as objects of attributes: RPSL (RFC 2622) as RIPE, APNIC and AFRINIC write it, the
 * like of it from LACNIC and nic.br, and ARIN's own form. Every byte of it is untrusted.
 */

export interface Attribute {
  /** In small letters. */
  readonly name: string;
  /** Without the comment behind a `#`, where the registry writes such. */
  readonly value: string;
}

export type WhoisObject = readonly Attribute[];

export interface WhoisText {
  readonly objects: readonly WhoisObject[];
  /** Lines of the server itself (`%` or `#`): a holder cannot write any. */
  readonly comments: readonly string[];
}

/** What does not fit is cut off: an answer of 256 KiB has room for more than anybody reads. */
const MAX_LINES = 8000;
const MAX_VALUE = 1024;

/** Classes that begin an object even without a blank line before them: some servers leave it out. */
const CLASSES = new Set([
  'as-block',
  'aut-num-block',
  'inet6num',
  'inetnum',
  'irt',
  'netrange',
  'nic-hdl',
  'nic-hdl-br',
  'organisation',
  'role',
  'route',
  'route6',
]);

/** UTF-8 where it is valid, else ISO-8859-1 (LACNIC, nic.br, and what is old anywhere). Never throws. */
export function decodeWhois(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
  }
}

export function parseWhois(text: string): WhoisText {
  const comments: string[] = [];
  const objects: Attribute[][] = [];
  let open: Attribute[] | null = null;
  for (const line of text.split(/\r\n|\n|\r/, MAX_LINES)) {
    const trimmed = line.trim();
    if (trimmed === '') open = null;
    else if (/^[%#]/.test(trimmed)) comments.push(trimmed.slice(0, MAX_VALUE));
    // A line that begins with a blank continues the value before it: an address, a remark; never an attribute.
    else if (!/^[\s+]/.test(line)) {
      const attribute = attributeOf(line);
      if (attribute === null) comments.push(trimmed.slice(0, MAX_VALUE));
      else if (open === null || CLASSES.has(attribute.name)) {
        open = [attribute];
        objects.push(open);
      } else open.push(attribute);
    }
  }
  return { objects, comments };
}

function attributeOf(line: string): Attribute | null {
  const [, name, value = ''] = /^([a-z][a-z0-9-]{0,63}):(.*)$/i.exec(line) ?? [];
  if (name === undefined) return null;
  const isUrl = /^\s*\S+:\/\//.test(value);
  // `country: NL # BE GB`: what stands behind the mark is a comment. An address may have one of its own.
  const plain = isUrl ? value : value.replace(/(^|\s)#.*$/, '');
  return { name: name.toLowerCase(), value: plain.trim().slice(0, MAX_VALUE) };
}

/** All values of an attribute, in order. */
export function valuesOf(object: WhoisObject, ...names: readonly string[]): string[] {
  return object.filter(({ name }) => names.includes(name)).map(({ value }) => value);
}
