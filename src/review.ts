/** What the use cases of the review share: what they need of the world, the checks of what is asked, and who hears of it. */

import type { Actor, IncidentQuery, Lists, Notifier, Undo } from './desk-ports.ts';
import { isReservedName, RESERVED_NAMES } from './domain/actors.ts';
import { isCaseNumber } from './domain/case-number.ts';
import { type Disposition, type IncidentRecord, isForgotten, USER } from './domain/incident.ts';
import type { Policy } from './domain/policy.ts';
import { BouncerError, errorName } from './errors.ts';
import type {
  Audit,
  AuditEntry,
  Baselines,
  Clock,
  IncidentPage,
  Incidents,
  Log,
  Logins,
  Registry,
  Sessions,
} from './ports.ts';

export interface ReviewDeps {
  readonly incidents: Pick<Incidents, 'get' | 'resolve' | 'settled'> & {
    list(query: IncidentQuery, limit: number, cursor?: string | null): Promise<IncidentPage>;
    reopen(caseId: string, answer: Disposition, atMs: number): Promise<boolean>;
  };
  readonly baselines: Baselines;
  readonly policy: Policy;
  readonly sessions: Sessions;
  readonly logins: Pick<Logins, 'endMark'>;
  readonly registry: Pick<Registry, 'list' | 'add' | 'located'>;
  readonly undo: Undo;
  readonly lists: Lists;
  readonly audit: Audit;
  readonly notifier: Notifier;
  readonly clock: Clock;
  readonly log: Log;
  caseOf(lid: string): string;
}

/** An analyst's name and note, in characters. */
const MAX_BY = 128;
const MAX_NOTE = 2000;

export function checkActor({ by }: Actor): void {
  if (by.trim() === '' || by.length > MAX_BY) {
    throw new BouncerError('option_invalid', `by: say who answers, in 1 to ${MAX_BY} characters`);
  }
  // As itself the user answers by the link in a mail; whoever may act as a person is kept from that name where they come in.
  if (isReservedName(by) && by !== USER) {
    throw new BouncerError('option_invalid', `by: ${RESERVED_NAMES.join(', ')} are no person's names; give a person's`);
  }
}

export function checkNote(note: string): void {
  if (note.length > MAX_NOTE) throw new BouncerError('option_invalid', `note: at most ${MAX_NOTE} characters`);
}

export function checkWhy(why: string): void {
  if (why.trim() !== '' && why.length <= MAX_NOTE) return;
  throw new BouncerError('option_invalid', `why: say why, in 1 to ${MAX_NOTE} characters`);
}

export function unknownIncident(caseId: string): BouncerError {
  const message = isCaseNumber(caseId)
    ? `no incident has the case number ${caseId}: list the incidents to find it`
    : 'this is no case number: one looks like K7QX-2M9F-4T8A; list the incidents to find it';
  return new BouncerError('incident_unknown', message);
}

/** What was decided stays on record under a pseudonym; an act on it would write of a user whom nobody knows any more. */
export function checkKnown(incident: IncidentRecord): void {
  if (!isForgotten(incident)) return;
  throw new BouncerError(
    'option_invalid',
    'case: its user was forgotten; it stays as it is, or is dismissed where it is open',
  );
}

export function closedIncident({ id, status, resolvedAtMs = 0 }: IncidentRecord): BouncerError {
  const when = new Date(resolvedAtMs).toISOString();
  return new BouncerError('incident_closed', `${id} was answered before: ${status}, ${when}; the first answer stays`);
}

type Noted = Pick<ReviewDeps, 'audit' | 'clock' | 'log'>;

/** After the act: what was done stays done, whether it could be written down or not. */
export async function note(deps: Noted, entries: readonly Omit<AuditEntry, 'atMs'>[]): Promise<void> {
  const atMs = deps.clock();
  try {
    if (entries.length > 0) await deps.audit.add(entries.map((entry) => ({ atMs, ...entry })));
  } catch (error) {
    deps.log.error(
      { event: 'audit_failed', what: entries[0]?.what, entries: entries.length, error: errorName(error) },
      'An act of the review is not in the audit',
    );
  }
}

/** The part of an audit entry that says which incident it is about. */
export function about({ id, userId, lid }: IncidentRecord): Pick<AuditEntry, 'userId' | 'lid' | 'caseId'> {
  return { userId, lid, caseId: id };
}
