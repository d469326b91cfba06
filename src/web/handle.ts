import * as crypto from 'node:crypto';

/** Node 20.12 and later have a one-shot hash, about twice as fast; it is on the way of every request. */
const oneShot = (crypto as { hash?: (algorithm: string, data: string, encoding: 'base64url') => string }).hash;

/** `base64url(sha256(session id))`: the only form in which a session id leaves the web tier. */
export function sessionHandle(sessionId: string): string {
  return oneShot
    ? oneShot('sha256', sessionId, 'base64url')
    : crypto.createHash('sha256').update(sessionId).digest('base64url');
}

/** Random bytes are drawn for many tokens at once: each draw costs microseconds, and every login needs one. */
const pool = Buffer.alloc(4096);
let used = pool.length;

/** A random token of 128 bits in 22 letters that need no escaping anywhere. */
export function randomToken(): string {
  if (used === pool.length) {
    crypto.randomFillSync(pool);
    used = 0;
  }
  used += 16;
  return pool.toString('base64url', used - 16, used);
}

/**
 * A new login's id: 16 letters that stand for its user (a hash), so that all of a user's logins lie in one slot of a
 * cluster and the user is found by it, and 128 random bits. The keys rely on this form (see redis/keys).
 */
export function loginId(userId: string | number): string {
  return sessionHandle(String(userId)).slice(0, 16) + randomToken();
}
