import { overlaps } from './country.ts';
import type { Reason } from './reasons.ts';
import { type RegistryFinding, SETTLED_BY } from './registry.ts';
import type { Action, Baseline, Mode, Sighting } from './types.ts';

/** What ending the session came to. `observed`: observe mode, nothing was touched. `none`: a flag ends nothing. */
export type RevokeOutcome = 'revoked' | 'already_revoked' | 'not_found' | 'other_login';
export type Outcome = RevokeOutcome | 'observed' | 'none';

/** What became of a session that PHP keeps. */
export interface PhpEnd {
  /** `nulled`: the user's variable is NULL. `destroyed`: the whole session went. */
  readonly how: 'nulled' | 'destroyed' | 'untouched';
  readonly why?: PhpWhy | undefined;
  /** Beside one that was ended, so many of the login's ids were not, and may live; `why` is then the reason of one of them. */
  readonly left?: number | undefined;
}

/** Why a session that PHP keeps was destroyed, or not touched; `locked`: a request that held its lock may write it back. */
export type PhpWhy =
  | 'igbinary'
  | 'compressed'
  | 'too_large'
  | 'unreadable'
  | 'field_missing'
  | 'locked'
  | 'absent'
  | 'unavailable'
  | 'busy'
  | 'too_many'
  | 'unknown_key'
  | 'not_opened'
  | 'not_configured';

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
  /** Of a login at a PHP site. */
  readonly atPhp?: true | undefined;
  /** Of a login at a PHP site, where it was to be ended. */
  readonly php?: PhpEnd | undefined;
  /** The login had ended before, by this other case; `revokedAtMs` is that end's. */
  readonly endedByCase?: string | undefined;
}

