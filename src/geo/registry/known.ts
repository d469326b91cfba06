/**
 * Whom a kept answer speaks for. A registry answers with its smallest object that holds the asked address, and says nothing of
 * smaller ones that hold its neighbours. So an answer speaks for an address in its range (of which only the part in the asked
 * /24 or /48 is kept) where
 *
 * - the address itself was asked about (of IPv6: its /64, nothing smaller is registered), or
 * - the object is no larger than a /24 or /48: it is taken to be one holder's, whole, or
 * - it came after the address's own question, which waited for it: hundreds of logins at once are one question.
 *
 * The last two are compromises, and the only ones: a smaller object in a /24 of one holder, or one that was part of a burst,
 * is not seen until the entry ends, or its next login comes. Whoever was part of a burst is told that the word is a
 * neighbour's (`isNeighbours`): it is put on record, and closes nothing.
 */

import type { ValidAddress } from '../../domain/address.ts';
import type { RegistryEntry } from '../../ports.ts';
import { networkText } from '../source.ts';
import { holds, parseRange, sizeOf } from './range.ts';

/** The geofeed of an entry whose turn has not come yet. */
export const NOT_ASKED = 'not_asked';

/** Of one range in one /24 or /48; a /24 has no more addresses. */
const MAX_ASKED = 256;

/** Addresses of a /24 and a /48. */
const WHOLE = { 4: 2n ** 8n, 6: 2n ** 80n } as const;

/** Is its geofeed to be asked, for the first time or again? */
export function isDue({ feed }: RegistryEntry, nowMs: number): boolean {
  return feed !== null && (feed.problem === NOT_ASKED || (feed.retryAtMs !== undefined && feed.retryAtMs <= nowMs));
}

/** `sinceMs`: answers from then on count as answers to this address's own question. */
export function speaksFor(entry: RegistryEntry, address: ValidAddress, nowMs: number, sinceMs: number): boolean {
  const range = parseRange(entry.range);
  if (range === null || !holds(range, address.ip, address.family)) return false;
  return entry.word.atMs >= sinceMs || isOwnOf(entry, address, nowMs);
}

/** Was the address itself asked about, or is the object too small to hold another? Of an entry whose range holds it. */
export function isOwnOf(entry: RegistryEntry, address: ValidAddress, nowMs: number): boolean {
  return isWhole(entry) || (entry.asked?.[unitOf(address)] ?? 0) > nowMs;
}

/** Of those that speak for the address the one with the smallest range: a smaller object knows better. */
export function bestOf(
  entries: readonly RegistryEntry[],
  address: ValidAddress,
  nowMs: number,
  sinceMs: number,
): RegistryEntry | null {
  const fitting = entries
    .filter((entry) => entry.expiresAtMs > nowMs && speaksFor(entry, address, nowMs, sinceMs))
    .map((entry) => ({ entry, size: sizeOfText(entry.range) }))
    .sort((a, b) => (a.size < b.size ? -1 : 1));
  return fitting[0]?.entry ?? null;
}

/**
 * An answer as it is to be kept: with those who had the same one before, and with the geofeed that was read then, which goes
 * with it as long as it would have alone.
 */
export function askedWith(
  fresh: RegistryEntry,
  before: readonly RegistryEntry[],
  address: ValidAddress,
  nowMs: number,
): RegistryEntry {
  const asked = { [unitOf(address)]: fresh.expiresAtMs };
  const same = before.find(
    ({ range, word, expiresAtMs }) => range === fresh.range && word.range === fresh.word.range && expiresAtMs > nowMs,
  );
  if (same === undefined) return { ...fresh, asked };
  const others = Object.entries(same.asked ?? {}).filter(([, untilMs]) => untilMs > nowMs);
  const entry = { ...fresh, asked: { ...Object.fromEntries(others.slice(1 - MAX_ASKED)), ...asked } };
  const isSameFeed = same.feed !== null && same.feed.url === fresh.feed?.url;
  return isSameFeed ? { ...entry, feed: same.feed, expiresAtMs: same.expiresAtMs } : entry;
}

function isWhole({ word, range }: RegistryEntry): boolean {
  const object = parseRange(word.range ?? range);
  return object !== null && sizeOf(object) <= WHOLE[object.family];
}

/** What is asked about at once, as text. */
const unitOf = ({ ip, family }: ValidAddress): string => (family === 4 ? ip : (networkText(ip, 64) ?? ip));

function sizeOfText(text: string): bigint {
  const range = parseRange(text);
  return range === null ? 0n : sizeOf(range);
}
