/** What a login worker shares with the review desk: the lists, the brake, the counts, each user's history, and its own presence. */

import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import type { Redis } from 'ioredis';
import type { WorkerStatus } from './desk-ports.ts';
import type { DetectDeps } from './detect.ts';
import { type BrakePolicy, type BrakeTrip, calmSpanMs, hasCalmed } from './domain/brake.ts';
import type { Mode } from './domain/types.ts';
import { errorName } from './errors.ts';
import type { AuditEntry, Clock, Counters, Locator, Log, LoginToEnd } from './ports.ts';
import { type Ages, redisAges } from './redis/ages.ts';
import { redisAudit } from './redis/audit.ts';
import { redisBrake } from './redis/brake.ts';
import { redisHistory } from './redis/history.ts';
import type { Keys } from './redis/keys.ts';
import { redisLists, watchLists } from './redis/lists.ts';
import { redisObserved } from './redis/observed.ts';
import { redisSeries } from './redis/series.ts';
import { sharedTime } from './redis/server-time.ts';
import { redisWorkers, SAY_EVERY_MS, startPresence } from './redis/workers.ts';
import type { Releasers } from './release.ts';

export interface WorkerDeskOptions {
  readonly mode: Mode;
  /** Null: no brake. */
  readonly brake: BrakePolicy | null;
  readonly historyTtlMs: number;
  /** Said to whoever else writes to what is kept so long. */
  readonly ages: Ages;
  readonly locator: Locator;
  readonly counters: Counters;
  readonly log: Log;
  readonly clock: Clock;
  readonly releasers: Releasers;
  /** Told of each trip at least once: by the worker that tripped it, or by another one after its death. */
  readonly onBrakeTrip?: ((trip: BrakeTrip) => unknown) | undefined;
  /** Told when the policy has let the brake go. */
  readonly onBrakeReset?: ((atMs: number) => unknown) | undefined;
}

export type WorkerDesk = Required<Pick<DetectDeps, 'lists' | 'onDecided' | 'onObserved'>> & Pick<DetectDeps, 'brake'>;

export function openWorkerDesk(redis: Redis, keys: Keys, options: WorkerDeskOptions): WorkerDesk {
  const { mode, log, clock, releasers } = options;
  // Who only observes ends nothing that could be held.
  const policy = mode === 'enforce' ? options.brake : null;
  const brake = new WatchedBrake(redis, keys, policy, options);
  const ages = redisAges(redis, keys);
  const presence = startPresence(redisWorkers(redis, keys), statusOf(options), {
    also: async () => {
      await Promise.all([ages.say(options.ages), brake.lookAfter()]);
    },
    log,
  });
  releasers.add('presence', () => presence.close());
  const history = redisHistory(redis, keys, options.historyTtlMs);
  const observed = redisObserved(redis, keys);
  const anyway = async (what: string, work: Promise<void>): Promise<void> => {
    try {
      await work;
    } catch (error) {
      log.warn(
        { event: 'desk_failed', what, error: errorName(error) },
        'What the review desk shows could not be noted',
      );
    }
  };
  return {
    lists: watchLists(redisLists(redis, keys), { clock, log }),
    brake: policy === null ? undefined : { ask: (toEnd, logins) => brake.ask(toEnd, logins, policy) },
    onDecided: (logins, { startedBefore, recheck }) =>
      anyway('history', history.addAll(logins, startedBefore || recheck !== undefined)),
    onObserved: (userIds, atMs) => anyway('observed', observed.add(userIds, atMs)),
  };
}

/** A brake that holds says so again. */
const SAY_AGAIN_MS = 600_000;

/** The brake, loud: whoever trips it tells the log, the totals, the audit, and the operator's other systems. */
class WatchedBrake {
  readonly #brake: ReturnType<typeof redisBrake>;
  readonly #series: ReturnType<typeof redisSeries>;
  readonly #audit: ReturnType<typeof redisAudit>;
  readonly #policy: BrakePolicy | null;
  readonly #options: WorkerDeskOptions;
  readonly #now: () => Promise<number>;
  #saidAtMs = 0;

  constructor(redis: Redis, keys: Keys, policy: BrakePolicy | null, options: WorkerDeskOptions) {
    this.#brake = redisBrake(redis, keys);
    this.#series = redisSeries(redis, keys);
    this.#audit = redisAudit(redis, keys);
    this.#policy = policy;
    this.#options = options;
    this.#now = sharedTime(redis, options.clock);
  }

  async ask(toEnd: readonly LoginToEnd[], logins: number, policy: BrakePolicy): Promise<readonly boolean[]> {
    const { granted, trip, isNew } = await this.#brake.ask(toEnd, logins, await this.#now(), policy);
    if (isNew && trip !== null) await this.#tell(trip);
    return granted;
  }

