/**
 * Every error that this package throws on purpose has a code of this closed set; docs/errors.md says for each what it
 * means and what to do (a test holds the two together).
 */
export type ErrorCode =
  | 'config_invalid'
  | 'config_unreadable'
  | 'redis_unavailable'
  | 'option_invalid'
  | 'session_unavailable'
  | 'session_missing'
  | 'session_unknown'
  | 'session_ended'
  | 'store_foreign'
  | 'guard_context_missing'
  | 'guard_unsupported'
  | 'login_invalid'
  | 'incident_unknown'
  | 'incident_closed'
  | 'answer_incomplete'
  | 'cursor_invalid'
  | 'notification_unknown'
  | 'audit_busy'
  | 'database_unusable'
  | 'download_failed';

/** The one error class. `message` says what is wrong and what to do; it never holds a secret or raw outside text. */
export class BouncerError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'BouncerError';
    this.code = code;
  }
}

/** The store is away. Express, Fastify and Koa answer an error that the app lets go with its `statusCode`. */
export function sessionUnavailable(message: string, options?: ErrorOptions): BouncerError {
  return Object.assign(new BouncerError('session_unavailable', message, options), { statusCode: 503 });
}

/** For log lines: the class and code of an error, never its text (which may quote what came from outside). */
export function errorName(error: unknown): string {
  if (error instanceof BouncerError) return error.code;
  if (!(error instanceof Error)) return typeof error;
  const code = (error as { code?: unknown }).code;
  return typeof code === 'string' && /^[A-Z0-9_]{1,40}$/i.test(code) ? `${error.name}:${code}` : error.name;
}
