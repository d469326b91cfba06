/** What one answer of a registry comes to, whichever protocol it came by. */

import { normaliseCountry } from '../../domain/country.ts';
import type { Country } from '../../domain/types.ts';
import type { IpRange } from './range.ts';

export type Reply =
  | OkReply
  /** The registry has no entry for this address. */
  | { readonly status: 'none' }
  /** A placeholder for space that another registry, or nobody, looks after. Its country is an office's. */
  | { readonly status: 'not-authoritative' }
  /** Ask there, on port 43. The host is on our list. */
  | { readonly status: 'referral'; readonly host: string }
  /** It would send us to where we do not go: another scheme, host or port. */
  | { readonly status: 'blocked-referral' }
  | RateLimited
  /** Not what was asked for, or not readable. `reason` is a fixed word, never text from outside. */
  | { readonly status: 'bad-answer'; readonly reason: string }
  /** No answer: time, size, connection. Likewise. */
  | { readonly status: 'error'; readonly reason: string };

export interface OkReply {
  readonly status: 'ok';
  readonly range: IpRange;
  /** The holder's; null when there is none, or none that counts (then `note` says why). */
  readonly country: Country | null;
  readonly note?: string | undefined;
  /** The https address of the holder's geofeed (RFC 9632, RFC 9877). */
  readonly geofeed: string | null;
}

export interface RateLimited {
  readonly status: 'rate-limited';
  /** What the server asked for, 1 s to 1 h; null where it did not say. Milliseconds. */
  readonly retryAfterMs: number | null;
  /** Ask this registry nothing at all for a while. */
  readonly openCircuit: boolean;
  /** False when it says that it will not answer us again. */
  readonly retry: boolean;
}

export function rateLimited(retryAfterMs: number | null = null, retry = true, openCircuit = true): RateLimited {
  return { status: 'rate-limited', retryAfterMs, openCircuit, retry };
}

export const badAnswer = (reason: string): Reply => ({ status: 'bad-answer', reason });

/** The country of all that a registry wrote as such, in its order. Different ones are none: nobody knows which. */
export function countryOf(codes: readonly string[]): { country: Country | null; note?: string } {
  const answers = codes.map((code) => normaliseCountry(code));
  const countries = [...new Set(answers.flatMap(({ country }) => country ?? []))];
  const [only] = countries;
  if (countries.length > 1) return { country: null, note: `several:${countries.slice(0, 8).join('|')}` };
  if (only !== undefined) return { country: only };
  const note = answers.find((answer) => answer.note !== undefined)?.note;
  return note === undefined ? { country: null } : { country: null, note };
}

/** Longer is no address that anybody publishes. */
const MAX_URL = 1024;

/** The address of a geofeed as a registry gives it: https on its own port, a host with a dot, no password. */
export function geofeedUrl(text: unknown): string | null {
  if (typeof text !== 'string' || text.length > MAX_URL || !URL.canParse(text)) return null;
  const url = new URL(text);
  const isPlain = url.protocol === 'https:' && url.port === '' && url.username === '' && url.password === '';
  return isPlain && url.hostname.includes('.') ? url.href : null;
}

/** `Geofeed https://...` in a remark (RFC 9632 section 3, for registries without the attribute). */
export function geofeedRemark(line: string): string | null {
  return geofeedUrl(/^\s*geofeed:?\s+(https:\S+)\s*$/i.exec(line)?.[1]);
}

/**
 * Is this the placeholder that a registry shows for space it does not look after? By its name and the words of the
 * registries' own entries; a holder who imitates them only loses a record that decides nothing.
 */
export function isPlaceholder(names: readonly string[], texts: readonly string[]): boolean {
  return (
    names.some((name) => PLACEHOLDER_NAME.test(name.trim())) || texts.some((text) => PLACEHOLDER_TEXT.test(text.trim()))
  );
}

const PLACEHOLDER_NAME =
  /^(non-(ripe-ncc|apnic|afrinic|arin|lacnic)-managed|erx-netblock|iana-(blk|block|netblock|reserved)|(apnic|lacnic|ripe|afrinic|arin)-erx-|(eu|ap|af|la|us)-zz-|stub-|not-allocated|unallocated)/i;
const PLACEHOLDER_TEXT =
  /^(early registration addresses$|ipv[46] address block not managed by|address range is not administered by|this (network|address) range is not (allocated|administered|registered)|this ip address range is not registered|the whole ipv[46] address space|(early registrations, )?(transferred|allocated|maintained) (to|by) (the )?(afrinic|apnic|arin|lacnic|ripe)\b)/i;
