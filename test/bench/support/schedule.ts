/** What the processes of the `bounce` bench agree on: one clock, and when each thief's login is reported. */

/** Milliseconds of the machine's monotonic clock: the same for all processes, never stepped, finer than a millisecond. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

export interface Plan {
  /** On the clock above. */
  readonly startMs: number;
  readonly seconds: number;
  readonly perSecond: number;
  /** Every so manyth login is a thief's. */
  readonly thiefEvery: number;
}

export function thieves(plan: Pick<Plan, 'seconds' | 'perSecond' | 'thiefEvery'>): number {
  return Math.floor((plan.seconds * plan.perSecond) / plan.thiefEvery);
}

/** When thief `index` is reported: as the middle one of its hundred logins. */
export function reportedAtMs(plan: Plan, index: number): number {
  return plan.startMs + (1000 * (index + 0.5) * plan.thiefEvery) / plan.perSecond;
}

export async function sleepUntil(atMs: number): Promise<void> {
  const left = atMs - monotonicMs();
  if (left > 0) await new Promise((resolve) => setTimeout(resolve, left));
}
