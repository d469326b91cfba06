import type { Action } from './types.ts';

/**
 * Why a login was decided as it was: a closed set. A new code is one line here; the compiler then asks for its entry in
 * `REASONS`, and everything that shows or counts reasons reads that table.
 */
export type Reason =
  | 'first_login'
  | 'same_network'
  | 'same_country'
  | 'related_territory'
  | 'country_changed'
  | 'country_disputed'
  | 'anonymous_network'
  | 'unlocatable'
  | 'special_address'
  | 'session_reused'
  | 'blocked'
  | 'allowed_by_list';

export interface ReasonInfo {
  readonly action: Action;
  /** May such a login advance the user's baseline? */
  readonly teaches: boolean;
  /** One sentence for a person who reviews. */
  readonly meaning: string;
}

export const REASONS: Readonly<Record<Reason, ReasonInfo>> = {
  first_login: {
    action: 'allow',
    teaches: true,
    meaning: 'Nothing is known of this user yet; this login starts the baseline.',
  },
  same_network: {
    action: 'allow',
    teaches: true,
    meaning: 'The user has logged in from this network (/24 or /48) before.',
  },
  same_country: {
    action: 'allow',
    teaches: true,
    meaning: 'The countries this address may be in include one the user logs in from.',
  },
  related_territory: {
    action: 'allow',
    teaches: true,
    meaning: 'Another territory of a country the user logs in from.',
  },
  country_changed: {
    action: 'revoke',
    teaches: false,
    meaning: 'Both sides are certain (two sources agree on each) and the countries differ.',
  },
  country_disputed: {
    action: 'flag',
    teaches: false,
    meaning: 'The countries differ, but one side is disputed, rests on one source, or is of the other address family.',
  },
  anonymous_network: {
    action: 'flag',
    teaches: false,
    meaning: 'An anonymiser, a hosting network or anycast: the country of this address is no evidence.',
  },
  unlocatable: {
    action: 'allow',
    teaches: false,
    meaning: 'The address has no known country; this login was not checked.',
  },
  special_address: {
    action: 'allow',
    teaches: false,
    meaning: 'A private, loopback or other special address has no country.',
  },
  session_reused: {
    action: 'revoke',
    teaches: false,
    meaning: 'A session id came back long after its session had gone on under a new one: two parties hold this login.',
  },
  blocked: {
    action: 'revoke',
    teaches: false,
    meaning: 'The block list refuses this address, network, country or user: a person ordered it.',
  },
  allowed_by_list: {
    action: 'allow',
    // The word of a list ends with it: what it excused must be no country of the user's afterwards.
    teaches: false,
    meaning: 'This login did not match its user, but the allow list lets it pass.',
  },
};

/** What `decide` says of one login. */
export interface Decision {
  readonly action: Action;
  readonly reason: Reason;
  /** May this login advance the baseline? Never for a flagged or revoked one, nor for an unlocatable one. */
  readonly teaches: boolean;
}
