/** Tells once of each source that it has grown old, and once that it is too old to decide anything any more. */

import type { Clock, Log } from '../ports.ts';
import type { Slot } from './slot.ts';
import { ageInDays, dayOf, type Source } from './source.ts';

export interface AgeRules {
  /** Days after which a source no longer votes; undefined: it votes for ever. */
  readonly maxAgeDays?: number | undefined;
  readonly warnAgeDays?: number | undefined;
  readonly clock: Clock;
  readonly log: Log;
}

type Told = 'old' | 'stale';

/** Milliseconds since the epoch; later than this the source does not vote. One without a build date cannot show that it is fresh. */
export function freshUntil({ role, builtAtMs }: Source, maxAgeDays: number | undefined): number {
  if (maxAgeDays === undefined || role === 'override') return Number.POSITIVE_INFINITY;
  return (builtAtMs ?? Number.NEGATIVE_INFINITY) + maxAgeDays * 86_400_000;
}

export class AgeWatch {
  readonly #rules: AgeRules;
  /** By source: the one that a reload puts in its place is told of anew. */
  readonly #told = new WeakMap<Source, Told>();

  constructor(rules: AgeRules) {
    this.#rules = rules;
  }

  look(slots: readonly Slot[]): void {
    for (const { source } of slots) if (source !== null && source.role !== 'override') this.#lookAt(source);
  }

  #lookAt(source: Source): void {
    const { clock, log, maxAgeDays, warnAgeDays = 45 } = this.#rules;
    const nowMs = clock();
    const ageDays = ageInDays(source.builtAtMs, nowMs);
    const told = this.#told.get(source);
    const { name, origin, builtAtMs } = source;
    const fields = { database: name, origin, builtOn: dayOf(builtAtMs), ageDays };
    if (nowMs > freshUntil(source, maxAgeDays)) {
      if (told === 'stale') return;
      this.#told.set(source, 'stale');
      log.error(
        { event: 'stale_data', ...fields, maxAgeDays },
        'geo database is too old to decide anything: put a newer one in its place',
      );
    } else if (told === undefined && (ageDays === null || ageDays > warnAgeDays)) {
      this.#told.set(source, 'old');
      log.warn({ ...fields, warnAgeDays }, 'geo database is old, or does not say when it was built');
    }
  }
}
