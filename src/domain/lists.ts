/** Allow and block lists: a person's word on addresses, networks, countries and users, above what the data says. */
export type ListName = 'allow' | 'block';

/** `country_pair`: from a user's known country to the one seen, `DE>FR`. `device`: of one user, `<user id> <device id>`. */
export type ListKind = 'address' | 'network' | 'asn' | 'country' | 'country_pair' | 'user' | 'device';

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
