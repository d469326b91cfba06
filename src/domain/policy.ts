/** What an operator may choose about deciding and learning. */
export interface Policy {
  /** Candidate sets kept per address family; the least recently seen go first. At least 1. */
  readonly maxPlaces: number;
  /** Networks (/24, /48) kept per address family; the least recently seen go first. At least 1. */
  readonly maxNetworks: number;
  /** A place or network not seen for this long no longer counts, and is dropped. Milliseconds. */
  readonly baselineTtlMs: number;
  /**
   * A baseline whose only news is a last-seen time younger than this is not rewritten: saves a write on most logins.
   * Milliseconds; keep it far below `baselineTtlMs`, for an entry may expire this much early.
   */
  readonly refreshMs: number;
  /**
   * What becomes of a login from an address that a source flags as anonymiser, hosting or anycast, and whose network is
   * new for this user. Its country counts for nothing either way.
   */
  readonly anonymousNetwork: 'allow' | 'flag';
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** 180 days: long enough for a user who logs in twice a year; what is kept of people is not kept for ever. */
export const DEFAULT_POLICY: Policy = Object.freeze({
  maxPlaces: 5,
  maxNetworks: 8,
  baselineTtlMs: 180 * DAY_MS,
  refreshMs: HOUR_MS,
  // Who steals a session hides; and an operator who gives such a database wants to hear of it. It ends nothing.
  anonymousNetwork: 'flag',
});
