/**
 * The ingest: login events and visits over HTTP, from any language. In this order, cheapest first: what it is, the
 * signature's headers, the body (never more than its cap), the signature, the content, the rate.
 */

import { type Context, Hono } from 'hono';
import type { Visit } from '../domain/incident.ts';
import type { LoginEvent } from '../domain/types.ts';
import { errorName } from '../errors.ts';
import type { Clock, Log } from '../ports.ts';
import { type IngestCode, json, Refused, refusalResponse } from './answers.ts';
import { Buckets } from './limits.ts';
import { openapi } from './openapi.ts';
import { readLogins, readVisit } from './schema.ts';
import { eventId, keyOf, makerFor, readSignature, signer } from './signature.ts';

export const BODY_LIMIT = 64 * 1024;
/** Visits come from whoever was bounced, so they have an allowance of their own: they must not use up that of logins. */
const VISITS_PER_SECOND = 200;
/** Of one address. A sender with a wrong secret hears 401 some times, then 429. */
const REFUSALS = { perSecond: 1, burst: 30 };

export type VisitOutcome = 'kept' | 'counted' | 'unknown';

export interface IngestDeps {
  /** `whsec_...`; each is good, so that senders can change over. */
  readonly secrets: readonly string[];
  readonly loginsPerSecond: number;
  /**
   * Resolves when these logins are queued: by this call, or by an earlier one of the same id. Atomic, so that however many
   * calls of one id there are, it is once. Rejects when that did not happen in time (it may happen yet).
   */
  enqueue(id: string, logins: readonly LoginEvent[]): Promise<void>;
  /** The same id again gives the same answer. At least once: a crash between may count one twice. Rejects as `enqueue`. */
  visit(id: string, caseId: string, visit: Visit): Promise<VisitOutcome>;
  /** Does Redis answer? */
  isUp(): Promise<boolean>;
  readonly clock: Clock;
  readonly log: Log;
}

export interface IngestBindings {
  /** Whom to hold what cannot be verified against: an address or a network. */
  readonly sender: string;
  /** Reads no more than that; null where there is more. Throws Refused where it breaks off. */
  body(limit: number): Promise<Uint8Array | null>;
}

export interface IngestStats {
  /** Logins that were answered 202, repeats included. */
  accepted: number;
  visits: number;
  readonly refused: Partial<Record<IngestCode, number>>;
}

export interface IngestApp {
  readonly hono: Hono<{ Bindings: IngestBindings }>;
  stats(): IngestStats;
}

type Ctx = Context<{ Bindings: IngestBindings }>;

interface Message {
  readonly id: string;
  readonly key: Buffer;
  /** One allowance a secret: which of them it was. */
  readonly keyName: string;
  readonly body: unknown;
}

export function ingestApp(deps: IngestDeps): IngestApp {
  const { clock, log } = deps;
  const keys = deps.secrets.map(keyOf);
  const refusals = new Buckets(REFUSALS);
  const loginRate = new Buckets({ perSecond: deps.loginsPerSecond, burst: 2 * deps.loginsPerSecond });
  const visitRate = new Buckets({ perSecond: VISITS_PER_SECOND, burst: 2 * VISITS_PER_SECOND });
  const stats: IngestStats = { accepted: 0, visits: 0, refused: {} };
  const app = new Hono<{ Bindings: IngestBindings }>();
  const receive = (c: Ctx) => receiveMessage(c, keys, refusals, clock());

  app.post('/v1/logins', async (c) => {
    const { id, key, keyName, body } = await receive(c);
    const logins = readLogins(body, clock(), makerFor(id, key));
    allow(loginRate, keyName, logins.length, clock());
    await queued(deps.enqueue(id, logins), log);
    stats.accepted += logins.length;
    return json(202, { id, lids: logins.map(({ lid }) => lid) });
  });
  app.post('/v1/visits', async (c) => {
    const { id, keyName, body } = await receive(c);
    const { caseId, visit } = readVisit(body, clock());
    allow(visitRate, keyName, 1, clock());
    const outcome = await queued(deps.visit(id, caseId, visit), log);
    stats.visits += 1;
    return json(202, { id, outcome });
  });
  app.get('/openapi.json', () => json(200, openapi()));
  app.get('/healthz', async () => {
    if (await deps.isUp().catch(() => false)) return json(200, { status: 'ok' });
    throw new Refused('queue_unavailable');
  });
  for (const path of ['/v1/logins', '/v1/visits']) app.all(path, () => notAllowed('POST'));
  for (const path of ['/openapi.json', '/healthz']) app.all(path, () => notAllowed('GET'));
  app.notFound(() => refusalResponse(new Refused('route_unknown')));
  app.onError((error) => {
    const refused = error instanceof Refused ? error : new Refused('internal_error');
    if (refused !== error) {
      log.error({ event: 'ingest_failed', error: errorName(error) }, 'A request could not be answered');
    }
    note(refused, stats, log);
    return refusalResponse(refused);
  });
  return { hono: app, stats: () => ({ ...stats, refused: { ...stats.refused } }) };
}

