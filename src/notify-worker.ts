import { createHash } from 'node:crypto';
import type { Redis } from 'ioredis';
import {
  caseOfNotice,
  type Notice,
  type NotificationEvent,
  noticeData,
  noticeId,
  type WebhookEndpoint,
  wants,
  webhookProblem,
} from './domain/notification.ts';
import { BouncerError } from './errors.ts';
import { type AskDeps, linkTtlMs, mayAsk, questionOf, type UserLinkOptions } from './notify-question.ts';
import { type Sent, send, type Target } from './notify-send.ts';
import type { Clock, Incidents, Log } from './ports.ts';
import {
  type Delivery,
  type DeliveryResult,
  type NotificationConsumer,
  startNotificationConsumer,
} from './queue/notifications.ts';
import { redisCounters } from './redis/counters.ts';
import { type Keys, NOTIFICATION_QUEUE } from './redis/keys.ts';
import { redisQuestions } from './redis/questions.ts';

export type { UserLinkOptions };

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

const wrong = (name: string, give: string) => new BouncerError('option_invalid', `${name}: give ${give}`);

/** Throws BouncerError `option_invalid`: the option and what to give. Callers in JavaScript give what they like. */
export function checkNotificationOptions({ webhooks, allowHttpWebhooks, userLinks }: NotificationOptions): void {
  if (!Array.isArray(webhooks)) throw wrong('webhooks', 'a list of { url, secret }');
  for (const [i, endpoint] of webhooks.entries()) {
    const problem = webhookProblem(endpoint ?? {}, allowHttpWebhooks);
    if (problem !== null) throw new BouncerError('option_invalid', `webhooks[${i}].${problem}`);
  }
  if (userLinks !== undefined) checkUserLinks(userLinks);
}

function checkUserLinks(given: UserLinkOptions): void {
  const { url, secrets, ttlDays = 7, ask = 'ended', render } = given ?? {};
  if (!/^https?:\/\/[^\s?#]+$/.test(url) || !URL.canParse(url)) {
    throw wrong('userLinks.url', 'the http(s) URL of the page, without a query');
  }
  const isSecret = (one: unknown) => typeof one === 'string' && one.length >= 32;
  if (!Array.isArray(secrets) || secrets.length === 0 || !secrets.every(isSecret)) {
    throw wrong('userLinks.secrets', 'at least one secret of 32 characters or more');
  }
  if (typeof ttlDays !== 'number' || !(ttlDays > 0 && ttlDays <= 90)) {
    throw wrong('userLinks.ttlDays', 'days, up to 90');
  }
  if (ask !== 'ended' && ask !== 'all') throw wrong('userLinks.ask', 'ended or all');
  if (render !== undefined && typeof render !== 'function') throw wrong('userLinks.render', 'a function');
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
  if (options.userLinks !== undefined && !options.webhooks.some((one) => wants(one, 'user.question'))) {
    const message = 'No webhook names the event user.question, so no user is asked: add it to the events of one';
    deps.log.warn({ event: 'user_question_unheard' }, message);
  }
  const questions = redisQuestions(redis, keys, linkTtlMs(options.userLinks));
  const asking = { ...deps, questions, counters: redisCounters(redis, keys) };
  const names = { queue: NOTIFICATION_QUEUE, prefix: keys.queuePrefix };
  return startNotificationConsumer(redis, names, {
    route: (notice) => route(notice, endpoints, options, asking),
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
  deps: AskDeps,
): Promise<Delivery[]> {
  const of = (event: NotificationEvent, id: string): Delivery[] =>
    endpoints
      .filter(({ configured }) => wants(configured, event))
      .map(({ tag, host }) => ({ id, event, endpoint: tag, host, notice }));
  const told = of(notice.event, noticeId(notice));
  if (notice.event !== 'incident.recorded' || options.userLinks === undefined) return told;
  const questions = of('user.question', `user-question-${notice.caseId}`);
  if (questions.length === 0) return told;
  return (await mayAsk(notice.caseId, options.userLinks, deps)) ? [...told, ...questions] : told;
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
  // Of two entries with one URL, that which takes this event: each may have a secret of its own.
  const named = endpoints.filter((one) => one.tag === tag);
  const endpoint = named.find(({ configured }) => wants(configured, event)) ?? named[0];
  if (endpoint === undefined) return failed('not_configured');
  const caseId = caseOfNotice(notice);
  const incident = caseId === null ? null : await deps.incidents.get(caseId);
  if (caseId !== null && incident === null) return failed('incident_gone');
  const nowMs = deps.clock();
  // Answered meanwhile, so there is nothing left to ask.
  if (event === 'user.question' && incident?.status !== 'open') return { kind: 'delivered' };
  const data = event === 'user.question' ? questionOf(incident, options.userLinks, deps) : noticeData(notice, incident);
  // Code can be mended while the queue waits; the others come to nothing however often they are tried.
  if (typeof data === 'string') return failed(data, data !== 'render_failed');
  const body = JSON.stringify({ type: event, timestamp: new Date(notice.atMs).toISOString(), data });
  return resultOf(await send(endpoint, { id, atMs: nowMs, body }, options.timeoutMs));
}

/** Any 2xx is taken for "received"; 410 for "never again". A redirect is not followed: it would be told to somebody else. */
function resultOf(sent: Sent): DeliveryResult {
  if (sent.status === null) return failed(sent.why, false);
  if (sent.status >= 200 && sent.status < 300) return { kind: 'delivered' };
  return failed(`http_${sent.status}`, sent.status === 410, sent.retryAfterMs);
}
