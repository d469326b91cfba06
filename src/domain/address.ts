/**
 * IP addresses: strict parsing, canonical spelling, class, and comparison by bits.
 *
 * Own parser, since libraries read what they should refuse (`010.8.8.8` as octal, `8.8.8` as a short form), and since this
 * is on the worker's hot path: no regular expression, no BigInt, at most one pass over the text.
 */

import { SPECIAL_RANGES } from './special-ranges.ts';
import type { AddressFamily, AddressKind } from './types.ts';

export interface ValidAddress {
  readonly ok: true;
  /** IPv4 as four plain decimals, IPv6 as of RFC 5952 (lower case, longest run of zeros shortened). Never a zone. */
  readonly ip: string;
  readonly family: AddressFamily;
  readonly kind: AddressKind;
  /** It was written as `::ffff:a.b.c.d`: an IPv4 client seen through a dual-stack socket. */
  readonly via?: 'v4-mapped';
  /** RFC 4007 zone, e.g. `eth0`: letters, digits, `-`, `.` and `:` only. It names an interface of some host, not a place. */
  readonly zone?: string;
  /** The IPv4 address inside 6to4 (RFC 3056), Teredo (RFC 4380: the client's, uninverted) or 64:ff9b::/96 (RFC 6052). */
  readonly embedded?: string;
}

export interface InvalidAddress {
  readonly ok: false;
  readonly code: 'invalid_address';
  readonly reason: 'not a string' | 'not a plain IP address';
}

export type ParsedAddress = ValidAddress | InvalidAddress;

/** A block of addresses. Made by `parseCidr` only. */
export interface Cidr {
  readonly family: AddressFamily;
  /** Length in bits: 0-32 (IPv4) or 0-128 (IPv6). */
  readonly prefix: number;
  /** Canonical: host bits cleared, e.g. `10.0.0.0/8`. */
  readonly text: string;
  /** Network bits in groups of 16: two for IPv4, eight for IPv6. */
  readonly words: readonly number[];
}

/** Longer text is never read: the longest plain address has 45 characters, the rest is for a zone. */
const MAX_LENGTH = 64;

const NOT_A_STRING: InvalidAddress = Object.freeze({ ok: false, code: 'invalid_address', reason: 'not a string' });
const NOT_PLAIN: InvalidAddress = Object.freeze({
  ok: false,
  code: 'invalid_address',
  reason: 'not a plain IP address',
});

const DOT = 46;
const COLON = 58;

/**
 * The address being worked on, in groups of 16 bits (IPv4 in the first two). Shared, to save an allocation per address:
 * every exported function fills it before reading it, and none yields in between.
 */
const words = new Uint16Array(8);

const word = (index: number): number => words[index] ?? 0;

/**
 * Reads one address. Never throws, whatever the input.
 *
 * Strict: no octal, hexadecimal or short IPv4, no port, brackets, prefix length or white space. `::ffff:a.b.c.d` comes
 * out as IPv4 in both spellings. A zone is cut off any IPv6 address, link-local or not: it never changes where it is.
 */
export function parseAddress(input: unknown): ParsedAddress {
  if (typeof input !== 'string') return NOT_A_STRING;
  if (input.length > MAX_LENGTH) return NOT_PLAIN;
  if (input.indexOf(':') >= 0) return parseV6(input);
  if (!readV4(input, 0, input.length, 0)) return NOT_PLAIN;
  // Strict dotted decimal has one spelling only, so the input is the canonical form.
  return { ok: true, ip: input, family: 4, kind: kindOf(4) };
}

