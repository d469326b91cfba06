import type { Redis } from 'ioredis';
import type { Brake } from '../desk-ports.ts';
import type { BrakePolicy, BrakeState, BrakeTrip } from '../domain/brake.ts';
import type { LoginToEnd } from '../ports.ts';
import { type Keys, userTag } from './keys.ts';
import { loadScript, runScript } from './script.ts';
import { HOURS_KEPT_MS, MINUTES_KEPT_MS } from './series.ts';
import { whoHasBrake } from './workers.ts';

const brake = loadScript('brake-7');
const release = loadScript('release-1');

const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;

/** A job that is repeated finds what was granted to it: as long as a job whose worker died waits for another one. */
const GRANTS_KEPT_MS = 600_000;

/** Fields of the brake's hash: when the trip was that these were told of. */
const TOLD = 'told:';

export interface BrakeAnswer {
  /** In the order asked. */
  readonly granted: readonly boolean[];
  /** What holds the brake, or null. */
  readonly trip: BrakeTrip | null;
  /** It was this question that tripped it. */
  readonly isNew: boolean;
}

/** The worker's side of it: see LoginBrake in ports.ts. */
export interface WorkerBrake {
  ask(toEnd: readonly LoginToEnd[], logins: number, atMs: number, policy: BrakePolicy): Promise<BrakeAnswer>;
  /** Back to enforcing, if this trip is still what holds it. Atomic: true for one caller. */
  release(trip: BrakeTrip, atMs: number): Promise<boolean>;
  /** Who has been told of this trip already? */
  told(trip: BrakeTrip): Promise<ReadonlySet<string>>;
  noteTold(trip: BrakeTrip, who: string): Promise<void>;
}

/** One hash for all workers. `reset` writes no audit entry: whoever calls it knows who asked for it. */
export function redisBrake(redis: Redis, keys: Keys): Brake & WorkerBrake & { lastTrip(): Promise<BrakeTrip | null> } {
  const letGo = async (expected: string, atMs: number): Promise<BrakeTrip | null> =>
    tripOf((await runScript(redis, release, [keys.brake()], [expected, String(atMs)])) as string);
  const stateOf = async (trip: BrakeTrip | null): Promise<BrakeState> => {
    if (trip !== null) return { kind: 'tripped', trip };
    const workers = await whoHasBrake(redis, keys);
    return { kind: workers.length > 0 && !workers.includes(true) ? 'off' : 'enforcing' };
  };
  return {
    async state() {
      return stateOf(tripOf((await redis.hget(keys.brake(), 'trip')) ?? ''));
    },
    async reset(_by, atMs) {
      return stateOf(await letGo('', atMs));
    },
    async lastTrip() {
      return tripOf((await redis.hget(keys.brake(), 'lastTrip')) ?? '');
    },
    async ask(toEnd, logins, atMs, policy) {
      const [trip, isNew, ...granted] = (await runScript(
        redis,
        brake,
        keysOf(keys, atMs),
        argumentsOf(toEnd, logins, atMs, policy),
      )) as [string, number, ...number[]];
      return { trip: tripOf(trip), isNew: isNew === 1, granted: granted.map((one) => one === 1) };
    },
    async release(trip, atMs) {
      const held = await redis.hget(keys.brake(), 'trip');
      if (held === null || tripOf(held)?.atMs !== trip.atMs) return false;
      return (await letGo(held, atMs)) !== null;
    },
    async told(trip) {
      const fields = Object.entries(await redis.hgetall(keys.brake()));
      const told = fields.filter(([name, atMs]) => name.startsWith(TOLD) && Number(atMs) === trip.atMs);
      return new Set(told.map(([name]) => name.slice(TOLD.length)));
    },
    async noteTold(trip, who) {
      await redis.hset(keys.brake(), `${TOLD}${who}`, String(trip.atMs));
    },
  };
}

function keysOf(keys: Keys, atMs: number): string[] {
  const hour = Math.floor(atMs / HOUR_MS);
  const day = Math.floor(atMs / DAY_MS);
  const minutes = [keys.seriesMinutes(hour), keys.seriesMinutes(hour - 1)];
  const hours = [keys.seriesHours(day), keys.seriesHours(day - 1)];
  return [keys.brake(), keys.brakeGranted(), keys.brakeUsers(), ...minutes, ...hours];
}

function argumentsOf(
  toEnd: readonly LoginToEnd[],
  logins: number,
  atMs: number,
  { windowMs, share, minLogins, surge }: BrakePolicy,
): string[] {
  const keepMs = Math.max(windowMs, GRANTS_KEPT_MS);
  const numbers = [atMs, windowMs, share, minLogins, surge, keepMs, logins, MINUTES_KEPT_MS, HOURS_KEPT_MS];
  return [...numbers.map(String), ...toEnd.flatMap(({ lid, userId }) => [lid, userTag(userId)])];
}

const tripOf = (json: string): BrakeTrip | null => (json === '' ? null : (JSON.parse(json) as BrakeTrip));
