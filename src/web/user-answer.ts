import type { LinkUses } from '../desk-ports.ts';
import type { IncidentRecord } from '../domain/incident.ts';
import { errorName } from '../errors.ts';
import type { Clock, Log } from '../ports.ts';
import {
  ANSWER_HEADERS,
  CLOSED_PAGE,
  INVALID_PAGE,
  LATER_PAGE,
  METHOD_PAGE,
  questionPage,
  type Said,
  thanksPage,
} from './user-answer-page.ts';
import { linkTag, readLink, tokenHash } from './user-link.ts';

export interface UserAnswerDeps {
  /** The first signs, in the worker; the others are old ones. */
  readonly secrets: readonly string[];
  /** Throws when Redis is away, as the two below. */
  find(caseId: string): Promise<IncidentRecord | null>;
  /** May the user still answer it? */
  isOpen(incident: IncidentRecord): boolean;
  /** `closed`: somebody has answered it before; nothing was changed. */
  answer(incident: IncidentRecord, said: Said): Promise<'done' | 'closed'>;
  readonly uses: LinkUses;
  readonly clock: Clock;
  readonly log: Log;
}

/** A form of ours is a few hundred bytes. */
const MAX_FORM_BYTES = 4096;

/** A link whose answer could not be carried out may be used again after this. */
const CLAIM_MS = 60_000;

/**
 * The page that the link of a "Was this you?" mail leads to. Looking at it changes nothing, because mail scanners look at
 * links; only the form acts, once. The link itself is the permission: there is no session and no cookie here, so there is
 * nothing that another site could make a browser send along.
 */
export function userAnswerPage(deps: UserAnswerDeps): (request: Request) => Promise<Response> {
  return async (request) => {
    try {
      const { method } = request;
      if (method === 'GET' || method === 'HEAD') return await ask(request, deps);
      return method === 'POST' ? await take(request, deps) : refusal(405, METHOD_PAGE, { allow: 'GET, HEAD, POST' });
    } catch (error) {
      deps.log.error(
        { event: 'user_answer_failed', error: errorName(error) },
        'An answer of a user could not be taken',
      );
      return refusal(503, LATER_PAGE, { 'retry-after': '60' });
    }
  };
}

function refusal(status: number, html: string, more: Readonly<Record<string, string>> = {}): Response {
  return new Response(html, { status, headers: { ...ANSWER_HEADERS, ...more } });
}

const invalid = (): Response => refusal(410, INVALID_PAGE);
const good = (html: string): Response => new Response(html, { status: 200, headers: ANSWER_HEADERS });

async function ask(request: Request, deps: UserAnswerDeps): Promise<Response> {
  const token = new URL(request.url).searchParams.get('t') ?? '';
  const incident = await incidentOf(token, deps);
  if (incident === null || (await deps.uses.isUsed(tokenHash(token)))) return invalid();
  const html = deps.isOpen(incident) ? questionPage(incident, token) : CLOSED_PAGE;
  return request.method === 'HEAD' ? new Response(null, { status: 200, headers: ANSWER_HEADERS }) : good(html);
}

async function take(request: Request, deps: UserAnswerDeps): Promise<Response> {
  const form = await formOf(request);
  const said = form?.get('answer');
  const token = form?.get('t') ?? '';
  if (said !== 'yes' && said !== 'no') return invalid();
  const incident = await incidentOf(token, deps);
  if (incident === null) return invalid();
  const hash = tokenHash(token);
  // Claimed first: of two at once one acts. If this process dies before the answer is written, the claim ends by itself.
  if (!(await deps.uses.claim(hash, CLAIM_MS))) return invalid();
  const outcome = deps.isOpen(incident) ? await deps.answer(incident, said) : 'closed';
  await deps.uses.keep(hash, Math.max(CLAIM_MS, (readLink(token, deps.secrets)?.expiresAtMs ?? 0) - deps.clock()));
  deps.log.info({ event: 'user_answered', case: incident.id, said, outcome }, 'A user answered a case');
  return outcome === 'done' ? good(thanksPage(said)) : refusal(409, CLOSED_PAGE);
}

/** Nothing is looked up for a link that we did not sign. The case must still be that user's: not that of somebody forgotten. */
async function incidentOf(token: string, deps: UserAnswerDeps): Promise<IncidentRecord | null> {
  const link = readLink(token, deps.secrets);
  if (link === null || link.expiresAtMs <= deps.clock()) return null;
  const incident = await deps.find(link.caseId);
  return incident !== null && linkTag(incident.userId) === link.userTag ? incident : null;
}

/** Null where it is no form of ours: too long, or of another type. */
async function formOf(request: Request): Promise<URLSearchParams | null> {
  const type = request.headers.get('content-type') ?? '';
  if (!/^application\/x-www-form-urlencoded\s*(;|$)/i.test(type) || request.body === null) return null;
  const reader = (request.body as ReadableStream<Uint8Array>).getReader();
  const chunks: Uint8Array[] = [];
  for (let bytes = 0; ; ) {
    const { done, value } = await reader.read();
    if (done) return new URLSearchParams(Buffer.concat(chunks).toString('utf8'));
    bytes += value.byteLength;
    if (bytes > MAX_FORM_BYTES) {
      void reader.cancel().catch(() => {});
      return null;
    }
    chunks.push(value);
  }
}
