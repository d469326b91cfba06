/** Are logins ended, and what would be if they were? */

import type { Redis } from 'ioredis';
import type { BrakeState } from '../domain/brake.ts';
import { redisBrake } from '../redis/brake.ts';
import type { Keys } from '../redis/keys.ts';
import { redisObserved, type WouldHaveEnded } from '../redis/observed.ts';
import { type Check, fail, ok } from './doctor-check.ts';
import { minute } from './time.ts';

const WEEK_MS = 7 * 86_400_000;

export interface BrakeFacts {
  readonly state: BrakeState;
  /** In the last seven days. */
  readonly observed: WouldHaveEnded | null;
}

export async function brakeFacts(redis: Redis, keys: Keys, nowMs: number): Promise<BrakeFacts> {
  const [state, observed] = await Promise.all([
    redisBrake(redis, keys).state(),
    redisObserved(redis, keys).read(nowMs - WEEK_MS, nowMs),
  ]);
  return { state, observed };
}

export function brakeChecks({ state, observed }: BrakeFacts): Check[] {
  const checks = [brakeCheck(state)];
  if (observed !== null) {
    const { sessions, users } = observed;
    checks.push(ok('observed', `would have ended ${sessions} sessions of about ${users} users in 7 days`));
  }
  return checks;
}

function brakeCheck(state: BrakeState): Check {
  if (state.kind === 'off') return ok('brake', 'off');
  if (state.kind === 'enforcing') return ok('brake', 'does not hold');
  const { atMs, window } = state.trip;
  const finding = `holds since ${minute(atMs)} UTC: sessions of ${window.revokes} users in ${window.logins} logins would have been ended`;
  const remedy = 'Nothing is ended. Look at the incidents and the databases, then: session-bouncer brake reset.';
  return fail('brake', finding, remedy);
}
