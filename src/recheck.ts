import type { Clock, Counters, Log, Revocation, Sessions, Standing } from './ports.ts';

/**
 * What is revoked must stay so, also when Redis forgets it: a failover to a replica that had not heard of it, a restore, a
 * flush. So each revocation is applied again some time later, by delayed jobs (which lie in the same Redis), and, because
 * those may be forgotten with it, from the worker's own memory when its connection comes back to another server.
 *
 *   1 look      Redis    does it still stand? Only reads: a loss must be seen before it is repaired
 *   2 tell      log      each loss, loudly; before the repair, so that a crash in between does not hide it
 *   3 revoke    Redis    all of them, whatever was seen: it repeats without harm
 */
export interface RecheckDeps {
  readonly sessions: Sessions;
  readonly standing: Standing;
  readonly counters: Counters;
  readonly log: Log;
}

/** `pass` names this pass, so that what it counts counts once. Throws when one of them could not be revoked. */
export async function recheck(revocations: readonly Revocation[], pass: string, deps: RecheckDeps): Promise<void> {
  const seen = await deps.standing.look(revocations);
  // One that a person has lifted (see redis/undo) is as it should be.
  const stands = (i: number) => seen[i]?.lifted === true || (seen[i]?.mark === true && seen[i].live === 0);
  const lost = revocations.filter((_, i) => !stands(i));
  for (const [i, { caseId, reason, atMs }] of revocations.entries()) {
    if (stands(i)) continue;
    deps.log.error(
      { event: 'revocation_lost', case: caseId, reason, atMs, live: seen[i]?.live, pass: pass.split(':')[0] },
      'Redis had lost a revocation; the login is ended again',
    );
  }
  const [results] = await Promise.all([
    deps.sessions.revoke(revocations.map((one, i) => ({ ...one, repeat: stands(i), again: true }))),
    lost.length > 0 ? deps.counters.add(pass, new Map([['revocation_lost', lost.length]])) : undefined,
  ]);
  for (const result of results) if (result instanceof Error) throw result;
}

export interface RecentOptions {
  readonly clock: Clock;
  /** How long each is kept, milliseconds. Default 10 minutes: as long as the last re-check takes to come. */
  readonly keepMs?: number | undefined;
  /** The oldest go first. Default 10,000, about 5 MB. */
  readonly max?: number | undefined;
}

/** Applied again in one go. */
const CHUNK = 100;

/** The revocations of the last minutes, in this process's memory, bounded. */
export class RecentRevocations {
  /** In the order in which they were made. */
  readonly #byLid = new Map<string, { one: Revocation; atMs: number }>();
  readonly #clock: Clock;
  readonly #keepMs: number;
  readonly #max: number;

  constructor({ clock, keepMs = 600_000, max = 10_000 }: RecentOptions) {
    this.#clock = clock;
    this.#keepMs = keepMs;
    this.#max = max;
  }

  get size(): number {
    this.#prune();
    return this.#byLid.size;
  }

  /** The same sessions; what they are told to revoke is remembered first, as it may be half done when the server goes. */
  remembering(sessions: Sessions): Sessions {
    return {
      revoke: (revocations) => {
        for (const one of revocations) this.#remember(one);
        return sessions.revoke(revocations);
      },
    };
  }

  /** All of them, the oldest first. Rejects when one could not be applied. */
  async reapply(pass: string, deps: RecheckDeps): Promise<void> {
    this.#prune();
    const all = [...this.#byLid.values()].map(({ one }) => one);
    for (let i = 0; i < all.length; i += CHUNK) await recheck(all.slice(i, i + CHUNK), `${pass}-${i}`, deps);
  }

  /**
   * A repeat neither renews it nor changes its place. An end for another reason takes its place: a person may have lifted
   * the one before, which then ends nothing.
   */
  #remember({ repeat: _, last: __, again, ...one }: Revocation): void {
    const known = this.#byLid.get(one.lid)?.one;
    if (known !== undefined && (again || one.reason === known.reason)) return;
    this.#byLid.delete(one.lid);
    this.#byLid.set(one.lid, { one, atMs: this.#clock() });
    this.#prune();
  }

  #prune(): void {
    const oldestMs = this.#clock() - this.#keepMs;
    for (const [lid, { atMs }] of this.#byLid) {
      if (atMs >= oldestMs && this.#byLid.size <= this.#max) return;
      this.#byLid.delete(lid);
    }
  }
}