/** A later end of a login whose incident was on record: its session had been given back in between. */
export interface EndedAgain {
  readonly reason: Reason;
  /** When the session ended, milliseconds since the epoch. */
  readonly atMs: number;
  /** When that happened which it was ended for. */
  readonly eventAtMs: number;
  /** The answer that stood then; the incident has been open since. */
  readonly was: IncidentStatus;
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

/** An answer on record whose effects may not all be done: some failed, or the process died over them. */
export interface PendingAnswer {
  /** What was asked for beside the answer itself: see `AnswerRequest`. */
  readonly giveBack?: boolean | undefined;
  readonly blockAddressForMs?: number | null | undefined;
}

/** So long whoever answers is left to it: then what is pending was left. */
const PENDING_GRACE_MS = 30_000;

/** An incident with what happened to it since. */
export interface IncidentRecord extends Incident {
  /** The newest one. */
  readonly endedAgain?: EndedAgain | undefined;
  readonly status: IncidentStatus;
  readonly resolvedBy?: string | undefined;
  readonly resolvedAtMs?: number | undefined;
  readonly note?: string | undefined;
  readonly pending?: PendingAnswer | undefined;
  /** What the user's own link had answered, before a person did. */
  readonly overruled?: Disposition | undefined;
  /** What a registry and its geofeed said since; its rows also stand at the end of `sighting.evidence`. */
  readonly registry?: RegistryFinding | undefined;
  readonly userWord?: UserWord | undefined;
  /** The first request that was refused because of this incident. */
  readonly firstRefusedAtMs?: number | undefined;
  /** The newest view of the gotcha page, whether it is among `visits` or not; left out of those from before this was noted. */
  readonly lastGotchaAtMs?: number | undefined;
  readonly visitCount: number;
  /** The first ones and the newest ones, oldest first; bounded. */
  readonly visits: readonly Visit[];
}

/** An answer, as somebody asks for it. */
export interface AnswerWish {
  readonly disposition: Disposition;
  readonly by: string;
  /** `safe`: give the session back. */
  readonly giveBack: boolean;
  /** `confirmed`: put the address on the block list. */
  readonly blockAddress: boolean;
  /** Now, milliseconds since the epoch. */
  readonly atMs: number;
}

/** What follows from an answer. */
export type AnswerEffect =
  | 'end_login'
  | 'end_others'
  | 'block_address'
  | 'unlearn'
  | 'teach'
  | 'close_alike'
  | 'give_back';

/**
 * `answer`: it may be written. `complete`: the same answer is given once more; what an interruption kept from being done is
 * done now. Effects are in their order, and each bears a repeat.
 */
export type AnswerVerdict =
  | { readonly kind: 'answer' | 'complete'; readonly effects: readonly AnswerEffect[] }
  | { readonly kind: 'refused'; readonly why: 'closed' | 'only_confirmed_blocks' | 'no_address' };

/**
 * What an answer comes to, in each state of an incident.
 *
 *   open, or closed by the registry worker -> confirmed, safe or dismissed
 *   answered by the user's own link        -> the same, by anybody else; of a `safe` what it taught is forgotten
 *   answered by a person                   -> the same again by the same person completes it; by anybody, where it was left half
 *                                             done (`isLeft`); all else is refused
 *
 * A wrong `confirmed` is corrected by undo, which opens the incident again (`afterUndo`); a wrong `safe` or `dismissed` by
 * opening it again.
 */
export function judgeAnswer(incident: IncidentRecord, wish: AnswerWish): AnswerVerdict {
  const { status, resolvedBy, sighting } = incident;
  const isOpen = status === 'open' || mayOverrule(resolvedBy, wish.by);
  const isSame = status === wish.disposition && (resolvedBy === wish.by || isLeft(incident, wish.atMs));
  if (!isOpen && !isSame) return { kind: 'refused', why: 'closed' };
  if (wish.blockAddress && wish.disposition !== 'confirmed') return { kind: 'refused', why: 'only_confirmed_blocks' };
  if (wish.blockAddress && sighting.address === null) return { kind: 'refused', why: 'no_address' };
  return { kind: isOpen ? 'answer' : 'complete', effects: EFFECTS[wish.disposition](incident, wish) };
}

/** Was what follows from its answer begun and not done? Whoever answered may have gone: anybody may complete it. */
export function isLeft({ pending, resolvedAtMs = 0 }: IncidentRecord, nowMs: number): boolean {
  return pending !== undefined && nowMs - resolvedAtMs >= PENDING_GRACE_MS;
}

const EFFECTS: Readonly<Record<Disposition, (incident: IncidentRecord, wish: AnswerWish) => readonly AnswerEffect[]>> =
  {
    // A flag, or a login that was only observed, ends now: a person says that it is a thief's.
    confirmed: (incident, { blockAddress }) => [
      'end_login',
      ...only('unlearn', wasTaughtByUser(incident)),
      ...only('end_others', incident.sighting.address !== null),
      ...only('block_address', blockAddress),
    ],
    // The baseline first: what the owner does next is to be known. The session last: nothing else depends on it.
    safe: (incident, { giveBack }) => [
      ...only('teach', maySpeakOfPlace(incident)),
      ...only('close_alike', ALIKE.has(incident.reason)),
      ...only('give_back', giveBack && mayHaveEnded(incident)),
    ],
    dismissed: (incident) => only('unlearn', wasTaughtByUser(incident)),
  };

const only = (effect: AnswerEffect, when: boolean): AnswerEffect[] => (when ? [effect] : []);

/** Under this name a user's own answers stand on incidents and in the audit. */
export const USER = 'user';

/** Neither the registry worker nor whoever holds a link has the last word. */
export function mayOverrule(resolvedBy: string | undefined, by: string): boolean {
  return resolvedBy === SETTLED_BY || (resolvedBy === USER && by !== USER);
}

/** Said yes by the user's link, and no by a person: perhaps it was the thief who had the mail. */
function wasTaughtByUser(incident: IncidentRecord): boolean {
  return incident.overruled === 'safe' && maySpeakOfPlace(incident);
}

/** A place that nobody knows cannot be learned; and a reuse says which request came late, not where a login was from. */
export function maySpeakOfPlace({ sighting, reason }: Incident): boolean {
  return sighting.kind === 'located' && reason !== 'session_reused';
}

/** Begins what stands in the place of a forgotten user's id. */
export const PSEUDONYM_PREFIX = 'forgotten-';

/** Its user was forgotten: nobody is left to learn of, to give a session back to, or to end one of. */
export function isForgotten({ userId, lid }: Incident): boolean {
  return lid === userId && userId.startsWith(PSEUDONYM_PREFIX);
}

/** Did this incident end its login? A later end, for another reason, is not the business of an answer to this one. */
export function wasEnded({ outcome }: Incident): boolean {
  return outcome !== 'none' && outcome !== 'observed';
}

/** Did anything of this incident end its login? A `confirmed` ends what was only flagged, also one that was overruled since. */
export function mayHaveEnded(incident: IncidentRecord): boolean {
  const { status, overruled, endedAgain } = incident;
  return [status, overruled].includes('confirmed') || endedAgain !== undefined || wasEnded(incident);
}

/** An end is lifted there, but PHP's session, of which nothing was kept, is not given back: the user logs in again. */
export function isAtPhp({ atPhp, php }: Incident): boolean {
  return atPhp === true || php !== undefined;
}

/** Was an old session id its newest end? Two parties held that login: nobody can say which of them gets it back. */
export function wasReused({ reason, endedAgain }: Pick<IncidentRecord, 'reason' | 'endedAgain'>): boolean {
  return (endedAgain?.reason ?? reason) === 'session_reused';
}

/** Decisions that rest on the country alone: who was there once, by a person's word, may have been there each time. */
const ALIKE: ReadonlySet<Reason> = new Set(['country_changed', 'country_disputed']);

/** Is this other open incident answered by `safe` as well: the same user, seen in no country that this one does not name? */
export function isAlike(answered: Incident, other: IncidentRecord): boolean {
  if (other.id === answered.id || other.status !== 'open' || other.userId !== answered.userId) return false;
  if (!ALIKE.has(answered.reason) || !ALIKE.has(other.reason)) return false;
  if (answered.sighting.kind !== 'located' || other.sighting.kind !== 'located') return false;
  const { candidates } = answered.sighting;
  return other.sighting.candidates.every((country) => overlaps([country], candidates));
}

/** Whoever gives a session back says that it was no theft: such an answer no longer holds, the incident is open again. */
export function afterUndo(status: IncidentStatus): 'reopen' | 'keep' {
  return status === 'confirmed' ? 'reopen' : 'keep';
}
