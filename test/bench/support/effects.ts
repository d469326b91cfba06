/** Did the worker really do it all? Reads Redis after each round; a wrong count fails the bench. */
import type { Redis } from 'ioredis';
import { redisCounters } from '../../../src/redis/counters.ts';
import { type Keys, LOGIN_QUEUE } from '../../../src/redis/keys.ts';

export interface Totals {
  readonly logins: number;
  readonly revoked: number;
  readonly incidents: number;
  /** Sum of all baselines' revisions: how often one was written. */
  readonly baselineWrites: number;
}

export class Effects {
  readonly #redis: Redis;
  readonly #keys: Keys;
  #before: Totals = { logins: 0, revoked: 0, incidents: 0, baselineWrites: 0 };
  #last: Totals = this.#before;

  constructor(redis: Redis, keys: Keys) {
    this.#redis = redis;
    this.#keys = keys;
  }

  /**
   * When jobs were completed, as BullMQ's own event stream says (entry ids are Redis's clock): logins per second from the
   * first job to the last, not counting those of the first.
   */
  async completions(): Promise<{ perSecond: number }> {
    const stream = `${this.#keys.queuePrefix}:${LOGIN_QUEUE}:events`;
    const entries = await this.#redis.xrange(stream, '-', '+');
    const done = entries.flatMap(([id, fields]) => {
      const named = Object.fromEntries(pairsOf(fields));
      const logins = /^"?(\d+)\/\1"?$/.exec(named.returnvalue ?? '')?.[1];
      return named.event === 'completed' ? [{ atMs: Number(id.split('-')[0]), logins: Number(logins) }] : [];
    });
    await this.#redis.del(stream);
    const [first, ...rest] = done;
    const last = rest.at(-1);
    if (first === undefined || last === undefined) return { perSecond: Number.NaN };
    const logins = rest.reduce((sum, one) => sum + one.logins, 0);
    return { perSecond: (1000 * logins) / (last.atMs - first.atMs) };
  }

  /** Throws unless exactly these logins were judged, and exactly these sessions ended, each with its incident. */
  async check(logins: number, away: readonly string[]): Promise<void> {
    const now = await this.#totals();
    const { logins: l, revoked, incidents, baselineWrites } = subtract(now, this.#before);
    this.#before = now;
    this.#last = { logins: l, revoked, incidents, baselineWrites };
    const tombstones = await this.#tombstones(away);
    const wanted = away.length;
    if (l !== logins || revoked !== wanted || incidents !== wanted || tombstones !== wanted) {
      const seen = JSON.stringify({ ...this.#last, tombstones });
      throw new Error(`Not every effect is there: ${logins} logins with ${wanted} to revoke, but ${seen}`);
    }
    if (baselineWrites < logins / 4) throw new Error(`Only ${baselineWrites} baselines written for ${logins} logins`);
  }

  /** Of the last round. */
  summary(): Totals {
    return this.#last;
  }

  async #totals(): Promise<Totals> {
    const counts = await redisCounters(this.#redis, this.#keys).read();
    return {
      logins: counts.logins ?? 0,
      revoked: counts['action:revoke'] ?? 0,
      incidents: await this.#redis.zcard(this.#keys.incidentsAll()),
      baselineWrites: await this.#baselineWrites(),
    };
  }

  async #baselineWrites(): Promise<number> {
    let sum = 0;
    let cursor = '0';
    do {
      const [next, found] = await this.#redis.scan(cursor, 'MATCH', this.#keys.baseline('*'), 'COUNT', 2000);
      cursor = next;
      const values = found.length > 0 ? await this.#redis.mget(found) : [];
      for (const value of values) sum += Number(/^\{"r":(\d+)/.exec(value ?? '')?.[1] ?? 0);
    } while (cursor !== '0');
    return sum;
  }

  async #tombstones(handles: readonly string[]): Promise<number> {
    if (handles.length === 0) return 0;
    const values = await this.#redis.mget(handles.map((handle) => this.#keys.session(handle)));
    return values.filter((value) => value?.startsWith('{"__bouncer":{"k":"revoked"')).length;
  }
}

function pairsOf(fields: readonly string[]): [string, string][] {
  const pairs: [string, string][] = [];
  for (let i = 0; i + 1 < fields.length; i += 2) pairs.push([fields[i] ?? '', fields[i + 1] ?? '']);
  return pairs;
}

function subtract(after: Totals, before: Totals): Totals {
  return {
    logins: after.logins - before.logins,
    revoked: after.revoked - before.revoked,
    incidents: after.incidents - before.incidents,
    baselineWrites: after.baselineWrites - before.baselineWrites,
  };
}
