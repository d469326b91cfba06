/**
 * The safety brake. A bad database update moves a tenth of the world to another country; a worker that believed it would end the
 * sessions of a tenth of the users. So where the sessions of too many users would be ended, the workers go on deciding and
 * recording, but end nothing, until a person says so (or the share has been normal for long enough).
 */
import { BouncerError } from '../errors.ts';
import type { Reason } from './reasons.ts';

export interface BrakePolicy {
  /** The window, milliseconds. Default 5 minutes. */
  readonly windowMs: number;
  /** More users than this share (0 to 1) of the window's logins, counted as at least `minLogins`, trip it. Default 0.05. */
  readonly share: number;
  /** Default 200: so, by default, sessions of ten users may end in five minutes however few log in. */
  readonly minLogins: number;
  /** So many times the share of the trailing day trips it too, once the window has `minLogins`. Default 20. */
  readonly surge: number;
  /** Without a person: back to enforcing after the share has been normal for so long, milliseconds. Null: never by itself. */
  readonly resetAfterMs: number | null;
}

export const DEFAULT_BRAKE: BrakePolicy = Object.freeze({
  windowMs: 300_000,
  share: 0.05,
  minLogins: 200,
  surge: 20,
  resetAfterMs: null,
});

const HOUR_MS = 3_600_000;

/** What is not given is the default. Throws BouncerError `option_invalid`. */
export function brakePolicy(
  given: { readonly [name in keyof BrakePolicy]?: BrakePolicy[name] | undefined },
): BrakePolicy {
  const policy = {
    windowMs: given.windowMs ?? DEFAULT_BRAKE.windowMs,
    share: given.share ?? DEFAULT_BRAKE.share,
    minLogins: given.minLogins ?? DEFAULT_BRAKE.minLogins,
    surge: given.surge ?? DEFAULT_BRAKE.surge,
    resetAfterMs: given.resetAfterMs ?? DEFAULT_BRAKE.resetAfterMs,
  };
  const { windowMs, share, minLogins, surge, resetAfterMs } = policy;
  // The counts behind it are kept by the minute, for a day.
  if (!(windowMs > 0 && windowMs <= HOUR_MS)) throw wrong('windowMs', 'milliseconds up to an hour');
  if (!(share > 0 && share <= 1)) throw wrong('share', 'a share above 0 and up to 1');
  if (!(minLogins >= 1)) throw wrong('minLogins', 'a number from 1');
  if (!(surge >= 1)) throw wrong('surge', 'a number from 1');
  if (resetAfterMs !== null && !(resetAfterMs > 0 && resetAfterMs <= 22 * HOUR_MS)) {
    throw wrong('resetAfterMs', 'milliseconds up to 22 hours, or null');
  }
  return policy;
}

const wrong = (name: string, takes: string) => new BouncerError('option_invalid', `brake.${name}: give ${takes}`);

/** Would the first user whose session is to be ended trip it, while few log in? Then one theft switches the protection off. */
export const tripsAtOnce = ({ share, minLogins }: BrakePolicy): boolean => share * minLogins < 1;

export interface BrakeCounts {
  readonly logins: number;
  /**
   * The users of those that a decision would revoke. Users, not logins: bad data strikes many users, and whoever knows one
   * password and logs in again after each bounce must not disarm the comparison. Not those of a block list: a person ordered them.
   */
  readonly revokes: number;
}

export interface BrakeTrip {
  readonly atMs: number;
  readonly why: 'share' | 'surge';
  readonly window: BrakeCounts;
  readonly day: BrakeCounts;
}

export type BrakeState =
  | { readonly kind: 'off' }
  | { readonly kind: 'enforcing' }
  | { readonly kind: 'tripped'; readonly trip: BrakeTrip };

/**
 * Would these counts trip it? Null: no. Both counts include what is about to be done. The script that asks this for all workers
 * at once (redis/scripts/brake-7.lua) says the same in Lua; a test holds the two together.
 */
export function judgeBrake(window: BrakeCounts, day: BrakeCounts, policy: BrakePolicy): BrakeTrip['why'] | null {
  const allowed = policy.share * Math.max(window.logins, policy.minLogins);
  if (window.revokes > allowed) return 'share';
  // Of few logins or few ends no share can be told; a day that has hardly begun is no measure either.
  if (window.logins < policy.minLogins || day.logins < 10 * policy.minLogins || window.revokes < 10) return null;
  return window.revokes * day.logins > policy.surge * day.revokes * window.logins ? 'surge' : null;
}

/** Are these ends the decision of a comparison, which bad data can make wrong? The others are a person's or the web tier's. */
export const isBraked = (reason: Reason): boolean => reason !== 'blocked' && reason !== 'session_reused';

export interface MinuteCounts extends BrakeCounts {
  /** When the minute began, milliseconds since the epoch. */
  readonly atMs: number;
}

const MINUTE_MS = 60_000;

/** What must be known for `hasCalmed`, milliseconds back. */
export const calmSpanMs = (policy: BrakePolicy): number => (policy.resetAfterMs ?? 0) + policy.windowMs;

/**
 * Has the share been within the limits for `resetAfterMs`? `minutes`: those since then and one window before, in any order,
 * empty ones left out. Every window that ended in that time must be below the limit; the trip itself lies before them.
 */
export function hasCalmed(
  trip: BrakeTrip,
  minutes: readonly MinuteCounts[],
  nowMs: number,
  policy: BrakePolicy,
): boolean {
  if (policy.resetAfterMs === null || nowMs - trip.atMs < policy.resetAfterMs) return false;
  const from = nowMs - policy.resetAfterMs;
  for (let end = nowMs; end >= from; end -= MINUTE_MS) {
    const window = sum(minutes.filter(({ atMs }) => atMs > end - policy.windowMs - MINUTE_MS && atMs <= end));
    if (window.revokes > policy.share * Math.max(window.logins, policy.minLogins)) return false;
  }
  return true;
}

function sum(counts: readonly BrakeCounts[]): BrakeCounts {
  return counts.reduce(
    (all, { logins, revokes }) => ({ logins: all.logins + logins, revokes: all.revokes + revokes }),
    {
      logins: 0,
      revokes: 0,
    },
  );
}
