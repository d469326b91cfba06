import { createHash } from 'node:crypto';
import type { Redis } from 'ioredis';
import type { IncidentRecord } from './domain/incident.ts';
import {
  caseOfNotice,
  hasEnded,
  type Notice,
  type NotificationEvent,
  noticeData,
  noticeId,
  type WebhookEndpoint,
  wants,
  webhookProblem,
} from './domain/notification.ts';
import { BouncerError } from './errors.ts';
import { mailContext, questionMail, type RenderMail } from './notify-mail.ts';
import { type Sent, send, type Target } from './notify-send.ts';
import type { Clock, Incidents, Log } from './ports.ts';
import {
  type Delivery,
  type DeliveryResult,
  type NotificationConsumer,
  startNotificationConsumer,
} from './queue/notifications.ts';
import { type Keys, NOTIFICATION_QUEUE } from './redis/keys.ts';
import { linkTag, signLink } from './web/user-link.ts';

const DAY_MS = 86_400_000;

export interface UserLinkOptions {
  /** The page of `bouncer.userAnswers`, as the user's browser finds it, e.g. `https://shop.example/was-this-you`. */
  readonly url: string;
  /** Each at least 32 characters. The first signs; the web tier knows the same. */
  readonly secrets: readonly string[];
  /** A link is good for so long after the login was judged. Default 7 days. */
  readonly ttlDays?: number | undefined;
  /** Whom to ask: those whose session was ended (default), or also those whose login was only flagged. */
  readonly ask?: 'ended' | 'all' | undefined;
  /** Your own mail in place of ours. What it throws counts as a failed attempt. */
  readonly render?: RenderMail | undefined;
}

export interface NotificationOptions {
  readonly webhooks: readonly WebhookEndpoint[];
  /** Plain http to other machines. */
  readonly allowHttpWebhooks?: boolean | undefined;
  readonly userLinks?: UserLinkOptions | undefined;
  /** For tests: see the consumer's, and notify-send. */
  readonly retryDelaysMs?: readonly number[] | undefined;
  readonly timeoutMs?: number | undefined;
  readonly lockDurationMs?: number | undefined;
}

export interface NotificationDeps {
  readonly incidents: Pick<Incidents, 'get'>;
  readonly log: Log;
  readonly clock: Clock;
}

interface Endpoint extends Target {
  readonly tag: string;
  readonly host: string;
  readonly configured: WebhookEndpoint;
}

