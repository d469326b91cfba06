import type { Redis } from 'ioredis';
import { errorName } from '../errors.ts';
import type { Clock, Log, RevokeResult, Sessions } from '../ports.ts';

export interface ReplicaOptions {
  /** Wait for this many replicas, or for all that are connected if those are fewer. 0: for none. */
  readonly replicas: number;
  /** Milliseconds. */
  readonly timeoutMs: number;
  readonly log: Log;
  readonly clock: Clock;
}

/** How long the number of connected replicas is believed, milliseconds. */
const COUNT_TTL_MS = 5000;

const REFUSED = /^(NOPERM\b|ERR unknown command\b|ERR .*\bnot (supported|allowed)\b)/i;

/** A revoke is not done until it is on a replica too. Not an error of ours to show: the login is tried again. */
export class ReplicaShortfall extends Error {
  override readonly name = 'ReplicaShortfall';
  readonly code: string;

  constructor(acknowledged: number, wanted: number) {
    super(`${acknowledged} of ${wanted} replicas have the revocation`);
    this.code = `REPLICAS_${acknowledged}_OF_${wanted}`;
  }
}

/**
 * After the revokes of a batch: WAIT until replicas have them, so that a failover does not forget them. WAIT counts what
 * this connection wrote, so it must be the connection that the revokes went over, and the same socket still: a new one
 * has written nothing, and its WAIT would be satisfied with nothing.
 *
 * A shortfall makes an Error of each result: those logins are not done and are tried again with growing delays (the
 * sessions are ended on the master all the while, and ending them again does no harm). Costs nothing where nothing was
 * revoked, and one INFO in five seconds at most where something was and no replica is connected.
 */
export function onReplicas(sessions: Sessions, redis: Redis, options: ReplicaOptions): Sessions {
  if (options.replicas === 0) return sessions;
  const known = new WeakMap<Redis, Replicas>();
  const replicasOf = (master: Redis): Replicas => {
    const replicas = known.get(master) ?? new Replicas(master, options);
    known.set(master, replicas);
    return replicas;
  };
  return {
    async revoke(revocations) {
      if (revocations.length === 0) return [];
      const before = new Map(mastersOf(redis).map((master) => [master, replicasOf(master).connection]));
      const results = await sessions.revoke(revocations);
      const after = mastersOf(redis).map((master) => replicasOf(master).shortfall(before.get(master)));
      const shortfall = (await Promise.all(after)).find((one) => one !== null);
      return shortfall ? results.map((result): RevokeResult | Error => asError(result, shortfall)) : results;
    },
  };
}

/** The connections that the revokes went over: of a Cluster each master's own, as WAIT asks one server for its replicas. */
function mastersOf(redis: Redis): Redis[] {
  const { nodes } = redis as unknown as { nodes?: (role: 'master') => Redis[] };
  return nodes ? nodes.call(redis, 'master') : [redis];
}

function asError(result: RevokeResult | Error, shortfall: Error): Error {
  return result instanceof Error ? result : shortfall;
}

class Replicas {
  readonly #redis: Redis;
  readonly #options: ReplicaOptions;
  #count = { replicas: 0, readAtMs: Number.NEGATIVE_INFINITY };
  #refused = false;
  /** Counts connections: a change between a write and its WAIT is a shortfall. */
  connection = 0;

  constructor(redis: Redis, options: ReplicaOptions) {
    this.#redis = redis;
    this.#options = options;
    redis.on('close', () => {
      this.connection += 1;
      this.#forget();
    });
  }

  /** Null when enough replicas have what was written over this connection; `since`: which one it was, if it was there. */
  async shortfall(since: number | undefined): Promise<ReplicaShortfall | null> {
    const { replicas, timeoutMs } = this.#options;
    const wanted = Math.min(replicas, await this.#connected());
    if (wanted === 0) return this.#sameConnection(since, replicas);
    const acknowledged = await this.#redis.wait(wanted, timeoutMs).catch((error) => this.#refuse(error, wanted));
    if (acknowledged >= wanted) return this.#sameConnection(since, wanted);
    this.#forget(); // it may be gone for good: the next try asks who is still there
    this.#options.log.warn(
      { event: 'replicas_short', acknowledged, wanted, timeoutMs },
      'A revocation is not on enough replicas yet; its login is tried again',
    );
    return new ReplicaShortfall(acknowledged, wanted);
  }

  #sameConnection(since: number | undefined, wanted: number): ReplicaShortfall | null {
    return since === this.connection ? null : new ReplicaShortfall(0, wanted);
  }

  #forget(): void {
    this.#count = { replicas: 0, readAtMs: Number.NEGATIVE_INFINITY };
  }

  /** Those in step with the master: one that is still loading its first copy cannot acknowledge anything. */
  async #connected(): Promise<number> {
    const nowMs = this.#options.clock();
    if (nowMs - this.#count.readAtMs < COUNT_TTL_MS) return this.#count.replicas;
    this.#count = { replicas: await this.#ask(), readAtMs: nowMs };
    return this.#count.replicas;
  }

  async #ask(): Promise<number> {
    try {
      return [...(await this.#redis.info('replication')).matchAll(/^slave\d+:.*\bstate=online\b/gm)].length;
    } catch (error) {
      return this.#refuse(error, 0);
    }
  }

  /**
   * A user without the right to ask, or a service that hides its replicas: a revoke must not fail for ever for that. Any
   * other error is none of that: a timeout, or UNBLOCKED, which a server says that is being demoted.
   */
  #refuse(error: unknown, instead: number): number {
    if (!(error instanceof Error && REFUSED.test(error.message))) throw error;
    if (!this.#refused) {
      this.#options.log.warn(
        { event: 'replicas_unknown', error: errorName(error) },
        'Redis refuses INFO replication or WAIT: revocations do not wait for replicas',
      );
    }
    this.#refused = true;
    return instead;
  }
}
