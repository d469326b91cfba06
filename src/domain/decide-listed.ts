import { decide, decisionFor, knownPlaces } from './decide.ts';
import type { ListMatcher } from './list-match.ts';
import type { ListEntry } from './lists.ts';
import type { Policy } from './policy.ts';
import type { Decision } from './reasons.ts';
import type { Baseline, LoginEvent, Sighting } from './types.ts';

export interface ListedDecision {
  readonly decision: Decision;
  /** The entry that decided; null where the lists changed nothing. */
  readonly entry: ListEntry | null;
}

/** What is known of a login when it is decided. `atMs`: when it happened; `nowMs`: now, for entries that expire. */
export interface LoginFacts {
  readonly login: Pick<LoginEvent, 'userId' | 'deviceId'>;
  readonly baseline: Baseline;
  readonly sighting: Sighting;
  readonly atMs: number;
  readonly nowMs: number;
}

/**
 * `decide` with a person's word above it. A block refuses whatever else is known, an address without a country too. An allow
 * excuses what would have been flagged or revoked, and leaves an ordinary login as it is: that one still teaches.
 */
export function decideWithLists(facts: LoginFacts, policy: Policy, lists: ListMatcher | undefined): ListedDecision {
  const { login, baseline, sighting, atMs, nowMs } = facts;
  const decision = decide(baseline, sighting, atMs, policy);
  if (lists === undefined || lists.size === 0) return { decision, entry: null };
  const places = knownPlaces(baseline, atMs, policy);
  const entry = lists.match({ userId: login.userId, deviceId: login.deviceId, sighting, places }, nowMs);
  if (entry?.list === 'block') return { decision: decisionFor('blocked'), entry };
  if (entry === null || decision.action === 'allow') return { decision, entry: null };
  return { decision: decisionFor('allowed_by_list'), entry };
}
