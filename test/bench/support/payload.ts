/** One login as a peer's job carries it: the same fields as ours. */
import { randomBytes } from 'node:crypto';
import { sessionHandle } from '../../../src/web/handle.ts';
import type { BenchLogin } from './logins.ts';

export function loginPayload({ userId, address, userAgent }: BenchLogin, sessionId = token()) {
  return { lid: token(), handle: sessionHandle(sessionId), userId, address, loginAtMs: Date.now(), userAgent };
}

function token(): string {
  return randomBytes(16).toString('base64url');
}
