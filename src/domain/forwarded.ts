/**
 * Whose address is it? From the socket's peer and, where a trusted proxy wrote it, one header: `X-Forwarded-For`,
 * `Forwarded` (RFC 7239), or one that names the client alone (`CF-Connecting-IP`).
 *
 * A header is only as good as who wrote it: anyone can send one. Each proxy appends the address it was called from, so the
 * list is read from the right, and only while the hop that wrote the entry is trusted. Only the configured header is ever
 * looked at: where two are believed, a client writes the one that the proxy leaves alone.
 */

import { BouncerError } from '../errors.ts';
import { type Cidr, inAnyCidr, type ParsedAddress, parseAddress, parseCidr, type ValidAddress } from './address.ts';
import { elementsFromRight, forwardedFor } from './forwarded-header.ts';
import type { AddressProblem } from './types.ts';

/** Which proxies' word is taken. Made by `compileTrust`. */
export interface TrustProxy {
  readonly cidrs: readonly Cidr[];
  /** Some block holds every address of a family: then the leftmost entry counts, and a client may write what it likes there. */
  readonly trustsAll: boolean;
  /** So many proxies stand in front, whatever their addresses; null: `cidrs` says which. 0: none. */
  readonly hops: number | null;
  /** In lower case. Any but the two list headers holds the client's address alone. */
  readonly header: string;
}

export interface ForwardedRequest {
  /** `socket.remoteAddress`; none where the proxy comes by a Unix socket. */
  readonly peer: string | undefined;
  /** As Node gives them: names in lower case. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
}

export interface ClientAddress {
  /** Canonical, or null; then `problem` says why. */
  readonly address: string | null;
  readonly problem?: AddressProblem;
}

/** More proxies than this in a row are no real deployment: stop reading, the client is unknown. */
const MAX_HOPS = 64;

/** Of one entry with its white space: 72 for brackets, address, zone and port. What is longer is no address. */
const MAX_HOP_LENGTH = 128;

const NAMED: Readonly<Record<string, readonly string[]>> = {
  loopback: ['127.0.0.0/8', '::1/128'],
  private: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7'],
};

const NO_ADDRESS: ClientAddress = Object.freeze({ address: null, problem: 'no_address' });
const INVALID: ClientAddress = Object.freeze({ address: null, problem: 'invalid_address' });
const MALFORMED: ClientAddress = Object.freeze({ address: null, problem: 'malformed_forwarding' });

