import type { Actor, UndoChoice, UndoOutcome } from '../desk-ports.ts';
import { afterUndo, type IncidentRecord, isAtPhp, mayHaveEnded, wasReused } from '../domain/incident.ts';
import { BouncerError, errorName } from '../errors.ts';
import { about, checkActor, checkKnown, checkWhy, note, type ReviewDeps, unknownIncident } from '../review.ts';

/**
 * Gives the session of an incident back, whatever it was answered; one that was `confirmed` is open again afterwards, as that
 * answer no longer holds. Only the end by this incident: what its login ended for since stays (`blocked`). Each step bears a
 * repeat, so an undo that was interrupted is completed by another one. Throws `incident_unknown`, `option_invalid`, and whatever
 * the ports throw when Redis is away.
 */
export async function undoIncident(
  deps: ReviewDeps,
  caseId: string,
  why: string,
  actor: Actor,
  choice: UndoChoice = {},
): Promise<UndoOutcome> {
  checkActor(actor);
  checkWhy(why);
  const incident = await deps.incidents.get(caseId);
  if (incident === null) throw unknownIncident(caseId);
  checkKnown(incident);
  if (wasReused(incident) && !choice.reuse) throw reuseUnsaid();
  const outcome = await giveBack(deps, incident, why, actor, choice);
  if (incident.status !== 'open' && afterUndo(incident.status) === 'reopen') {
    const reopened = await deps.incidents.reopen(caseId, incident.status, deps.clock());
    const act = { what: 'answer', by: actor.by, why, ...about(incident), outcome: 'reopened' } as const;
    if (reopened) await note(deps, [act]);
  }
  return outcome;
}

function reuseUnsaid(): BouncerError {
  return new BouncerError(
    'option_invalid',
    'reuse: two parties held this session, and both would get it back; say that this is meant, or let the user sign in anew',
  );
}

/** What an auditor would not take from the code alone. */
const OUTCOMES: Readonly<Partial<Record<UndoOutcome, string>>> = {
  log_in_again: 'end lifted; the user must log in again: no PHP session can be given back',
};

/** Lifts the end, puts the login on the user's list again, and tells of it. */
export async function giveBack(
  deps: ReviewDeps,
  incident: IncidentRecord,
  why: string,
  { by }: Actor,
  { reuse = false, endedAtMs }: UndoChoice,
): Promise<UndoOutcome> {
  const { lid, handle, loginAtMs, id: caseId } = incident;
  const atMs = deps.clock();
  const lifted = await deps.undo.lift({ lid, handle, atMs, loginAtMs, only: { caseId, reuse, endedAtMs } });
  const outcome = lifted === 'gone' && isAtPhp(incident) && mayHaveEnded(incident) ? 'log_in_again' : lifted;
  await note(deps, [{ what: 'undo', by, why, ...about(incident), outcome: OUTCOMES[outcome] ?? outcome }]);
  if (outcome !== 'given_back') return outcome;
  await list(deps, incident);
  void deps.notifier.tell({ event: 'session.given_back', caseId, atMs, by });
  return outcome;
}

/** The registry drops logins that ended. What it still knows stays; it cleans itself of what does not live. */
async function list({ registry, clock, log }: ReviewDeps, incident: IncidentRecord): Promise<void> {
  const { lid, handle, userId, loginAtMs, sighting, reason, userAgent, deviceId } = incident;
  // The address of a reuse is that of the request which brought the old id, not the login's.
  const isOwn = reason !== 'session_reused';
  const countries = isOwn && sighting.kind === 'located' ? sighting.candidates : [];
  const nowMs = clock();
  const from = { address: isOwn ? sighting.address : null, userAgent: isOwn ? userAgent : undefined, deviceId };
  try {
    await registry.add({ lid, handle, userId, loginAtMs, ...from }, nowMs, nowMs + 1);
    if (countries.length > 0) await registry.located([{ userId, lid, countries }]);
  } catch (error) {
    log.warn({ event: 'registry_failed', error: errorName(error) }, 'A session that was given back is not on the list');
  }
}
