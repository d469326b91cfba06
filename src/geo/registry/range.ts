/** Ranges of addresses as the registries write them, old spellings included. Not on a hot path: BigInt is fine here. */

import { networkOf, parseAddress, parseCidr } from '../../domain/address.ts';
import type { AddressFamily } from '../../domain/types.ts';

/** From `first` to `last`, both included. */
export interface IpRange {
  readonly family: AddressFamily;
  readonly first: bigint;
  readonly last: bigint;
}

interface IpNumber {
  readonly family: AddressFamily;
  readonly value: bigint;
}

const BITS = { 4: 32, 6: 128 } as const;

/** Longer text is no range: two IPv6 addresses, each with a length, and a dash fit well. */
const MAX_LENGTH = 128;

/**
 * One address. Old registry software pads IPv4 with zeros (`074.125.000.000`): read as decimal, strictly, never as
 * octal. `parseAddress` refuses that spelling for clients; here the writer is a registry that means decimal.
 */
function parseOne(text: string): IpNumber | null {
  const octets = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text)?.slice(1).map(Number);
  if (octets !== undefined) {
    if (octets.some((octet) => octet > 255)) return null;
    return { family: 4, value: octets.reduce((sum, octet) => sum * 256n + BigInt(octet), 0n) };
  }
  const parsed = parseAddress(text);
  if (!parsed.ok || parsed.family !== 6 || parsed.zone !== undefined) return null;
  return { family: 6, value: numberOf(parsed.ip, 6) };
}

/** The value of a canonical address (from `parseAddress`). */
export function numberOf(ip: string, family: AddressFamily): bigint {
  if (family === 4) return ip.split('.').reduce((sum, octet) => sum * 256n + BigInt(octet), 0n);
  const [head = '', tail] = ip.split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const gap = tail === undefined ? 0 : 8 - left.length - right.length;
  const groups = [...left, ...Array<string>(gap).fill('0'), ...right];
  return groups.reduce((sum, group) => sum * 65_536n + BigInt(`0x${group}`), 0n);
}

function textOf(value: bigint, family: AddressFamily): string {
  if (family === 4) return [24n, 16n, 8n, 0n].map((shift) => String((value >> shift) & 255n)).join('.');
  const groups = Array.from({ length: 8 }, (_, i) => ((value >> BigInt(112 - 16 * i)) & 0xffffn).toString(16));
  const parsed = parseAddress(groups.join(':'));
  return parsed.ok ? parsed.ip : groups.join(':');
}

/** RDAP's `startAddress` and `endAddress` (RFC 9083 section 5.4); an old server puts a length behind each. */
export function rangeOf(start: unknown, end: unknown): IpRange | null {
  const first = endpoint(start);
  const last = endpoint(end);
  if (first === null || last === null || first.family !== last.family || first.value > last.value) return null;
  return { family: first.family, first: first.value, last: last.value };
}

function endpoint(text: unknown): IpNumber | null {
  if (typeof text !== 'string' || text.length > MAX_LENGTH) return null;
  const [, address = '', length] = /^([^/]*)(?:\/(\d{1,3}))?$/.exec(text.trim()) ?? [];
  const parsed = parseOne(address);
  return parsed !== null && Number(length ?? 0) <= BITS[parsed.family] ? parsed : null;
}

/** An `inetnum`, `inet6num` or `NetRange`: `a - b`, `a/22`, LACNIC's short `200.57.128/19`, or one address. */
export function parseRange(text: string): IpRange | null {
  if (text.length > MAX_LENGTH) return null;
  const trimmed = text.trim();
  const dash = /^([^\s-]+)\s*-\s*([^\s-]+)$/.exec(trimmed);
  if (dash !== null) return rangeOf(dash[1], dash[2]);
  const [, base = '', length] = /^([^\s/]+)(?:\/(\d{1,3}))?$/.exec(trimmed) ?? [];
  const address = parseOne(length === undefined ? base : completed(base));
  if (address === null) return null;
  const bits = BITS[address.family];
  const prefix = length === undefined ? bits : Number(length);
  return prefix > bits ? null : block(address, prefix);
}

/** `200.57.128` -> `200.57.128.0`: LACNIC leaves out zeros at the end of a prefix. */
function completed(base: string): string {
  const given = /^\d{1,3}(\.\d{1,3}){0,2}$/.test(base) ? base.split('.').length : 4;
  return base + '.0'.repeat(4 - given);
}

function block({ family, value }: IpNumber, prefix: number): IpRange {
  const host = (1n << BigInt(BITS[family] - prefix)) - 1n;
  const first = value - (value & host);
  return { family, first, last: first + host };
}

/** The range of a strict CIDR text, as in a geofeed; null when malformed. */
export function cidrRange(text: string): IpRange | null {
  const cidr = parseCidr(text);
  return cidr === null ? null : parseRange(cidr.text);
}

/** `ip` is canonical. */
export function holds(range: IpRange, ip: string, family: AddressFamily): boolean {
  if (range.family !== family) return false;
  const value = numberOf(ip, family);
  return range.first <= value && value <= range.last;
}

export function isWithin(inner: IpRange, outer: IpRange): boolean {
  return inner.family === outer.family && outer.first <= inner.first && inner.last <= outer.last;
}

export function touches(a: IpRange, b: IpRange): boolean {
  return a.family === b.family && a.first <= b.last && b.first <= a.last;
}

export const sizeOf = (range: IpRange): bigint => range.last - range.first + 1n;

/** The part of a range that lies in the /24 or /48 around an address that it holds. */
export function clippedTo(range: IpRange, ip: string, family: AddressFamily): IpRange {
  const network = parseRange(networkOf(ip, family));
  if (network === null || isWithin(range, network)) return range;
  if (isWithin(network, range)) return network;
  return range.first > network.first ? { ...network, first: range.first } : { ...network, last: range.last };
}

/** CIDR where the range is one block, else `first - last`. */
export function rangeText({ family, first, last }: IpRange): string {
  const size = last - first + 1n;
  const isBlock = (size & (size - 1n)) === 0n && first % size === 0n;
  if (isBlock) return `${textOf(first, family)}/${BITS[family] - (size.toString(2).length - 1)}`;
  return `${textOf(first, family)} - ${textOf(last, family)}`;
}
