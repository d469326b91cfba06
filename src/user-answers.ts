import type { Redis } from 'ioredis';
import type { Desk } from './desk-ports.ts';
import { type Disposition, type IncidentRecord, USER, wasReused } from './domain/incident.ts';
import { BouncerError } from './errors.ts';
import type { Clock, Log } from './ports.ts';
import type { Keys } from './redis/keys.ts';
import { redisLinkUses, redisUserWords } from './redis/user-words.ts';
import { userAnswerPage } from './web/user-answer.ts';
import type { Said } from './web/user-answer-page.ts';

export interface UserAnswersOptions {
  /** The same as the worker's `userLinks.secrets`: each of 32 characters or more, newest first. */
  readonly secrets: readonly string[];
  /**
   * `act` (default): yes answers the case `safe`, no `confirmed`, as an analyst would. `note`: the word only stands on the
   * incident, which stays open for an analyst.
   */
  readonly answers?: 'act' | 'note' | undefined;
  /**
   * After a yes, give the ended session back as well. Default false: who pressed the wrong button then lost nothing, and the
   * owner signs in again, now from a known country; a stolen session that lives again would be the thief's. Never of a
   * session that was reused: two parties hold it, and only one of them was asked.
   */
  readonly giveBack?: boolean | undefined;
}

export interface UserAnswersDeps {
  readonly redis: Redis;
  readonly keys: Keys;
  readonly desk: Pick<Desk, 'incident' | 'answer' | 'note'>;
  readonly clock: Clock;
  readonly log: Log;
}

const DISPOSITIONS: Readonly<Record<Said, Disposition>> = { yes: 'safe', no: 'confirmed' };

/** Throws BouncerError `option_invalid`. */
export function checkUserAnswersOptions(options: UserAnswersOptions): void {
  // Callers in JavaScript give what they like, and any text is true.
  const { secrets, answers = 'act', giveBack = false } = options ?? {};
  if (!Array.isArray(secrets) || secrets.length === 0 || secrets.some((one) => String(one).length < 32)) {
    throw new BouncerError('option_invalid', 'secrets: give at least one secret of 32 characters or more');
  }
  if (answers !== 'act' && answers !== 'note') throw new BouncerError('option_invalid', 'answers: give act or note');
  if (typeof giveBack !== 'boolean') throw new BouncerError('option_invalid', 'giveBack: give true or false');
}

/** The page behind the links to users, as a fetch handler. Throws BouncerError `option_invalid`. */
export function openUserAnswers(
  { redis, keys, desk, clock, log }: UserAnswersDeps,
  options: UserAnswersOptions,
): (request: Request) => Promise<Response> {
  checkUserAnswersOptions(options);
  const { secrets, answers = 'act', giveBack = false } = options;
  const words = redisUserWords(redis, keys);
  const noted = async (incident: IncidentRecord, said: Said) => {
    await words.write(incident.id, { said, atMs: clock() });
    const { id: caseId, userId, lid } = incident;
    await desk.note({ what: 'answer', by: USER, why: `said ${said}`, userId, lid, caseId, outcome: 'noted' });
    return 'done' as const;
  };
  const acted = async (incident: IncidentRecord, said: Said) => {
    const { id } = incident;
    const note = `said ${said} to the mail`;
    const request = { disposition: DISPOSITIONS[said], note, giveBack: giveBack && !wasReused(incident) };
    try {
      await desk.answer(id, request, { by: USER, role: 'analyst' });
      return 'done' as const;
    } catch (error) {
      if (error instanceof BouncerError && error.code === 'incident_closed') return 'closed' as const;
      throw error;
    }
  };
  return userAnswerPage({
    secrets,
    // An answer of theirs that could not be carried out in full is completed by giving it again.
    isOpen: ({ status, resolvedBy }) => status === 'open' || (answers === 'act' && resolvedBy === USER),
    find: (caseId) => desk.incident(caseId),
    answer: answers === 'act' ? acted : noted,
    uses: redisLinkUses(redis, keys),
    clock,
    log,
  });
}
