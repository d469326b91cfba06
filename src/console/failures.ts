/** What a page says when something has failed. */

import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { BouncerError, type ErrorCode, errorName } from '../errors.ts';
import type { Log } from '../ports.ts';
import type { Ctx } from './env.ts';
import { refusal } from './refusal.tsx';

const STATUS: Partial<Readonly<Record<ErrorCode, ContentfulStatusCode>>> = {
  option_invalid: 400,
  cursor_invalid: 400,
  incident_unknown: 404,
  incident_closed: 409,
  audit_busy: 409,
  redis_unavailable: 503,
  session_unavailable: 503,
};

/** Our own errors say what to do; of all others only that something failed. */
export async function failed(c: Ctx, error: unknown, log: Log): Promise<Response> {
  const status = error instanceof BouncerError ? STATUS[error.code] : undefined;
  if (status !== undefined && status < 500) return refusal(c, status, (error as BouncerError).message);
  const [away, refuses] = [status === 503 || isRedisAway(error), isRefusal(error)];
  const fields = { event: 'console_failed', error: errorName(error), status: away || refuses ? 503 : 500 };
  log.error(fields, 'A page of the review desk failed');
  if (fields.status === 503) c.header('Retry-After', '5');
  if (refuses) {
    const why = 'It is there, and takes nothing at present: its log and ours (redis_refuses) say why.';
    const message = `${why} Then look whether what you did is there.`;
    return refusal(c, 503, message, 'Redis refuses');
  }
  if (away) return refusal(c, 503, 'Try again in a moment; then look whether what you did is there.');
  return refusal(c, 500, 'This failed. The log of this process says where.');
}

/** What ioredis says, without a type of its own for it. */
const AWAY =
  /^(Command timed out|Socket timeout|Connection is closed|Stream isn't writeable|connect E|read E|getaddrinfo |CLUSTERDOWN|LOADING)/;

/** The replies of a server that is there; one that refuses a part of a transaction discards all of it. */
const REFUSES = /(?:^|[\s-])(OOM|READONLY|BUSY|MISCONF|NOREPLICAS|MASTERDOWN)\s|^EXECABORT/;

const isRefusal = (error: unknown): boolean =>
  error instanceof Error && error.name === 'ReplyError' && REFUSES.test(error.message);

function isRedisAway(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return /^(MaxRetriesPerRequestError|ClusterAllFailedError|AbortError)$/.test(error.name) || AWAY.test(error.message);
}
