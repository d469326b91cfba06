/** Which entries of the lists speak of an address, a network or a user: what a reviewer must know before adding another. */

import { type Cidr, inCidr, parseAddress, parseCidr } from '../domain/address.ts';
import type { ListEntry } from '../domain/lists.ts';
import type { Sighting } from '../domain/types.ts';

/** Entries that cover an address: it, a network around it, and what its newest sighting says of operator and country. */
export function entriesForAddress(
  entries: readonly ListEntry[],
  address: string,
  sighting: Sighting | null,
): readonly ListEntry[] {
  const parsed = parseAddress(address);
  return entries.filter((entry) => {
    if (entry.kind === 'asn' || entry.kind === 'country') return isSeen(entry, sighting);
    const block = blockOf(entry);
    return block !== null && parsed.ok && inCidr(parsed, block);
  });
}

/** Entries that cover the whole network, and those for a part of it. */
export function entriesForNetwork(
  entries: readonly ListEntry[],
  network: string,
  sighting: Sighting | null,
): readonly ListEntry[] {
  const cidr = parseCidr(network);
  return entries.filter((entry) => {
    if (entry.kind === 'asn' || entry.kind === 'country') return isSeen(entry, sighting);
    const block = blockOf(entry);
    return block !== null && cidr !== null && (holds(block, cidr) || holds(cidr, block));
  });
}

function blockOf({ kind, value }: ListEntry): Cidr | null {
  return kind === 'address' || kind === 'network' ? parseCidr(value) : null;
}

function holds(outer: Cidr, inner: Cidr): boolean {
  const ip = inner.text.slice(0, inner.text.lastIndexOf('/'));
  return outer.prefix <= inner.prefix && inCidr({ ip, family: inner.family }, outer);
}

function isSeen({ kind, value }: ListEntry, sighting: Sighting | null): boolean {
  if (sighting === null) return false;
  if (kind === 'country') return sighting.kind === 'located' && sighting.candidates.includes(value);
  return sighting.evidence.some(({ asn }) => asn !== undefined && String(asn) === value.replace(/^AS/i, ''));
}
