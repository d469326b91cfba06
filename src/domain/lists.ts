/** Allow and block lists: a person's word on addresses, networks, countries and users, above what the data says. */

import { BouncerError } from '../errors.ts';
import { parseAddress, parseCidr } from './address.ts';
import { normaliseCountry } from './country.ts';

export type ListName = 'allow' | 'block';

/** `country_pair`: from a user's known country to the one seen, `DE>FR`. `device`: of one user, `<user id> <device id>`. */
export type ListKind = 'address' | 'network' | 'asn' | 'country' | 'country_pair' | 'user' | 'device';

export const LIST_NAMES: readonly ListName[] = ['allow', 'block'];

/** The most specific first: of two kinds that match one login, the first here decides. */
export const LIST_KINDS: readonly ListKind[] = [
  'address',
  'network',
  'device',
  'user',
  'asn',
  'country_pair',
  'country',
];

export interface NewListEntry {
  readonly list: ListName;
  readonly kind: ListKind;
  /** Canonical: see `checkListValue`. */
  readonly value: string;
  readonly by: string;
  readonly why: string;
  /** Milliseconds since the epoch; null: until it is removed. */
  readonly expiresAtMs: number | null;
}

export interface ListEntry extends NewListEntry {
  readonly id: string;
  readonly createdAtMs: number;
}

/** A larger block is a mistake of the one who types it, and would throw out half the world. */
export const SHORTEST_PREFIX = { 4: 8, 6: 16 } as const;

const MAX_USER = 256;
const MAX_DEVICE = 128;
const MAX_BY = 128;
const MAX_WHY = 500;

/**
 * The value as it is stored and compared: an address or block in its one spelling, a country in upper case. Throws
 * BouncerError `option_invalid`, which says what the kind takes; the given text is not repeated.
 */
export function checkListValue(kind: ListKind, value: string): string {
  const canonical = CHECKS[kind](value);
  if (canonical === null) throw new BouncerError('option_invalid', `${kind}: give ${TAKES[kind]}`);
  return canonical;
}

/** A whole entry as it may be stored. Throws as `checkListValue`. */
export function checkListEntry(entry: NewListEntry, nowMs: number): NewListEntry {
  const { list, kind, by, why, expiresAtMs } = entry;
  if (!LIST_NAMES.includes(list)) throw new BouncerError('option_invalid', 'list: give allow or block');
  if (!LIST_KINDS.includes(kind)) throw new BouncerError('option_invalid', `kind: give ${LIST_KINDS.join(', ')}`);
  if (!isText(by, MAX_BY)) throw new BouncerError('option_invalid', `by: give 1 to ${MAX_BY} characters`);
  if (!isText(why, MAX_WHY)) throw new BouncerError('option_invalid', `why: give 1 to ${MAX_WHY} characters`);
  if (expiresAtMs !== null && !(Number.isSafeInteger(expiresAtMs) && expiresAtMs > nowMs)) {
    throw new BouncerError('option_invalid', 'expiresAtMs: give a time that is still to come, or null');
  }
  return { list, kind, value: checkListValue(kind, value(entry)), by, why, expiresAtMs };
}

/** An entry lives until its time has come. */
export const isLiveEntry = ({ expiresAtMs }: NewListEntry, nowMs: number): boolean =>
  expiresAtMs === null || expiresAtMs > nowMs;

/** Does it speak of this user, or of a device of theirs? The last blank parts a device's user from it. */
export function namesUser({ kind, value }: Pick<NewListEntry, 'kind' | 'value'>, userId: string): boolean {
  if (kind === 'user') return value === userId;
  return kind === 'device' && value.slice(0, value.lastIndexOf(' ')) === userId;
}

/** Blanks around an address are a slip; around a user's id they are part of it: another user may have the id without. */
function value({ kind, value: text }: NewListEntry): string {
  if (typeof text !== 'string') return '';
  return kind === 'user' || kind === 'device' ? text : text.trim();
}

const isText = (text: unknown, max: number): boolean =>
  typeof text === 'string' && text.trim() !== '' && text.length <= max;

const TAKES: Readonly<Record<ListKind, string>> = {
  address: 'one plain IP address, e.g. 203.0.113.7',
  network: `a block such as 203.0.113.0/24: at least a /${SHORTEST_PREFIX[4]}, of IPv6 a /${SHORTEST_PREFIX[6]}`,
  asn: 'the number of an autonomous system, 1 to 4294967295',
  country: 'a two-letter country code, e.g. FR',
  country_pair: 'two different countries, from the known one to the one seen, e.g. DE>FR',
  user: `the application's own id of the user, 1 to ${MAX_USER} characters`,
  device: 'the id of a user, a blank, and the id of a device (which holds no blank)',
};

const CHECKS: Readonly<Record<ListKind, (value: string) => string | null>> = {
  address(text) {
    const parsed = parseAddress(text);
    return parsed.ok ? parsed.ip : null;
  },
  network(text) {
    const cidr = text.includes('/') ? parseCidr(text) : null;
    return cidr !== null && cidr.prefix >= SHORTEST_PREFIX[cidr.family] ? cidr.text : null;
  },
  asn(text) {
    const digits = /^(?:AS)?([1-9]\d{0,9})$/i.exec(text)?.[1];
    return digits !== undefined && Number(digits) <= 0xffff_ffff ? digits : null;
  },
  country: (text) => normaliseCountry(text).country ?? null,
  country_pair(text) {
    const [from, to, ...more] = text.split('>').map((part) => normaliseCountry(part.trim()).country);
    return from === undefined || to === undefined || from === to || more.length > 0 ? null : `${from}>${to}`;
  },
  user: (text) => (isText(text, MAX_USER) ? text : null),
  device(text) {
    // The last blank parts them: user ids may hold blanks, so the device's must not, or two pairs would look the same.
    const at = text.lastIndexOf(' ');
    return at > 0 && isText(text.slice(0, at), MAX_USER) && isText(text.slice(at + 1), MAX_DEVICE) ? text : null;
  },
};
