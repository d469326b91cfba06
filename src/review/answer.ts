import type { Actor, Answered, AnswerRequest } from '../desk-ports.ts';
import {
  type AnswerVerdict,
  type AnswerWish,
  type IncidentRecord,
  judgeAnswer,
  mayHaveEnded,
  wasReused,
} from '../domain/incident.ts';
import { BouncerError, errorName } from '../errors.ts';
import type { Resolution } from '../ports.ts';
import {
  about,
  checkActor,
  checkKnown,
  checkNote,
  closedIncident,
  note,
  type ReviewDeps,
  unknownIncident,
} from '../review.ts';
import { type EffectContext, RUN } from './effects.ts';

/**
 * An answer to an incident, by an analyst or by the user's own link, and what follows from it (`judgeAnswer`).
 *
 *   1 the answer   written first, with its entry in the audit, and as pending where effects follow: of two at once only one is
 *                  heard, and only that one's has effects
 *   2 the effects  in their order; one that fails does not keep the others from being done
 *   3 the rest     nothing is pending any more; the audit says what came of it, and whoever is to be told is told
 *
 * If the process dies in between, or an effect failed (`answer_incomplete`), the same person gives the same answer again, which
 * does what is left; after half a minute anybody may. Where nothing was left it is `incident_closed`, as for anybody else.
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
  if (request.disposition !== 'dismissed') checkKnown(before);
  // What a user's link answered may leave something to take back, which only the answer above it tells.
  const follows = effectsOf(deps, before, request, actor).effects.length > 0 || before.status !== 'open';
  const outcome = await deps.incidents.resolve(caseId, resolutionOf(deps, before, { request, actor, follows }));
  const incident = outcome === 'unknown' ? null : await deps.incidents.get(caseId);
  if (incident === null) throw unknownIncident(caseId);
  // Judged again as it stands now: another one may have been faster.
  const whole = outcome === 'resolved' ? request : asBegun(incident, request);
  const { effects } = effectsOf(deps, incident, whole, actor);
  const done = await run(deps, effects, { incident, request: whole, actor });
  const wasPending = outcome !== 'resolved' && incident.pending !== undefined;
  if (outcome !== 'resolved' && !wasPending && !done.changed && done.failed.length === 0)
    throw closedIncident(incident);
  if (incident.pending !== undefined && done.failed.length === 0) await settle(deps, incident);
  await tell(deps, { incident, request, actor }, done, outcome === 'resolved');
  if (done.failed.length > 0) throw incomplete(incident, done.failed);
  return { incident: withoutPending(incident), ...done.result };
}

interface Asked {
  readonly request: AnswerRequest;
  readonly actor: Actor;
  readonly follows: boolean;
}

function resolutionOf({ clock }: ReviewDeps, incident: IncidentRecord, { request, actor, follows }: Asked): Resolution {
  const { disposition, note: text, blockAddressForMs } = request;
  const { by } = actor;
  const atMs = clock();
  const giveBack = disposition === 'safe' ? givesBack(incident, request) : undefined;
  const entry = { atMs, what: 'answer', by, why: text, ...about(incident), outcome: disposition } as const;
  const pending = follows ? { giveBack, blockAddressForMs } : undefined;
  return { disposition, by, note: text, atMs, pending, entry };
}

/** What was asked for when it was begun is done, where whoever completes it says nothing else. */
function asBegun({ pending }: IncidentRecord, request: AnswerRequest): AnswerRequest {
  const { giveBack = pending?.giveBack, blockAddressForMs = pending?.blockAddressForMs } = request;
  return { ...request, giveBack, blockAddressForMs };
}

/** The effects are done; where this cannot be noted, they are done again by whoever completes it, without harm. */
async function settle({ incidents, log }: ReviewDeps, { id, resolvedAtMs = 0 }: IncidentRecord): Promise<void> {
  try {
    await incidents.settled(id, resolvedAtMs);
  } catch (error) {
    const fields = { event: 'answer_unsettled', case: id, error: errorName(error) };
    log.warn(fields, 'What follows from an answer is done; that could not be noted, and it is shown as pending');
  }
}

function withoutPending({ pending: _, ...incident }: IncidentRecord): IncidentRecord {
  return incident;
}

const TEN_YEARS_MS = 10 * 365 * 86_400_000;

function checkRequest({ note: text, blockAddressForMs: forMs }: AnswerRequest, actor: Actor): void {
  checkActor(actor);
  checkNote(text);
  if (forMs === undefined || forMs === null || (forMs >= 1 && forMs <= TEN_YEARS_MS)) return;
  throw new BouncerError('option_invalid', 'blockAddressForMs: give 1 millisecond to ten years, or null for good');
}

type Allowed = Exclude<AnswerVerdict, { kind: 'refused' }>;

function effectsOf({ clock }: ReviewDeps, incident: IncidentRecord, request: AnswerRequest, { by }: Actor): Allowed {
  const { disposition, blockAddressForMs } = request;
  const giveBack = givesBack(incident, request);
  const blockAddress = blockAddressForMs !== undefined;
  const wish: AnswerWish = { disposition, by, giveBack, blockAddress, atMs: clock() };
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
  const givenBack = wanted && !mayHaveEnded(incident) ? 'not_ended' : null;
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
  isNoted: boolean,
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
  const entry = { what: 'answer', by, why: request.note, ...about(incident), outcome: words.join(', ') } as const;
  // That it was given was written with it.
  if (!isNoted || words.length > 1) await note(deps, [entry]);
  if (status === 'open') return;
  void deps.notifier.tell({ event: 'incident.answered', caseId, atMs, disposition: status, by });
}

function incomplete({ id, status }: IncidentRecord, failed: readonly string[]): BouncerError {
  return new BouncerError(
    'answer_incomplete',
    `${id} is answered ${status}, but this could not be done: ${failed.join(', ')}; give the same answer again`,
  );
}
