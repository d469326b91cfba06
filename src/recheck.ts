import { phpWords } from './domain/php-words.ts';
import type {
  Audit,
  Clock,
  Counters,
  Log,
  Rechecks,
  Registry,
  Revocation,
  RevokeResult,
  Sessions,
  Standing,
} from './ports.ts';

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
export async function recheck(
  revocations: readonly Revocation[],
  pass: string,
  deps: RecheckDeps,
): Promise<readonly RevokeResult[]> {
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
  return results.map((result) => {
    if (result instanceof Error) throw result;
    return result;
  });
}

export interface HandOverDeps extends RecheckDeps {
  readonly rechecks: Rechecks;
  readonly registry: Pick<Registry, 'find'>;
  readonly audit: Pick<Audit, 'add'>;
  readonly clock: Clock;
}

/**
 * A person or the web tier has ended a login at a PHP site, whose sessions only workers reach: they end as those of any such
 * login do, and the audit says what was found. The re-checks are queued first: a repeat of this job queues none twice.
 *
 * @param isFinal where it fails now, it is not tried again: then the audit says so, and the re-checks are what is left
 */
export async function takeOver(one: Revocation, pass: string, isFinal: boolean, deps: HandOverDeps): Promise<void> {
  await deps.rechecks.schedule([one]);
  const result = await recheck([one], pass, deps).then(
    ([done]) => done,
    async (error: unknown) => {
      if (isFinal) await noteAtPhp(one, "not ended yet: PHP's sessions could not be reached", deps);
      throw error;
    },
  );
  if (result === undefined || result.lifted) return;
  const { outcome, php } = result;
  await noteAtPhp(one, php === undefined ? outcome : `${outcome}: ${phpWords(php)}`, deps);
}

async function noteAtPhp(one: Revocation, outcome: string, deps: HandOverDeps): Promise<void> {
  const atMs = deps.clock();
  const known = await deps.registry.find(one.lid, atMs);
  // Of a user who is being forgotten nothing is known any more, and nothing is to be written down.
  const whose = known?.userId == null ? { userId: null, lid: null } : { userId: known.userId, lid: one.lid };
  const act = { what: 'php_end', by: 'worker', why: '', ...whose, caseId: one.caseId, outcome } as const;
  await deps.audit.add([{ atMs, ...act }]);
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
  #remember({ repeat: _, last: __, handedOver: ___, again, ...one }: Revocation): void {
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