/** Throws BouncerError `option_invalid`, which names the option and says what to give. */
export function checkNotificationOptions({ webhooks, allowHttpWebhooks, userLinks }: NotificationOptions): void {
  for (const [i, endpoint] of webhooks.entries()) {
    const problem = webhookProblem(endpoint, allowHttpWebhooks);
    if (problem !== null) throw new BouncerError('option_invalid', `webhooks[${i}].${problem}`);
  }
  if (userLinks === undefined) return;
  if (!/^https?:\/\/[^\s?#]+$/.test(userLinks.url) || !URL.canParse(userLinks.url)) {
    throw new BouncerError('option_invalid', 'userLinks.url: give the http(s) URL of the page, without a query');
  }
  if (userLinks.secrets.length === 0 || userLinks.secrets.some((one) => one.length < 32)) {
    throw new BouncerError('option_invalid', 'userLinks.secrets: give at least one secret of 32 characters or more');
  }
}

/**
 * The worker's side: makes deliveries of notices, and delivers them. Every worker takes notices, also one that has no
 * endpoint: else they would wait for ever where nobody wants them. So all workers must be configured alike.
 */
export function startNotifications(
  redis: Redis,
  keys: Keys,
  options: NotificationOptions,
  deps: NotificationDeps,
): NotificationConsumer {
  checkNotificationOptions(options);
  const endpoints = options.webhooks.map(endpointOf);
  const names = { queue: NOTIFICATION_QUEUE, prefix: keys.queuePrefix };
  return startNotificationConsumer(redis, names, {
    route: (notice) => route(notice, endpoints, options, deps),
    deliver: (delivery) => deliver(delivery, endpoints, options, deps),
    log: deps.log,
    retryDelaysMs: options.retryDelaysMs,
    lockDurationMs: options.lockDurationMs,
  });
}

function endpointOf(configured: WebhookEndpoint): Endpoint {
  const { url, secret } = configured;
  const secrets = typeof secret === 'string' ? [secret] : secret;
  const tag = createHash('sha256').update(url).digest('base64url').slice(0, 12);
  return { url, secrets, tag, host: new URL(url).host, configured };
}

async function route(
  notice: Notice,
  endpoints: readonly Endpoint[],
  options: NotificationOptions,
  deps: NotificationDeps,
): Promise<Delivery[]> {
  const of = (event: NotificationEvent, id: string): Delivery[] =>
    endpoints
      .filter(({ configured }) => wants(configured, event))
      .map(({ tag, host }) => ({ id, event, endpoint: tag, host, notice }));
  const told = of(notice.event, noticeId(notice));
  if (notice.event !== 'incident.recorded' || options.userLinks === undefined) return told;
  const questions = of('user.question', `user-question-${notice.caseId}`);
  if (questions.length === 0) return told;
  const incident = await deps.incidents.get(notice.caseId);
  return incident !== null && isToBeAsked(incident, options.userLinks) ? [...told, ...questions] : told;
}

/** In observe mode nobody is asked: trying us out must not send mails. */
function isToBeAsked(incident: IncidentRecord, { ask }: UserLinkOptions): boolean {
  return incident.mode === 'enforce' && incident.status === 'open' && (ask === 'all' || hasEnded(incident));
}

const failed = (why: string, isFinal = true, retryAfterMs: number | null = null): DeliveryResult => ({
  kind: 'failed',
  why,
  isFinal,
  retryAfterMs,
});

async function deliver(
  { id, event, endpoint: tag, notice }: Delivery,
  endpoints: readonly Endpoint[],
  options: NotificationOptions,
  deps: NotificationDeps,
): Promise<DeliveryResult> {
  const endpoint = endpoints.find((one) => one.tag === tag);
  if (endpoint === undefined) return failed('not_configured');
  const caseId = caseOfNotice(notice);
  const incident = caseId === null ? null : await deps.incidents.get(caseId);
  if (caseId !== null && incident === null) return failed('incident_gone');
  const nowMs = deps.clock();
  // Answered meanwhile, so there is nothing left to ask.
  if (event === 'user.question' && incident?.status !== 'open') return { kind: 'delivered' };
  const data = event === 'user.question' ? question(incident, options.userLinks, nowMs) : noticeData(notice, incident);
  if (typeof data === 'string') return failed(data);
  const body = JSON.stringify({ type: event, timestamp: new Date(notice.atMs).toISOString(), data });
  return resultOf(await send(endpoint, { id, atMs: nowMs, body }, options.timeoutMs));
}

/** The mail and its link are made for each attempt, and lie nowhere. A text says why there is nothing to ask any more. */
function question(
  incident: IncidentRecord | null,
  links: UserLinkOptions | undefined,
  nowMs: number,
): object | 'not_configured' | 'expired' {
  const [secret] = links?.secrets ?? [];
  if (incident === null || links === undefined || secret === undefined) return 'not_configured';
  const { id, userId, decidedAtMs } = incident;
  const expiresAtMs = decidedAtMs + (links.ttlDays ?? 7) * DAY_MS;
  if (expiresAtMs <= nowMs) return 'expired';
  const link = `${links.url}?t=${signLink({ caseId: id, userTag: linkTag(userId), expiresAtMs }, secret)}`;
  const mail = (links.render ?? questionMail)(mailContext(incident, link, expiresAtMs));
  return { case: id, userId, ...mail, link, expiresAt: new Date(expiresAtMs).toISOString() };
}

/** Any 2xx is taken for "received"; 410 for "never again". A redirect is not followed: it would be told to somebody else. */
function resultOf(sent: Sent): DeliveryResult {
  if (sent.status === null) return failed(sent.why, false);
  if (sent.status >= 200 && sent.status < 300) return { kind: 'delivered' };
  return failed(`http_${sent.status}`, sent.status === 410, sent.retryAfterMs);
}
