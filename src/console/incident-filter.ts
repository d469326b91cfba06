/** The filter of the incident queue: from a page's address to a query, and back. */

import type { IncidentQuery } from '../desk-ports.ts';
import { networkOf, parseAddress, parseCidr } from '../domain/address.ts';
import { normaliseCountry } from '../domain/country.ts';
import type { IncidentStatus } from '../domain/incident.ts';
import { REASONS, type Reason } from '../domain/reasons.ts';

/** As they stand in the form and in the page's address: text that somebody typed. */
export const FILTER_FIELDS = [
  'status',
  'action',
  'reason',
  'country',
  'user',
  'address',
  'network',
  'brake',
  'from',
  'to',
] as const;
export type FilterField = (typeof FILTER_FIELDS)[number];
export type FilterValues = Readonly<Partial<Record<FilterField, string>>>;

/** `all`: every status. Without one in the address the queue shows the open ones. */
export const STATUSES = ['open', 'confirmed', 'safe', 'dismissed', 'all'] as const;

export interface Filter {
  readonly query: IncidentQuery;
  /** What to put into the form again, and into links to other pages. Bounded. */
  readonly values: FilterValues;
  /** A sentence for each field that could not be read: it narrows nothing. */
  readonly problems: readonly { readonly field: FilterField; readonly message: string }[];
}

/** Longer text is none of these. */
const MAX_VALUE = 256;

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
type Reader = (value: string, query: Mutable<IncidentQuery>) => string | null;

/** Each says what is wrong with a value, or puts it into the query. */
const READERS: Readonly<Record<FilterField, Reader>> = {
  status(value, query) {
    if (!(STATUSES as readonly string[]).includes(value)) return `give one of ${STATUSES.join(', ')}`;
    if (value !== 'all') query.status = value as IncidentStatus;
    return null;
  },
  action(value, query) {
    if (value !== 'flag' && value !== 'revoke') return 'give flag or revoke';
    query.action = value;
    return null;
  },
  reason(value, query) {
    if (!Object.hasOwn(REASONS, value)) return 'give one of the list';
    query.reason = value as Reason;
    return null;
  },
  country(value, query) {
    const { country } = normaliseCountry(value);
    if (country === undefined) return 'give two letters, such as DE';
    query.country = country;
    return null;
  },
  user(value, query) {
    query.userId = value;
    return null;
  },
  address(value, query) {
    const parsed = parseAddress(value);
    if (!parsed.ok) return 'give a whole IPv4 or IPv6 address';
    query.address = parsed.ip;
    return null;
  },
  network(value, query) {
    const network = readNetwork(value);
    if (network === null) return 'give a /24 (IPv4) or /48 (IPv6), such as 192.0.2.0/24, or an address in it';
    query.network = network;
    return null;
  },
  brake(value, query) {
    if (value !== 'held') return 'give held';
    query.brake = true;
    return null;
  },
  from: (value, query) => readTime(value, (atMs) => (query.fromMs = atMs)),
  to: (value, query) => readTime(value, (atMs) => (query.toMs = atMs)),
};

export function readFilter(params: URLSearchParams): Filter {
  const query: Mutable<IncidentQuery> = {};
  const values: Partial<Record<FilterField, string>> = {};
  const problems: { field: FilterField; message: string }[] = [];
  for (const field of FILTER_FIELDS) {
    const value = typed(params, field);
    if (value === '') continue;
    values[field] = value.slice(0, MAX_VALUE);
    const message = value.length > MAX_VALUE ? `at most ${MAX_VALUE} characters` : READERS[field](value, query);
    if (message !== null) problems.push({ field, message });
  }
  return { query, values, problems };
}

/** A user id may begin or end with a space; nothing else does. The first visit shows what is open. */
function typed(params: URLSearchParams, field: FilterField): string {
  const value = params.get(field) ?? '';
  if (field === 'user') return value;
  return field === 'status' && !params.has('status') ? 'open' : value.trim();
}

/** The /24 or /48 as incidents are kept by; null for any other block. */
export function readNetwork(value: string): string | null {
  const cidr = parseCidr(value);
  if (cidr === null) return null;
  const whole = cidr.family === 4 ? 32 : 128;
  if (cidr.prefix !== whole && cidr.prefix !== (cidr.family === 4 ? 24 : 48)) return null;
  return networkOf(cidr.text.slice(0, cidr.text.lastIndexOf('/')), cidr.family);
}

/** What `<input type="datetime-local">` sends, or a day; read as UTC. */
function readTime(value: string, take: (atMs: number) => void): string | null {
  const hasShape = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,3})?)?)?$/.test(value);
  const atMs = hasShape ? Date.parse(value.length === 10 ? `${value}T00:00Z` : `${value}Z`) : Number.NaN;
  if (Number.isNaN(atMs) || atMs < 0) return 'give a date and time (UTC), such as 2026-01-31T23:59';
  take(atMs);
  return null;
}
