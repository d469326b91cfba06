import type { Redis } from 'ioredis';
import type { Visit } from '../domain/incident.ts';
import type { Incidents } from '../ports.ts';
import type { Keys } from './keys.ts';

type VisitOutcome = Awaited<ReturnType<Incidents['visit']>>;

export interface VisitsOnce {
  /**
   * Notes a visit that may be sent again under the same id: a repeat is told what the first came to. Noted first and
   * remembered after it: a crash between counts a visit twice, the other order would lose one.
   */
  visit(id: string, caseId: string, visit: Visit): Promise<VisitOutcome>;
}

export function redisVisitsOnce(
  redis: Redis,
  keys: Keys,
  incidents: Pick<Incidents, 'visit'>,
  rememberMs: number,
): VisitsOnce {
  return {
    async visit(id, caseId, visit) {
      const mark = keys.visitMark(id);
      const before = await redis.get(mark);
      if (before !== null) return before as VisitOutcome;
      const outcome = await incidents.visit(caseId, visit);
      await redis.set(mark, outcome, 'PX', rememberMs);
      return outcome;
    },
  };
}
