/**
 * The words of this project (see docs/architecture.md). Types only; nothing here does anything.
 *
 * - **login event**: what the web tier knows when a user has authenticated.
 * - **lid** (login id): random id stamped at authentication, carried by every session id this login ever gets.
 * - **session handle**: `base64url(sha256(session id))`, the only form of a session id outside the web tier and the browser.
 * - **sighting**: what locating one address gave: `Located` or `Unlocatable`.
 * - **candidates**: the set of countries that the sources give for an address.
 * - **baseline**: what is known of a user's logins, per address family.
 * - **decision**: `allow`, `flag` (log for review) or `revoke` (end the session), with its reason.
 * - **incident**: the reviewable record of a decision that was not `allow`.
 */

/** ISO 3166-1 alpha-2 country code in upper case; `XK` (Kosovo) is accepted. */
export type Country = string;

export type AddressFamily = 4 | 6;

/** Class of an address by the IANA special-purpose registries (RFC 6890) and the tunnel formats. */
export type AddressKind =
  | 'global'
  | 'private'
  | 'loopback'
  | 'link-local'
  | 'cgnat'
  | 'documentation'
  | 'benchmarking'
  | 'multicast'
  | 'reserved'
  | 'unallocated'
  | '6to4'
  | 'teredo'
  | 'nat64';

/** What the web tier knows when a user has authenticated. Carries no session id, only its handle. */
export interface LoginEvent {
  readonly lid: string;
  /** `base64url(sha256(session id))`, 43 characters. */
  readonly handle: string;
  /** The application's own id of the user, 1 to 256 characters. */
  readonly userId: string;
  /** Canonical client address, or null when it is not known (then `addressProblem` says why). */
  readonly address: string | null;
  readonly addressProblem?: AddressProblem | undefined;
  /** When the user authenticated, milliseconds since the epoch. */
  readonly loginAtMs: number;
  /** At most 512 characters. Untrusted text. */
  readonly userAgent?: string | undefined;
  /** At most 128 characters. Untrusted text. */
  readonly deviceId?: string | undefined;
  /** On the user's list of sessions: the worker adds there where it was located. */
  readonly listed?: boolean | undefined;
  /** Of a PHP site: its session id, sealed for the worker (see src/php/seal). */
  readonly php?: string | undefined;
  /** Not a login but what a later request of this one showed; the address and the time are that request's. */
  readonly signal?: 'session_reused' | undefined;
}

/** Why the web tier could not name the client's address. */
export type AddressProblem = 'no_address' | 'invalid_address' | 'malformed_forwarding';

/** Why an address has no country. Unknown is a value: none of these is ever suspicious. */
export type UnlocatableWhy =
  | AddressProblem
  /** Private, loopback, documentation ...: see `addressKind`. */
  | 'special_address'
  /** 6to4, Teredo, NAT64: the address names a relay, not the client. */
  | 'tunnel'
  /** No source has an answer for this address. */
  | 'no_data'
  /** An override of the operator says that this network is not to be located; nobody is asked about it. */
  | 'not_located'
  /** No database could be opened at all. */
  | 'no_database'
  /** Every source that answered is older than the configured age. */
  | 'stale_data'
  /** Every source that could have answered failed. */
  | 'lookup_failed';

/** What makes an address's country no evidence: its user is elsewhere (VPN, Tor, proxy), a machine, or everywhere. */
export type AddressFlag = 'anonymiser' | 'hosting' | 'anycast';

/** What kind of source spoke. */
export type SourceKind = 'mmdb' | 'geoip-lite' | 'override' | 'registry';

/** One source's word about one address. */
export interface Evidence {
  /** Missing on incidents of release 0.1. */
  readonly source?: SourceKind | undefined;
  /** Name of the database, e.g. `GeoLite2-Country`. */
  readonly database: string;
  /** Build date of the database, ISO 8601 day, or null where the source does not say. */
  readonly builtOn: string | null;
  /** The country it gave, or null when it had none (or none that counts, see `note`). */
  readonly country: Country | null;
  /** The network that this answer is for, in CIDR form, where the source says. */
  readonly network: string | null;
  /** e.g. `pseudo:EU` (not a country), `error`, `stale`, `override`, `overruled` (an override spoke). */
  readonly note?: string | undefined;
  /** Degrees, WGS 84, of city databases. A middle of where the address may be, never a house. */
  readonly latitude?: number | undefined;
  readonly longitude?: number | undefined;
  /** The address is within this distance of the coordinates, kilometres (MaxMind: in two of three cases). */
  readonly radiusKm?: number | undefined;
  readonly flags?: readonly AddressFlag[] | undefined;
  /** Number of the autonomous system, and its holder's name as the database has it: bounded, untrusted text. */
  readonly asn?: number | undefined;
  readonly holder?: string | undefined;
}

export interface Located {
  readonly kind: 'located';
  readonly address: string;
  readonly family: AddressFamily;
  /** The /24 (IPv4) or /48 (IPv6) around the address. */
  readonly network: string;
  /** Sorted, without duplicates, never empty. */
  readonly candidates: readonly Country[];
  /** True when an override said it, or at least two independent sources answered and all gave the same one country. */
  readonly agreed: boolean;
  /** Sorted; left out where there is none. With any, the country is no evidence. Never set where an override spoke. */
  readonly flags?: readonly AddressFlag[] | undefined;
  readonly evidence: readonly Evidence[];
}

export interface Unlocatable {
  readonly kind: 'unlocatable';
  readonly why: UnlocatableWhy;
  readonly address: string | null;
  readonly addressKind?: AddressKind | undefined;
  /** Of a tunnel: the IPv4 address that it carries, of a relay's user as that one wrote it. On record, and never compared. */
  readonly embedded?: string | undefined;
  /** As `Located.flags`: they hold for the country that a registry's geofeed may give it yet. */
  readonly flags?: readonly AddressFlag[] | undefined;
  readonly evidence: readonly Evidence[];
}

export type Sighting = Located | Unlocatable;

/** A candidate set that this user has logged in from. */
export interface Place {
  /** Sorted. */
  readonly countries: readonly Country[];
  /** As `Located.agreed`: one country, said by at least two sources. */
  readonly agreed: boolean;
  readonly firstSeenMs: number;
  readonly lastSeenMs: number;
}

export interface KnownNetwork {
  readonly network: string;
  readonly firstSeenMs: number;
  readonly lastSeenMs: number;
}

export interface FamilyBaseline {
  /** Most recently seen first; bounded. */
  readonly places: readonly Place[];
  /** Most recently seen first; bounded. */
  readonly networks: readonly KnownNetwork[];
}

/** What is known of a user's logins. IPv4 and IPv6 are kept apart: phones flip between them. */
export interface Baseline {
  readonly v4: FamilyBaseline;
  readonly v6: FamilyBaseline;
}

/** `allow`: nothing happens. `flag`: logged for review. `revoke`: the session is ended. */
export type Action = 'allow' | 'flag' | 'revoke';

/** What the worker does with a `revoke`: end the session, or only record that it would have. */
export type Mode = 'enforce' | 'observe';
