import type { Actor, Reopened } from '../desk-ports.ts';
import { BouncerError } from '../errors.ts';
import {
  about,
  checkActor,
  checkKnown,
  checkWhy,
  closedIncident,
  note,
  type ReviewDeps,
  unknownIncident,
} from '../review.ts';
import { learnedOf, unlearn } from './baseline.ts';
import { forgot } from './effects.ts';

/**
 * Takes a wrong `safe` or `dismissed` off an incident, which may then be answered anew; with `forget` also what `safe` taught
 * its user's baseline. What is forgotten goes first: an incident that is open again must not look as if it had been.
 *
 * A session that was given back lives on, and cases that were closed with this one stay so: each is answered, or opened, by
 * itself. Throws `incident_unknown`, `incident_closed`, `option_invalid`, and whatever the ports throw when Redis is away.
 */
export async function reopenIncident(
  deps: ReviewDeps,
  caseId: string,
  why: string,
  actor: Actor,
  { forget = false }: { readonly forget?: boolean | undefined } = {},
): Promise<Reopened> {
  checkActor(actor);
  checkWhy(why);
  const incident = await deps.incidents.get(caseId);
  if (incident === null) throw unknownIncident(caseId);
  checkKnown(incident);
  const { status: was } = incident;
  if (was !== 'safe' && was !== 'dismissed') throw notTakenOff(was);
  const taught = was === 'safe' ? await (forget ? unlearn : learnedOf)(deps.baselines, incident) : null;
  const { by } = actor;
  if (forget && taught !== null) await note(deps, [forgot(incident, by, why, taught)]);
  if (!(await deps.incidents.reopen(caseId, was, deps.clock()))) {
    throw closedIncident((await deps.incidents.get(caseId)) ?? incident);
  }
  const outcome = `reopened, was ${was}${forget && taught !== null ? ', forgotten' : ''}`;
  await note(deps, [{ what: 'answer', by, why, ...about(incident), outcome }]);
  return { was, learned: taught, forgotten: forget && taught !== null };
}

function notTakenOff(status: 'open' | 'confirmed'): BouncerError {
  const then =
    status === 'open' ? 'it is open; answer it' : 'it is confirmed; give the session back, which opens it again';
  return new BouncerError('option_invalid', `case: ${then}`);
}
