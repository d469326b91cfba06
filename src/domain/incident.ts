import type { Reason } from './reasons.ts';
import type { RegistryFinding } from './registry.ts';
import type { Action, Baseline, Mode, Sighting } from './types.ts';

/** What ending the session came to. `observed`: observe mode, nothing was touched. `none`: a flag ends nothing. */
export type RevokeOutcome = 'revoked' | 'already_revoked' | 'not_found' | 'other_login';
export type Outcome = RevokeOutcome | 'observed' | 'none';

/** An analyst's answer. */
export type Disposition = 'confirmed' | 'safe' | 'dismissed';
export type IncidentStatus = 'open' | Disposition;

/** The reviewable record of a decision that was not `allow`. Holds no session id: `handle` is its hash. */
export interface Incident {
  /** Case number, e.g. `K7QX-2M9F-4T8A`: derived from the lid, so that a retried job writes the same one. */
  readonly id: string;
  readonly lid: string;
  readonly handle: string;
  readonly userId: string;
  readonly action: Exclude<Action, 'allow'>;
  readonly reason: Reason;
  readonly mode: Mode;
  readonly outcome: Outcome;
  /** What was known of the user when this was decided. */
  readonly baseline: Baseline;
  /** What was seen: address, candidates, and each source's word with its database's date. A reuse may be unlocatable. */
  readonly sighting: Sighting;
  readonly userAgent?: string | undefined;
  readonly deviceId?: string | undefined;
  readonly loginAtMs: number;
  readonly queuedAtMs: number;
  readonly decidedAtMs: number;
  /** There was no data to locate this login with when it came; it was decided later, when there was. */
  readonly rechecked?: true | undefined;
  /** The safety brake stood in the way: it would have been ended, and `mode` says `observe`. */
  readonly brake?: true | undefined;
  /** The entry of the lists that decided this. */
  readonly listEntryId?: string | undefined;
  readonly revokedAtMs?: number | undefined;
}

/** One refused request, or one view of the gotcha page. All text is untrusted and bounded. */
export interface Visit {
  readonly atMs: number;
  readonly kind: 'refused' | 'gotcha';
  readonly address: string | null;
  readonly userAgent: string;
  readonly method: string;
  readonly path: string;
}

/** What the user said to "Was this you?", where that is only noted for an analyst. */
export interface UserWord {
  readonly said: 'yes' | 'no';
  readonly atMs: number;
}

/** An incident with what happened to it since. */
export interface IncidentRecord extends Incident {
  readonly status: IncidentStatus;
  readonly resolvedBy?: string | undefined;
  readonly resolvedAtMs?: number | undefined;
  readonly note?: string | undefined;
  /** What a registry and its geofeed said since; its rows also stand at the end of `sighting.evidence`. */
  readonly registry?: RegistryFinding | undefined;
  readonly userWord?: UserWord | undefined;
  /** The first request that was refused because of this incident. */
  readonly firstRefusedAtMs?: number | undefined;
  readonly visitCount: number;
  /** The first ones and the newest ones, oldest first; bounded. */
  readonly visits: readonly Visit[];
}