/** RFC 9110 section 5.1: a token. Longer names are no header that anybody sends. */
const HEADER_NAME = /^[a-z0-9!#$%&'*+.^_`|~-]{1,64}$/;

/**
 * Compiles the operator's word on proxies. A number is how many stand in front of the app (then nothing but the app's
 * own network may reach it around them); a list holds addresses, CIDR blocks, and the names `loopback` and `private`
 * (RFC 1918 and RFC 4193). `header` is the one to believe, in any case of letters.
 *
 * `0.0.0.0/0` and `::/0` are accepted, for where only the proxy can reach the app and its address is not known in
 * advance; `trustsAll` then tells the caller to warn, since a client behind such a proxy picks its own address.
 *
 * @throws BouncerError `option_invalid` on any other entry; it names the position, not the text.
 */
export function compileTrust(proxies: number | readonly string[], header = 'x-forwarded-for'): TrustProxy {
  const name = typeof header === 'string' ? header.toLowerCase() : '';
  if (!HEADER_NAME.test(name)) {
    throw new BouncerError('option_invalid', "forwardedHeader: give a header's name, e.g. 'x-forwarded-for'.");
  }
  if (typeof proxies === 'number') return { cidrs: [], trustsAll: false, hops: hopCount(proxies), header: name };
  if (!Array.isArray(proxies)) {
    throw new BouncerError(
      'option_invalid',
      "trustProxy: give a list such as ['loopback', '10.0.0.0/8'], or how many proxies there are.",
    );
  }
  const list: readonly string[] = proxies;
  const cidrs = list.flatMap((entry, index) => {
    const texts = Object.hasOwn(NAMED, entry) ? (NAMED[entry] ?? []) : [entry];
    return texts.map((text) => parseCidr(text) ?? badEntry(index));
  });
  return { cidrs, trustsAll: cidrs.some((cidr) => cidr.prefix === 0), hops: null, header: name };
}

function hopCount(proxies: number): number {
  if (Number.isInteger(proxies) && proxies >= 0 && proxies <= MAX_HOPS) return proxies;
  throw new BouncerError(
    'option_invalid',
    `trustProxy: give a whole number of proxies from 0 to ${MAX_HOPS}, or a list of them.`,
  );
}

function badEntry(index: number): never {
  throw new BouncerError(
    'option_invalid',
    `trustProxy: entry ${index + 1} is not an IP address, a CIDR block such as 10.0.0.0/8, 'loopback' or 'private'.`,
  );
}

/**
 * The client's address, or why it is unknown. Never throws; the work is bounded whatever the header holds.
 *
 * - The peer is not trusted, or there is no (or only a blank) header: the client is the peer.
 * - Else the first entry from the right that is not a trusted proxy; where all are trusted, the leftmost.
 * - With a number of proxies n: the nth entry from the right, the leftmost where there are fewer. The nearest of them needs no
 *   address: over a Unix socket it has none. (A list of addresses cannot hold one without.)
 * - A header of one address: that address, wherever the peer is trusted. A list in it, or two lines, is malformed.
 * - An entry next to a trusted hop that is no address (`unknown`, `_hidden`, empty): `malformed_forwarding`. What stands
 *   left of it was written by nobody we know. Ports are accepted, as some proxies add them.
 */
export function clientAddress(request: ForwardedRequest, trust: TrustProxy): ClientAddress {
  const peer = request.peer === undefined || request.peer === '' ? null : parseAddress(request.peer);
  if (peer !== null && !peer.ok) return INVALID;
  const own = peer === null ? NO_ADDRESS : { address: peer.ip };
  const isTrustedPeer = peer === null ? (trust.hops ?? 0) > 0 : isTrusted(peer, 1, trust);
  if (!isTrustedPeer) return own;
  const value = request.headers[trust.header];
  const lines = value === undefined ? [] : typeof value === 'string' ? [value] : value;
  if (lines.every(isBlank)) return own;
  if (trust.header === 'x-forwarded-for') return walk(own, hopsFromRight(lines, entriesFromRight, readHop), trust);
  if (trust.header === 'forwarded') return walk(own, hopsFromRight(lines, elementsFromRight, readElement), trust);
  const only = lines.length === 1 ? readHop(lines[0] ?? '') : NOT_ONE;
  return only.ok ? { address: only.ip } : MALFORMED;
}

/** A header of one address that came more than once: somebody beside the proxy wrote one of them. */
const NOT_ONE = parseAddress('');

/** The peer is hop number 1, the last entry of the header number 2. */
const isTrusted = (hop: ValidAddress, number: number, { hops, cidrs }: TrustProxy): boolean =>
  hops === null ? inAnyCidr(hop, cidrs) : number <= hops;

/** `nearest` is trusted; so each hop that comes was written by a trusted proxy, until one is not trusted itself. */
function walk(nearest: ClientAddress, hops: Iterable<ParsedAddress>, trust: TrustProxy): ClientAddress {
  let client = nearest;
  let number = 1;
  for (const hop of hops) {
    if (!hop.ok || ++number > MAX_HOPS + 1) return MALFORMED;
    client = { address: hop.ip };
    if (!isTrusted(hop, number, trust)) break;
  }
  return client;
}

/**
 * The hops of a list header, last one first. Several header lines are one list in their order (RFC 9110 section 5.3).
 * Lazy: what is not asked for is not read.
 */
function* hopsFromRight(
  lines: readonly string[],
  split: (line: string) => Iterable<string>,
  read: (entry: string) => ParsedAddress,
): Generator<ParsedAddress> {
  for (let line = lines.length - 1; line >= 0; line--) {
    for (const entry of split(lines[line] ?? '')) yield read(entry);
  }
}

/** The entries of `X-Forwarded-For`: between commas. */
function* entriesFromRight(text: string): Generator<string> {
  let end = text.length;
  while (end >= 0) {
    const start = end === 0 ? 0 : text.lastIndexOf(',', end - 1) + 1;
    yield text.slice(start, end);
    end = start - 1;
  }
}

/** An element of `Forwarded`. One without a `for`, or with a name in it (`unknown`, `_hidden`), names no address. */
function readElement(element: string): ParsedAddress {
  const node = forwardedFor(element);
  // Bare IPv6 is not allowed here: its end and a port could not be told apart.
  if (node === null || (!node.startsWith('[') && node.indexOf(':') !== node.lastIndexOf(':'))) return NOT_ONE;
  return readHop(node);
}

const isBlank = (line: string): boolean => line.length <= MAX_HOP_LENGTH && trimSpace(line) === '';

/** An address as proxies write it: plain, `[IPv6]`, and either with a port. */
function readHop(entry: string): ParsedAddress {
  return parseAddress(entry.length > MAX_HOP_LENGTH ? '' : withoutPort(trimSpace(entry)));
}

/** Only the optional white space of RFC 9110 section 5.6.3: spaces and tabs. */
function trimSpace(text: string): string {
  let from = 0;
  let end = text.length;
  while (from < end && isSpace(text.charCodeAt(from))) from++;
  while (end > from && isSpace(text.charCodeAt(end - 1))) end--;
  return text.slice(from, end);
}

const isSpace = (code: number): boolean => code === 32 || code === 9;

/** Empty when brackets or port are not right. A bare IPv6 address has two colons at least, so one colon means a port. */
function withoutPort(hop: string): string {
  if (hop.startsWith('[')) {
    const close = hop.indexOf(']');
    const inner = hop.slice(1, close);
    const rest = hop.slice(close + 1);
    return close > 0 && inner.includes(':') && (rest === '' || isPort(rest)) ? inner : '';
  }
  const colon = hop.indexOf(':');
  if (colon < 0 || colon !== hop.lastIndexOf(':')) return hop;
  return isPort(hop.slice(colon)) ? hop.slice(0, colon) : '';
}

/** `:0` to `:65535`. */
const isPort = (text: string): boolean => /^:\d{1,5}$/.test(text) && Number(text.slice(1)) <= 65_535;
