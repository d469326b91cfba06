/** What the operator's other systems are told, and by whom it may be asked for. */

import type { BrakeTrip } from './brake.ts';
import type { Disposition, Incident, IncidentRecord } from './incident.ts';

/** What a webhook may be told. `user.question` carries a mail to its user, with a link: only those that ask for it get it. */
export type NotificationEvent =
  | 'incident.recorded'
  | 'session.ended_again'
  | 'incident.answered'
  | 'session.given_back'
  | 'brake.tripped'
  | 'brake.reset'
  | 'user.question';

export const NOTIFICATION_EVENTS: readonly NotificationEvent[] = Object.freeze([
  'incident.recorded',
  'session.ended_again',
  'incident.answered',
  'session.given_back',
  'brake.tripped',
  'brake.reset',
  'user.question',
]);

/** What happened. Names the case and no more: all else is read from the incident when it is told, so the queue holds no user. */
export type Notice =
  | { readonly event: 'incident.recorded'; readonly caseId: string; readonly atMs: number }
  /** Its login, given back before, has ended again; `atMs`: then. */
  | { readonly event: 'session.ended_again'; readonly caseId: string; readonly atMs: number }
  | {
      readonly event: 'incident.answered';
      readonly caseId: string;
      readonly atMs: number;
      readonly disposition: Disposition;
      readonly by: string;
    }
  | { readonly event: 'session.given_back'; readonly caseId: string; readonly atMs: number; readonly by: string }
  | { readonly event: 'brake.tripped'; readonly atMs: number; readonly trip: BrakeTrip }
  | { readonly event: 'brake.reset'; readonly atMs: number; readonly by: string };

/** Derived, so that whoever tells of the same thing again tells it under the same id. Letters, digits, `_` and `-`. */
export function noticeId(notice: Notice): string {
  const name = notice.event.replace('.', '-');
  if (notice.event === 'incident.recorded') return `${name}-${notice.caseId}`;
  if (notice.event === 'incident.answered') return `${name}-${notice.caseId}-${notice.disposition}-${notice.atMs}`;
  return 'caseId' in notice ? `${name}-${notice.caseId}-${notice.atMs}` : `${name}-${notice.atMs}`;
}

export function caseOfNotice(notice: Notice): string | null {
  return 'caseId' in notice ? notice.caseId : null;
}

export interface WebhookEndpoint {
  readonly url: string;
  /** `whsec_` and base64, as Standard Webhooks has it. Of several, each signs, so that a receiver can change over. */
  readonly secret: string | readonly string[];
  /** Without it: all but `user.question`. */
  readonly events?: readonly NotificationEvent[] | undefined;
}

export function wants({ events }: WebhookEndpoint, event: NotificationEvent): boolean {
  return events === undefined ? event !== 'user.question' : events.includes(event);
}

/** A secret of Standard Webhooks: the base64 of 24 to 64 random bytes. */
export const SHARED_SECRET = /^whsec_(?=(?:.{4})+$)[A-Za-z0-9+/]{32,88}={0,2}$/;
const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/;

/** What is wrong with it and what to give, or null. Does not quote it: its address may be a secret too. */
export function webhookProblem(
  { url = '', secret, events = [] }: Partial<WebhookEndpoint>,
  allowHttp = false,
): string | null {
  const where = URL.canParse(url) ? new URL(url) : null;
  const isPlain = where?.protocol === 'http:';
  if (where === null || !(isPlain || where.protocol === 'https:')) return 'url: give an https URL';
  if (isPlain && !allowHttp && !LOOPBACK.test(where.hostname)) {
    return 'url: give an https URL; http is for this machine only, unless it is allowed';
  }
  if (where.username !== '' || where.password !== '') return 'url: leave out user name and password';
  const secrets = typeof secret === 'string' ? [secret] : secret;
  if (
    !Array.isArray(secrets) ||
    secrets.length === 0 ||
    secrets.length > 5 ||
    !secrets.every((one) => SHARED_SECRET.test(one))
  ) {
    return 'secret: give whsec_ and the base64 of 24 to 64 random bytes, or up to 5 such';
  }
  if (!Array.isArray(events) || !events.every((one) => NOTIFICATION_EVENTS.includes(one)))
    return `events: known are ${NOTIFICATION_EVENTS.join(', ')}`;
  return null;
}

/** The countries where a login was seen, and those that were known of its user in the same address family. */
export function countriesOf({ sighting, baseline }: Incident): { seen: readonly string[]; known: readonly string[] } {
  if (sighting.kind !== 'located') return { seen: [], known: [] };
  const { places } = sighting.family === 6 ? baseline.v6 : baseline.v4;
  return { seen: sighting.candidates, known: [...new Set(places.flatMap(({ countries }) => countries))].sort() };
}

/** Has a session been ended for it? */
export function hasEnded({ outcome }: Incident): boolean {
  return outcome === 'revoked' || outcome === 'already_revoked';
}

const iso = (ms: number): string => new Date(ms).toISOString();

/** `data` of a webhook's body. No session id, handle or login id, no address, no text of the client's. */
export function noticeData(notice: Notice, incident: IncidentRecord | null): object {
  if (notice.event === 'brake.tripped') {
    const { why, window, day } = notice.trip;
    return { why, window, day };
  }
  if (notice.event === 'brake.reset') return { by: notice.by };
  const answer = notice.event === 'incident.answered' ? { answer: notice.disposition } : {};
  return { ...incidentData(incident), ...answer, ...('by' in notice ? { by: notice.by } : {}) };
}

function incidentData(incident: IncidentRecord | null): object {
  if (incident === null) return {};
  const { id, userId, action, reason, mode, outcome, loginAtMs, decidedAtMs, revokedAtMs, endedAgain } = incident;
  return {
    case: id,
    userId,
    action,
    reason,
    mode,
    outcome,
    ...countriesOf(incident),
    loginAt: iso(loginAtMs),
    decidedAt: iso(decidedAtMs),
    ...(revokedAtMs === undefined ? {} : { revokedAt: iso(revokedAtMs) }),
    ...(endedAgain === undefined ? {} : { endedAgain: { reason: endedAgain.reason, at: iso(endedAgain.atMs) } }),
  };
}
