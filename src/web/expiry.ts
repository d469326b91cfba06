/** Milliseconds that a stored session's cookie asks for, as express-session and @fastify/session, or koa-session, write it. */
export function lifeIn(data: object): number | null {
  const { cookie, _maxAge } = data as { cookie?: { originalMaxAge?: unknown } | null; _maxAge?: unknown };
  const life = cookie?.originalMaxAge ?? _maxAge;
  return typeof life === 'number' && life > 0 ? life : null;
}

/**
 * A session as it was loaded, with the time at which it really expires. Where only the time to live is renewed nothing is
 * written, so the expiry that session middlewares keep in the data is the one of the last change: @fastify/session would throw
 * an active user out by it, and express-session's `save()` would store a session that has expired already.
 */
export function withExpiry(data: Record<string, unknown>, renewedAtMs: number): Record<string, unknown> {
  const life = lifeIn(data);
  if (life === null) return data;
  // koa-session's own.
  if (typeof data._maxAge === 'number') return { ...data, _expire: renewedAtMs + life };
  return { ...data, cookie: { ...(data.cookie as object), expires: new Date(renewedAtMs + life).toISOString() } };
}

/** Of 13 digits, as every time in a stored value. */
const EARLIEST_MS = 1_000_000_000_000;

/** When a session that is stored now, to live for `ttlMs`, would have been renewed: its cookie's own life is counted from there. */
export function renewalOf(data: object, ttlMs: number, nowMs: number): number {
  const gone = Math.max(0, (lifeIn(data) ?? ttlMs) - ttlMs);
  return Math.max(EARLIEST_MS, Math.trunc(nowMs - gone));
}