function parseV6(input: string): ParsedAddress {
  const mark = input.indexOf('%');
  const end = mark < 0 ? input.length : mark;
  if (mark >= 0 && !isZone(input, mark + 1)) return NOT_PLAIN;
  if (!readV6(input, end)) return NOT_PLAIN;
  const zone = mark < 0 ? undefined : { zone: input.slice(mark + 1) };
  if (unmap()) return { ok: true, ip: formatV4(0), family: 4, kind: kindOf(4), via: 'v4-mapped', ...zone };
  const kind = kindOf(6);
  const embedded = embeddedV4(kind);
  const ip = formatV6();
  if (zone === undefined && embedded === null) return { ok: true, ip, family: 6, kind };
  return { ok: true, ip, family: 6, kind, ...zone, ...(embedded === null ? undefined : { embedded }) };
}

/** Reads `text[from..end)` as dotted decimal into `words[at]` and the next. False when it is not exactly that. */
function readV4(text: string, from: number, end: number, at: number): boolean {
  let value = 0;
  let octet = -1;
  let dots = 0;
  for (let i = from; i < end; i++) {
    const code = text.charCodeAt(i);
    if (code === DOT) {
      if (octet < 0 || ++dots > 3) return false;
      value = value * 256 + octet;
      octet = -1;
    } else {
      // A digit after a leading zero would make it octal to some readers.
      if (code < 48 || code > 57 || octet === 0) return false;
      octet = octet < 0 ? code - 48 : octet * 10 + code - 48;
      if (octet > 255) return false;
    }
  }
  if (dots !== 3 || octet < 0) return false;
  value = value * 256 + octet;
  words[at] = value >>> 16;
  words[at + 1] = value;
  return true;
}

/** Reads `text[0..end)` as RFC 4291 section 2.2 text into `words`. False when it is not exactly that. */
function readV6(text: string, end: number): boolean {
  const leading = text.charCodeAt(0) === COLON;
  if (leading && (end < 2 || text.charCodeAt(1) !== COLON)) return false;
  let gap = leading ? 0 : -1;
  let start = leading ? 2 : 0;
  let count = 0;
  let value = 0;
  for (let i = start; i < end; i++) {
    const code = text.charCodeAt(i);
    if (code === COLON) {
      if (i === start) {
        if (gap >= 0) return false;
        gap = count;
      } else {
        if (count === 8) return false;
        words[count++] = value;
        value = 0;
      }
      start = i + 1;
    } else if (code === DOT) {
      // The last 32 bits in decimal; a group must stand before them.
      return start > 0 && count <= 6 && readV4(text, start, end, count) && spread(count + 2, gap);
    } else {
      const digit = hexDigit(code);
      if (digit < 0 || i - start === 4) return false;
      value = value * 16 + digit;
    }
  }
  // Nothing after the last colon is right only where that colon ends the `::`.
  if (end === start) return gap === count && spread(count, gap);
  if (count === 8) return false;
  words[count] = value;
  return spread(count + 1, gap);
}

/** Moves the groups after `::` to the end and puts zeros in the gap. False when the number of groups cannot be right. */
function spread(count: number, gap: number): boolean {
  if (gap < 0) return count === 8;
  if (count === 8) return false;
  const shift = 8 - count;
  for (let i = 7; i >= gap + shift; i--) words[i] = word(i - shift);
  for (let i = gap; i < gap + shift; i++) words[i] = 0;
  return true;
}

function hexDigit(code: number): number {
  if (code >= 48 && code <= 57) return code - 48;
  const lower = code | 32;
  return lower >= 97 && lower <= 102 ? lower - 87 : -1;
}

/** RFC 4007 leaves zones to the system; these characters name every usual interface and are harmless wherever shown. */
function isZone(text: string, from: number): boolean {
  for (let i = from; i < text.length; i++) {
    const code = text.charCodeAt(i);
    const lower = code | 32;
    // Letters, digits and the colon, `-`, `.`.
    if (!((lower >= 97 && lower <= 122) || (code >= 48 && code <= COLON) || code === 45 || code === DOT)) return false;
  }
  return from < text.length;
}

/** Is it `::ffff:0:0/96` (RFC 4291 section 2.5.5.2)? Then moves its IPv4 address to the front of `words`. */
function unmap(): boolean {
  if (words[0] !== 0 || words[5] !== 0xffff) return false;
  if (words[1] !== 0 || words[2] !== 0 || words[3] !== 0 || words[4] !== 0) return false;
  words[0] = word(6);
  words[1] = word(7);
  return true;
}