  /** Every few seconds. May throw when Redis is away: the next one does it. */
  async lookAfter(): Promise<void> {
    if (this.#policy === null) return;
    const state = await this.#brake.state();
    if (state.kind !== 'tripped') return;
    const nowMs = await this.#now();
    // Whoever tripped it may have died before it had told all; while it lives, it is given the time to.
    if (nowMs - state.trip.atMs >= SAY_EVERY_MS) await this.#tellRest(state.trip);
    if (await this.#letGo(state.trip, this.#policy, nowMs)) return;
    if (nowMs - Math.max(this.#saidAtMs, state.trip.atMs) >= SAY_AGAIN_MS) this.#say(state.trip, nowMs);
  }

  #say({ atMs, why, window }: BrakeTrip, nowMs: number): void {
    this.#saidAtMs = nowMs;
    this.#options.log.error(
      { event: 'brake_tripped', why, atMs, windowLogins: window.logins, windowRevokes: window.revokes },
      'The safety brake holds: the sessions of too many users would be ended. Nothing is ended until it is reset; incidents are recorded',
    );
  }

  /** The trip stands already: whatever fails here, nothing is ended. */
  async #tell(trip: BrakeTrip): Promise<void> {
    this.#say(trip, trip.atMs);
    await this.#tellRest(trip).catch((error: unknown) => this.#untold(error));
  }

  /** At least once each: who was told is noted afterwards. May throw when Redis is away. */
  async #tellRest(trip: BrakeTrip): Promise<void> {
    const { counters, onBrakeTrip } = this.#options;
    const { why, window } = trip;
    const words = `${why}: sessions of ${window.revokes} users in ${window.logins} logins would be ended`;
    const all: readonly (readonly [string, () => unknown])[] = [
      ['totals', () => counters.add(`brake-${trip.atMs}`, new Map([['brake:trips', 1]]))],
      ['audit', () => this.#note('brake_trip', trip, words, 'observing')],
      ['others', () => onBrakeTrip?.(trip)],
    ];
    const told = await this.#brake.told(trip);
    for (const [who, tell] of all) {
      if (told.has(who)) continue;
      try {
        await tell();
        await this.#brake.noteTold(trip, who);
      } catch (error) {
        this.#untold(error);
      }
    }
  }

  #untold(error: unknown): void {
    const fields = { event: 'brake_untold', error: errorName(error) };
    this.#options.log.warn(fields, 'A trip of the brake could not be told to all; it is tried again');
  }

  /** Where the policy says so, and the share has been normal for long enough. */
  async #letGo(trip: BrakeTrip, policy: BrakePolicy, nowMs: number): Promise<boolean> {
    if (policy.resetAfterMs === null || nowMs - trip.atMs < policy.resetAfterMs) return false;
    const points = await this.#series.read(nowMs - calmSpanMs(policy), nowMs, 'minute');
    const minutes = points.map(({ atMs, counts: { checked = 0, suspect_users = 0 } }) => ({
      atMs,
      logins: checked,
      revokes: suspect_users,
    }));
    if (!hasCalmed(trip, minutes, nowMs, policy) || !(await this.#brake.release(trip, nowMs))) return false;
    this.#options.log.warn(
      { event: 'brake_reset', by: 'brake' },
      'The share is normal again: sessions are ended again',
    );
    await this.#options.onBrakeReset?.(nowMs);
    await this.#note('brake_reset', trip, 'the share has been within the limits for long enough', 'enforcing', nowMs);
    return true;
  }

  #note(what: AuditEntry['what'], trip: BrakeTrip, why: string, outcome: string, atMs = trip.atMs): Promise<void> {
    return this.#audit.add([{ atMs, what, by: 'brake', why, userId: null, lid: null, outcome }]);
  }
}

function statusOf({ mode, brake, locator, clock }: WorkerDeskOptions): () => WorkerStatus {
  const id = randomUUID();
  const version = packageVersion();
  const startedAtMs = clock();
  const host = hostname().slice(0, 100);
  return () => ({
    id,
    host,
    pid: process.pid,
    version,
    mode,
    brake: mode === 'enforce' && brake !== null,
    startedAtMs,
    seenAtMs: clock(),
    sources: locator.sources(),
  });
}

/** Works from the sources and from dist/: the nearest package.json above is ours. */
function packageVersion(): string {
  for (const up of ['../', '../../']) {
    try {
      const text = readFileSync(new URL(`${up}package.json`, import.meta.url), 'utf8');
      return String((JSON.parse(text) as { version?: unknown }).version);
    } catch {}
  }
  return 'unknown';
}
