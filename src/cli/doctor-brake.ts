/** Are logins ended, and what would be if they were? */

import type { Redis } from 'ioredis';
import type { WorkerStatus } from '../desk-ports.ts';
import type { BrakeState } from '../domain/brake.ts';
import { redisBrake } from '../redis/brake.ts';
import type { Keys } from '../redis/keys.ts';
import { redisObserved, type WouldHaveEnded } from '../redis/observed.ts';
import { hasBrake, liveWorkers } from '../redis/workers.ts';
import { type Check, fail, ok, warn } from './doctor-check.ts';
import { minute } from './time.ts';

const WEEK_MS = 7 * 86_400_000;

export interface BrakeFacts {
  readonly state: BrakeState;
  /** Those that live. */
  readonly workers: readonly WorkerStatus[];
  /** In the last seven days. */
  readonly observed: WouldHaveEnded | null;
}

export async function brakeFacts(redis: Redis, keys: Keys, nowMs: number): Promise<BrakeFacts> {
  const [state, workers, observed] = await Promise.all([
    redisBrake(redis, keys).state(),
    liveWorkers(redis, keys),
    redisObserved(redis, keys).read(nowMs - WEEK_MS, nowMs),
  ]);
  return { state, workers, observed };
}

/** `mode`: what the settings of the command say. */
export function brakeChecks({ state, workers, observed }: BrakeFacts, mode: WorkerStatus['mode']): Check[] {
  const checks = [...otherModes(workers, mode), brakeCheck(state), ...differing(workers.map(hasBrake))];
  if (observed !== null) {
    const { sessions, users } = observed;
    checks.push(ok('observed', `would have ended ${sessions} sessions of about ${users} users in 7 days`));
  }
  return checks;
}

/** The command reads its own environment and files, which need not be the workers'. */
function otherModes(workers: BrakeFacts['workers'], mode: WorkerStatus['mode']): Check[] {
  const others = workers.filter((worker) => worker.mode !== mode);
  if (others.length === 0) return [];
  const does = others[0]?.mode === 'observe' ? 'observe: they end nothing' : 'enforce: they end sessions';
  const finding = `${others.length} of ${workers.length} ${does}; the settings read here say ${mode}`;
  const remedy =
    'Give the workers and the command line the same settings, in one configuration file, and restart the workers.';
  return [warn('worker modes', finding, remedy)];
}

/** Only what the workers with a brake would end is held by it. */
function differing(workers: readonly boolean[]): Check[] {
  const without = workers.filter((hasBrake) => !hasBrake).length;
  if (without === 0 || without === workers.length) return [];
  const finding = `${without} of ${workers.length} workers have none: they observe, or were told brake: false`;
  return [warn('brake settings', finding, 'Give all workers the same mode and brake, and restart those that differ.')];
}

function brakeCheck(state: BrakeState): Check {
  if (state.kind === 'off') return ok('brake', 'off: the workers observe, or were told brake: false');
  if (state.kind === 'enforcing') return ok('brake', 'does not hold');
  const { atMs, window } = state.trip;
  const finding = `holds since ${minute(atMs)} UTC: sessions of ${window.revokes} users in ${window.logins} logins would have been ended`;
  const remedy = 'Nothing is ended. Look at the incidents and the databases, then: session-bouncer brake reset.';
  return fail('brake', finding, remedy);
}
