/**
 * The safety brake. A bad database update moves a tenth of the world to another country; a worker that believed it would end the
 * sessions of a tenth of the users. So where too large a share of the logins would be revoked, the workers go on deciding and
 * recording, but end nothing, until a person says so (or the share has been normal for long enough).
 */
export interface BrakePolicy {
  /** The window, milliseconds. Default 5 minutes. */
  readonly windowMs: number;
  /** More than this share (0 to 1) of the window's logins, counted as at least `minLogins`, trips it. Default 0.05. */
  readonly share: number;
  /** Default 200: so, by default, ten sessions may end in five minutes however few log in. */
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

export interface BrakeCounts {
  readonly logins: number;
  /** Of them, those that a decision would revoke. Not those of a block list: a person ordered them. */
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

/** Would these counts trip it? Null: no. Both counts include what is about to be done. */
export function judgeBrake(window: BrakeCounts, day: BrakeCounts, policy: BrakePolicy): BrakeTrip['why'] | null {
  const allowed = policy.share * Math.max(window.logins, policy.minLogins);
  if (window.revokes > allowed) return 'share';
  if (window.logins < policy.minLogins || day.logins < 10 * policy.minLogins || day.revokes === 0) return null;
  const usual = day.revokes / day.logins;
  return window.revokes >= 10 && window.revokes / window.logins > policy.surge * usual ? 'surge' : null;
}