function embeddedV4(kind: AddressKind): string | null {
  if (kind === '6to4') return formatV4(1);
  // 64:ff9b:1::/48 (RFC 8215) is split as each operator likes: only the well-known prefix says where the address is.
  if (kind === 'nat64') return word(2) === 0 ? formatV4(6) : null;
  return kind === 'teredo' ? formatV4(6, 0xffff) : null;
}

/** Dotted decimal of two groups; each is inverted first where `mask` is all ones. */
function formatV4(at: number, mask = 0): string {
  const high = word(at) ^ mask;
  const low = word(at + 1) ^ mask;
  return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`;
}

/** RFC 5952: lower case, no leading zeros, the first longest run of two or more zero groups as `::`. */
function formatV6(): string {
  let from = -1;
  let length = 1;
  for (let i = 0; i < 8; i++) {
    let run = 0;
    while (i + run < 8 && words[i + run] === 0) run++;
    if (run > length) {
      from = i;
      length = run;
    }
    i += run;
  }
  if (from < 0) return hexGroups(0, 8);
  return `${hexGroups(0, from)}::${hexGroups(from + length, 8)}`;
}

function hexGroups(from: number, to: number): string {
  if (from >= to) return '';
  let text = word(from).toString(16);
  for (let i = from + 1; i < to; i++) text += `:${word(i).toString(16)}`;
  return text;
}

/**
 * The block that counts as "the same network": the /24 of an IPv4 address, the /48 of an IPv6 one, in CIDR form.
 * `ip` must be canonical, as `parseAddress` gives it; other text comes back as it is, a network of its own.
 */
export function networkOf(ip: string, family: AddressFamily): string {
  if (family === 4) return `${ip.slice(0, ip.lastIndexOf('.'))}.0/24`;
  if (!readV6(ip, ip.length)) return ip;
  words.fill(0, 3);
  return `${formatV6()}/48`;
}

/** The same of an address as it stands on a record; null where there is none. */
export function networkOfText(address: string | null): string | null {
  const parsed = address === null ? null : parseAddress(address);
  return parsed?.ok ? networkOf(parsed.ip, parsed.family) : null;
}

/**
 * Reads `10.0.0.0/8`, `2001:db8::/32`, or a plain address as the block of itself alone. Null when malformed: strict as
 * `parseAddress`, no zone, the length plain decimal. Host bits are cleared. A block within `::ffff:0:0/96` becomes the
 * IPv4 block that it means; a shorter one (`::/0`) stays IPv6 and holds no IPv4 address, as no parsed address is mapped.
 */
export function parseCidr(text: unknown): Cidr | null {
  if (typeof text !== 'string' || text.length > MAX_LENGTH) return null;
  const slash = text.indexOf('/');
  const end = slash < 0 ? text.length : slash;
  let family: AddressFamily = text.lastIndexOf(':', end) >= 0 ? 6 : 4;
  if (!(family === 6 ? readV6(text, end) : readV4(text, 0, end, 0))) return null;
  let prefix = slash < 0 ? bitsOf(family) : readLength(text, slash + 1);
  if (prefix < 0 || prefix > bitsOf(family)) return null;
  if (family === 6 && prefix >= 96 && unmap()) {
    family = 4;
    prefix -= 96;
  }
  return cidrOfWords(family, prefix);
}

const bitsOf = (family: AddressFamily): number => (family === 4 ? 32 : 128);

/** Decimal, one to three digits, no leading zero; -1 otherwise. */
function readLength(text: string, from: number): number {
  const digits = text.length - from;
  if (digits < 1 || digits > 3 || (digits > 1 && text.charCodeAt(from) === 48)) return -1;
  let value = 0;
  for (let i = from; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 48 || code > 57) return -1;
    value = value * 10 + code - 48;
  }
  return value;
}

function cidrOfWords(family: AddressFamily, prefix: number): Cidr {
  const text = blockOfWords(family, prefix);
  return { family, prefix, text, words: [...words.subarray(0, bitsOf(family) / 16)] };
}

/** Is the address in the block? By bits, never by spelling. Takes any parsed address. */
export function inCidr(address: { readonly ip: string; readonly family: AddressFamily }, cidr: Cidr): boolean {
  return address.family === cidr.family && load(address.ip, address.family) && holdsWords(cidr);
}

/** As `inCidr` for a list of blocks; reads the address once. */
export function inAnyCidr(
  address: { readonly ip: string; readonly family: AddressFamily },
  cidrs: readonly Cidr[],
): boolean {
  if (cidrs.length === 0 || !load(address.ip, address.family)) return false;
  for (const cidr of cidrs) if (cidr.family === address.family && holdsWords(cidr)) return true;
  return false;
}

const load = (ip: string, family: AddressFamily): boolean =>
  family === 4 ? readV4(ip, 0, ip.length, 0) : readV6(ip, ip.length);

/**
 * The bits of a canonical address in groups of 16: two for IPv4, eight for IPv6. Shared, to save an allocation per lookup:
 * good until the next call into this file. Null when `ip` is none of that family.
 */
export function wordsOf(ip: string, family: AddressFamily): Uint16Array | null {
  return load(ip, family) ? words : null;
}

/** The block of `prefix` bits around the address that `wordsOf` has just read, in CIDR form. Clears the bits behind it. */
export function blockOfWords(family: AddressFamily, prefix: number): string {
  maskWords(family, prefix);
  return `${family === 4 ? formatV4(0) : formatV6()}/${prefix}`;
}

function maskWords(family: AddressFamily, prefix: number): void {
  const groups = bitsOf(family) / 16;
  for (let i = prefix >> 4; i < groups; i++) {
    const kept = prefix - i * 16;
    words[i] = kept > 0 ? word(i) & (0xffff << (16 - kept)) : 0;
  }
}

function holdsWords(cidr: Cidr): boolean {
  const whole = cidr.prefix >> 4;
  for (let i = 0; i < whole; i++) if (words[i] !== cidr.words[i]) return false;
  const rest = cidr.prefix & 15;
  return rest === 0 || (word(whole) ^ (cidr.words[whole] ?? 0)) >> (16 - rest) === 0;
}

interface Special {
  readonly cidr: Cidr;
  readonly kind: AddressKind;
}

/** By the address's first byte, longest block first: most addresses meet an empty list. */
type Index = readonly (readonly Special[])[];

function indexOf(family: AddressFamily): Index {
  const buckets: Special[][] = Array.from({ length: 256 }, () => []);
  for (const [text, kind] of SPECIAL_RANGES) {
    const cidr = parseCidr(text);
    if (cidr?.family !== family) continue;
    const first = (cidr.words[0] ?? 0) >> 8;
    const last = first + (1 << Math.max(0, 8 - cidr.prefix)) - 1;
    for (let byte = first; byte <= last; byte++) buckets[byte]?.push({ cidr, kind });
  }
  for (const bucket of buckets) bucket.sort((a, b) => b.cidr.prefix - a.cidr.prefix);
  return buckets;
}

const SPECIAL_V4 = indexOf(4);
const SPECIAL_V6 = indexOf(6);

/** Class of the address in `words`. */
function kindOf(family: AddressFamily): AddressKind {
  const byte = word(0) >> 8;
  const bucket = (family === 4 ? SPECIAL_V4 : SPECIAL_V6)[byte];
  if (bucket !== undefined) for (const row of bucket) if (holdsWords(row.cidr)) return row.kind;
  // 2000::/3 is all of IPv6 that IANA hands out (RFC 4291 section 2.4, IANA IPv6 address space).
  return family === 4 || byte >> 5 === 1 ? 'global' : 'unallocated';
}
