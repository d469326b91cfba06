import type { Actor, Answered, AnswerRequest } from '../desk-ports.ts';
import {
  type AnswerVerdict,
  type AnswerWish,
  type IncidentRecord,
  judgeAnswer,
  wasEnded,
  wasReused,
} from '../domain/incident.ts';
import { BouncerError, errorName } from '../errors.ts';
import { about, checkActor, checkNote, closedIncident, note, type ReviewDeps, unknownIncident } from '../review.ts';
import { type EffectContext, RUN } from './effects.ts';

/**
 * An answer to an incident, by an analyst or by the user's own link, and what follows from it (`judgeAnswer`).
 *
 *   1 the answer   written first: of two at once only one is heard, and only that one's has effects
 *   2 the effects  in their order; one that fails does not keep the others from being done
 *   3 the audit    and whoever is to be told
 *
 * If the process dies in between, or an effect failed (`answer_incomplete`), the same person gives the same answer again,
 * which does what is left. Where nothing was left it is `incident_closed`, as for anybody else.
 *
 * Throws BouncerError `incident_unknown`, `incident_closed`, `option_invalid` or `answer_incomplete`, and whatever the ports
 * throw when Redis is away before the answer is written.
 */
export async function answerIncident(
  deps: ReviewDeps,
  caseId: string,
  request: AnswerRequest,
  actor: Actor,
): Promise<Answered> {
  checkRequest(request, actor);
  const before = await deps.incidents.get(caseId);
  if (before === null) throw unknownIncident(caseId);
  effectsOf(before, request, actor);
  const { disposition, note: text } = request;
  const { by } = actor;
  const outcome = await deps.incidents.resolve(caseId, { disposition, by, note: text, atMs: deps.clock() });
  const incident = outcome === 'unknown' ? null : await deps.incidents.get(caseId);
  if (incident === null) throw unknownIncident(caseId);
  // Judged again as it stands now: another one may have been faster.
  const { effects } = effectsOf(incident, request, actor);
  const done = await run(deps, effects, { incident, request, actor });
  if (outcome !== 'resolved' && !done.changed && done.failed.length === 0) throw closedIncident(incident);
  await tell(deps, { incident, request, actor }, done);
  if (done.failed.length > 0) throw incomplete(incident, done.failed);
  return { incident, ...done.result };
}

const TEN_YEARS_MS = 10 * 365 * 86_400_000;

function checkRequest({ note: text, blockAddressForMs: forMs }: AnswerRequest, actor: Actor): void {
  checkActor(actor);
  checkNote(text);
  if (forMs === undefined || forMs === null || (forMs >= 1 && forMs <= TEN_YEARS_MS)) return;
  throw new BouncerError('option_invalid', 'blockAddressForMs: give 1 millisecond to ten years, or null for good');
}

type Allowed = Exclude<AnswerVerdict, { kind: 'refused' }>;

function effectsOf(incident: IncidentRecord, request: AnswerRequest, { by }: Actor): Allowed {
  const { disposition, blockAddressForMs } = request;
  const giveBack = givesBack(incident, request);
  const wish: AnswerWish = { disposition, by, giveBack, blockAddress: blockAddressForMs !== undefined };
  const verdict = judgeAnswer(incident, wish);
  if (verdict.kind !== 'refused') return verdict;
  if (verdict.why === 'closed') throw closedIncident(incident);
  throw new BouncerError(
    'option_invalid',
    verdict.why === 'no_address'
      ? 'blockAddressForMs: nobody knows the address of this login; leave it out'
      : 'blockAddressForMs: an address is blocked with the answer confirmed only; leave it out',
  );
}

/** Of a session that two parties held only where it is asked for. */
function givesBack(incident: IncidentRecord, { giveBack }: AnswerRequest): boolean {
  return giveBack ?? !wasReused(incident);
}

interface Done {
  readonly result: Omit<Answered, 'incident'>;
  readonly changed: boolean;
  /** The effects that could not be done. */
  readonly failed: readonly string[];
}

async function run(deps: ReviewDeps, effects: Allowed['effects'], context: EffectContext): Promise<Done> {
  const { incident, request } = context;
  const wanted = request.disposition === 'safe' && givesBack(incident, request);
  // A flag ended nothing, nor did observe mode.
  const givenBack = wanted && !wasEnded(incident) ? 'not_ended' : null;
  let result: Done['result'] = { taught: false, closed: [], ended: 0, givenBack, blocked: null };
  let changed = false;
  const failed: string[] = [];
  for (const effect of effects) {
    try {
      const one = await RUN[effect](deps, context);
      result = { ...result, ...one.result };
      changed ||= one.changed;
    } catch (error) {
      failed.push(effect);
      const fields = { event: 'answer_incomplete', case: incident.id, effect, error: errorName(error) };
      deps.log.error(fields, 'What follows from an answer could not be done; the same answer again completes it');
    }
  }
  return { result, changed, failed };
}

async function tell(
  deps: ReviewDeps,
  { incident, request, actor: { by } }: EffectContext,
  { result, failed }: Done,
): Promise<void> {
  const { id: caseId, status, resolvedAtMs: atMs = 0 } = incident;
  const words = [
    request.disposition,
    ...(result.taught ? ['taught'] : []),
    ...(result.closed.length > 0 ? [`closed ${result.closed.length} alike`] : []),
    ...(result.ended > 0 ? [`ended ${result.ended} others`] : []),
    ...(result.blocked === null ? [] : ['blocked the address']),
    ...failed.map((effect) => `${effect} failed`),
  ];
  await note(deps, [{ what: 'answer', by, why: request.note, ...about(incident), outcome: words.join(', ') }]);
  if (status === 'open') return;
  void deps.notifier.tell({ event: 'incident.answered', caseId, atMs, disposition: status, by });
}

function incomplete({ id, status }: IncidentRecord, failed: readonly string[]): BouncerError {
  return new BouncerError(
    'answer_incomplete',
    `${id} is answered ${status}, but this could not be done: ${failed.join(', ')}; give the same answer again`,
  );
}