function notAllowed(method: string): Response {
  const response = refusalResponse(new Refused('method_not_allowed'));
  response.headers.set('allow', method);
  return response;
}

/**
 * Who sends what nobody of ours signed uses up an allowance; then it hears 429. What is signed passes all the same: behind
 * one proxy everybody is one sender, and a stranger must not switch off the logins of the others. Throws Refused.
 */
async function receiveMessage(c: Ctx, keys: readonly Buffer[], refusals: Buckets, nowMs: number): Promise<Message> {
  checkMediaType(c.req.raw.headers);
  try {
    return await verifiedMessage(c, keys, nowMs);
  } catch (error) {
    if (!(error instanceof Refused) || !UNVERIFIED.has(error.code)) throw error;
    const waitMs = refusals.waitMs(c.env.sender, 1, nowMs);
    if (waitMs === 0) refusals.take(c.env.sender, 1, nowMs);
    // Too large stays too large: whoever signs would send it again for ever.
    const isWorn = waitMs > 0 && error.code !== 'body_too_large';
    throw isWorn ? new Refused('signatures_refused', { retryAfterMs: waitMs }) : error;
  }
}

async function verifiedMessage(c: Ctx, keys: readonly Buffer[], nowMs: number): Promise<Message> {
  const signed = readSignature(c.req.raw.headers, nowMs);
  const bytes = await c.env.body(BODY_LIMIT);
  if (bytes === null) throw new Refused('body_too_large');
  const by = signer(signed, bytes, keys);
  const key = keys[by];
  if (key === undefined) throw new Refused('signature_wrong');
  return { id: eventId(signed.id, bytes), key, keyName: String(by), body: parseJson(bytes) };
}

/** What anybody can cause without a secret. */
const UNVERIFIED: ReadonlySet<IngestCode> = new Set([
  'signature_missing',
  'signature_wrong',
  'timestamp_refused',
  'body_too_large',
]);

function checkMediaType(headers: Headers): void {
  const isJson = /^application\/json\s*(;\s*charset="?utf-8"?\s*)?$/i.test(headers.get('content-type') ?? '');
  const isPlain = /^(identity)?$/i.test(headers.get('content-encoding') ?? '');
  if (!isJson || !isPlain) throw new Refused('media_type_unsupported');
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    throw new Refused('body_invalid');
  }
}

function allow(rate: Buckets, name: string, count: number, nowMs: number): void {
  const waitMs = rate.waitMs(name, count, nowMs);
  if (waitMs > 0) throw new Refused('rate_limited', { retryAfterMs: waitMs });
  rate.take(name, count, nowMs);
}

async function queued<T>(work: Promise<T>, log: Log): Promise<T> {
  try {
    return await work;
  } catch (error) {
    log.debug({ event: 'ingest_unavailable', error: errorName(error) }, 'Redis did not take what was sent');
    throw new Refused('queue_unavailable', { retryAfterMs: 1000 });
  }
}

/** Powers of two: what is sent wrongly a thousand times is worth ten lines. No field: the sender was told it. */
function note({ code }: Refused, stats: IngestStats, log: Log): void {
  const count = (stats.refused[code] ?? 0) + 1;
  stats.refused[code] = count;
  if ((count & (count - 1)) === 0)
    log.warn({ event: 'ingest_refused', code, count }, 'The ingest refused what was sent');
}
