import { learn } from './domain/decide.ts';
import type { IncidentRecord } from './domain/incident.ts';
import type { Policy } from './domain/policy.ts';
import { SETTLED_BY } from './domain/registry.ts';
import { BouncerError } from './errors.ts';
import type { Baselines, Incidents, Resolution } from './ports.ts';

/**
 * An analyst's answer to an incident, and what follows from it: `safe` also teaches the user's baseline where this login
 * came from, so that the owner can log in from there again.
 *
 * That holds for a disputed place too, which no login teaches by itself once something is known: a person said that the user
 * was there. Until an agreed login settles which of its countries it was, or it expires, no difference is certain for this
 * user: such logins are flagged, none is ended. (Where it overlaps what is known by now, its network alone is learned.)
 *
 * The answer is written first: of two analysts at once only one is heard, and only that one's answer teaches. If the
 * process dies in between, giving the same answer again completes it.
 */
export interface ReviewDeps {
  readonly incidents: Pick<Incidents, 'get' | 'resolve'>;
  readonly baselines: Baselines;
  readonly policy: Policy;
}

export interface Resolved {
  /** As it stands now. */
  readonly incident: IncidentRecord;
  /** Has the baseline changed? False for any answer but `safe`, and where the place was known by now. */
  readonly taught: boolean;
}

/** How often a baseline that a worker changes at the same time is read again. */
const MAX_ROUNDS = 20;

/** An analyst's name and note, in characters. */
const MAX_BY = 128;
const MAX_NOTE = 2000;

/**
 * Throws BouncerError `incident_unknown`, `incident_closed` (answered before) or `option_invalid` (the answer itself),
 * and whatever the ports throw when Redis is away.
 */
export async function resolveIncident(deps: ReviewDeps, caseId: string, answer: Resolution): Promise<Resolved> {
  checkAnswer(answer);
  const before = await deps.incidents.resolve(caseId, answer);
  const incident = before === 'unknown' ? null : await deps.incidents.get(caseId);
  if (incident === null) throw unknownIncident(caseId);
  const taught = incident.status === 'safe' && answer.disposition === 'safe' && (await teach(deps, incident));
  // The same answer given twice is one that was interrupted, if it still had something to teach.
  if (before !== 'resolved' && !taught) throw closedIncident(incident);
  return { incident, taught };
}

export function unknownIncident(caseId: string): BouncerError {
  const shown = /^[\w-]{1,20}$/.test(caseId) ? caseId : 'it';
  return new BouncerError(
    'incident_unknown',
    `no incident has the case number ${shown}: it looks like K7QX-2M9F-4T8A; list the incidents to find it`,
  );
}

function closedIncident({ id, status, resolvedAtMs = 0 }: IncidentRecord): BouncerError {
  const when = new Date(resolvedAtMs).toISOString();
  return new BouncerError('incident_closed', `${id} was answered before: ${status}, ${when}; the first answer stays`);
}

function checkAnswer({ by, note }: Resolution): void {
  if (by.trim() === '' || by.length > MAX_BY) {
    throw new BouncerError('option_invalid', `by: say who answers, in 1 to ${MAX_BY} characters`);
  }
  if (by.trim() === SETTLED_BY) {
    throw new BouncerError('option_invalid', `by: ${SETTLED_BY} is the name of the registry worker; give a person's`);
  }
  if (note.length > MAX_NOTE) throw new BouncerError('option_invalid', `note: at most ${MAX_NOTE} characters`);
}

/**
 * True when the baseline was changed. Idempotent: it goes by the time of the answer on record. (Not by the login's: by
 * the time somebody answers that may be too long ago to count.)
 */
async function teach({ baselines, policy }: ReviewDeps, incident: IncidentRecord): Promise<boolean> {
  const { userId, sighting, reason, loginAtMs, resolvedAtMs = loginAtMs } = incident;
  // A place that nobody knows cannot be learned; and a reuse says which request came late, not where a login was from.
  if (sighting.kind !== 'located' || reason === 'session_reused') return false;
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const [stored] = await baselines.load([userId]);
    if (stored === undefined) break;
    const baseline = learn(stored.baseline, sighting, resolvedAtMs, policy);
    if (baseline === stored.baseline) return false;
    const [saved] = await baselines.save([{ userId, revision: stored.revision, baseline }]);
    if (saved instanceof Error) throw saved;
    if (saved === true) return true;
  }
  throw new Error('the baseline kept changing');
}
