/** What the ingest answers. Every code stands in docs/errors.md; no answer repeats what was sent. */

export type IngestCode =
  | 'body_invalid'
  | 'login_invalid'
  | 'visit_invalid'
  | 'field_unknown'
  | 'signature_missing'
  | 'signature_wrong'
  | 'timestamp_refused'
  | 'route_unknown'
  | 'method_not_allowed'
  | 'body_too_large'
  | 'media_type_unsupported'
  | 'rate_limited'
  | 'signatures_refused'
  | 'queue_unavailable'
  | 'internal_error';

export type RefusalStatus = 400 | 401 | 404 | 405 | 413 | 415 | 429 | 500 | 503;

export const STATUS_OF: Readonly<Record<IngestCode, RefusalStatus>> = {
  body_invalid: 400,
  login_invalid: 400,
  visit_invalid: 400,
  field_unknown: 400,
  signature_missing: 401,
  signature_wrong: 401,
  timestamp_refused: 401,
  route_unknown: 404,
  method_not_allowed: 405,
  body_too_large: 413,
  media_type_unsupported: 415,
  rate_limited: 429,
  signatures_refused: 429,
  queue_unavailable: 503,
  internal_error: 500,
};

/** A refusal on its way to the answer. `field` is a name of ours with positions, e.g. `logins.3.userId`. */
export class Refused extends Error {
  readonly code: IngestCode;
  readonly field: string | null;
  /** When it is worth to try again. */
  readonly retryAfterSeconds: number | null;

  constructor(code: IngestCode, { field = null, retryAfterMs }: { field?: string | null; retryAfterMs?: number } = {}) {
    super(code);
    this.code = code;
    this.field = field;
    this.retryAfterSeconds = retryAfterMs === undefined ? null : Math.max(1, Math.ceil(retryAfterMs / 1000));
  }
}

export function refusalResponse({ code, field, retryAfterSeconds }: Refused): Response {
  const body = { code, ...(field === null ? {} : { field }) };
  const headers = retryAfterSeconds === null ? {} : { 'retry-after': String(retryAfterSeconds) };
  return json(STATUS_OF[code], body, headers);
}

export function json(status: number, body: unknown, headers: Readonly<Record<string, string>> = {}): Response {
  const own = { 'content-type': 'application/json', 'cache-control': 'no-store' };
  return new Response(JSON.stringify(body), { status, headers: { ...own, ...headers } });
}
