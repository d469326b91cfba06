/** "Was this you?": who is asked, how often, and what the mail says. */

import type { IncidentRecord } from './domain/incident.ts';
import { countriesOf, hasEnded } from './domain/notification.ts';
import { errorName } from './errors.ts';
import { type Mail, mailContext, questionMail, type RenderMail } from './notify-mail.ts';
import type { Clock, Counters, Incidents, Log } from './ports.ts';
import type { Questions } from './redis/questions.ts';
import { linkTag, signLink } from './web/user-link.ts';

const DAY_MS = 86_400_000;

/** Whoever knows a password can make any number of incidents, and must not fill the owner's mailbox with them. */
const MOST_IN_A_DAY = 3;

export interface UserLinkOptions {
  /** The page of `bouncer.userAnswers`, as the user's browser finds it, e.g. `https://shop.example/was-this-you`. */
  readonly url: string;
  /** Each at least 32 characters. The first signs; the web tier knows the same. */
  readonly secrets: readonly string[];
  /** A link is good for so long after the login was judged. Default 7 days, at most 90. */
  readonly ttlDays?: number | undefined;
  /** Whom to ask: those whose session was ended (default), or also those whose login was only flagged. */
  readonly ask?: 'ended' | 'all' | undefined;
  /** Your own mail in place of ours. What it throws counts as a failed attempt, `render_failed`, and is kept nowhere. */
  readonly render?: RenderMail | undefined;
}

/** A link is good for so long after the login was judged, and so long a question may wait for its answer. */
export const linkTtlMs = (links: UserLinkOptions | undefined): number => (links?.ttlDays ?? 7) * DAY_MS;

export interface AskDeps {
  readonly incidents: Pick<Incidents, 'get'>;
  readonly questions: Questions;
  readonly counters: Pick<Counters, 'add'>;
  readonly clock: Clock;
}

/**
 * Is its user to be asked about this incident? Not while another question about the same place is open, and no more than
 * thrice a day: those that are held back only count. Repeats without harm.
 */
export async function mayAsk(caseId: string, { ask }: UserLinkOptions, deps: AskDeps): Promise<boolean> {
  const incident = await deps.incidents.get(caseId);
  if (incident === null || !isToBeAsked(incident, ask)) return false;
  const place = countriesOf(incident).seen.join(',');
  const { userId } = incident;
  if (!(await isOpenAlready(userId, { caseId, place }, deps))) {
    if (await deps.questions.claim(userId, { caseId, place }, MOST_IN_A_DAY, deps.clock())) return true;
  }
  await deps.counters.add(`question-${caseId}`, new Map([['questions:held', 1]]));
  return false;
}

/**
 * In observe mode nobody is asked: trying us out must not send mails. Nor about what a person has blocked: that was no guess of
 * ours about who it was, and a yes would teach a place that is kept out.
 */
function isToBeAsked(incident: IncidentRecord, ask: UserLinkOptions['ask']): boolean {
  if (incident.reason === 'blocked') return false;
  return incident.mode === 'enforce' && incident.status === 'open' && (ask === 'all' || hasEnded(incident));
}

async function isOpenAlready(
  userId: string,
  { caseId, place }: { caseId: string; place: string },
  { questions, incidents, clock }: AskDeps,
): Promise<boolean> {
  const asked = await questions.asked(userId, clock());
  if (asked.some((one) => one.caseId === caseId)) return false;
  const alike = asked.filter((one) => one.place === place);
  const found = await Promise.all(alike.map((one) => incidents.get(one.caseId)));
  return found.some((incident) => incident?.status === 'open');
}

/** The mail and its link are made for each attempt, and lie nowhere. A text says why there is none. */
export function questionOf(
  incident: IncidentRecord | null,
  links: UserLinkOptions | undefined,
  { clock, log }: { clock: Clock; log: Log },
): object | 'not_configured' | 'expired' | 'render_failed' {
  const [secret] = links?.secrets ?? [];
  if (incident === null || links === undefined || secret === undefined) return 'not_configured';
  const { id, userId, decidedAtMs } = incident;
  const expiresAtMs = decidedAtMs + linkTtlMs(links);
  if (expiresAtMs <= clock()) return 'expired';
  const link = `${links.url}?t=${signLink({ caseId: id, userTag: linkTag(userId), expiresAtMs }, secret)}`;
  const mail = mailOf(links.render ?? questionMail, mailContext(incident, link, expiresAtMs), log);
  if (mail === null) return 'render_failed';
  return { case: id, userId, ...mail, link, expiresAt: new Date(expiresAtMs).toISOString() };
}

/** The operator's own code: what it throws may hold the link, and must not lie in the queue with the failed attempt. */
function mailOf(render: RenderMail, context: Parameters<RenderMail>[0], log: Log): Mail | null {
  try {
    const { subject, text, html } = render(context);
    if ([subject, text, html].every((one) => typeof one === 'string')) return { subject, text, html };
    log.error({ event: 'render_failed', error: 'NotAMail' }, 'userLinks.render gave no subject, text and html');
  } catch (error) {
    log.error({ event: 'render_failed', error: errorName(error) }, 'userLinks.render threw');
  }
  return null;
}
