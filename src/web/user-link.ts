import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { isCaseNumber } from '../domain/case-number.ts';

/** What a link vouches for: whoever has it may answer this case, as this user, until then. */
export interface UserLink {
  readonly caseId: string;
  /** Stands for the user: the case must still be theirs. */
  readonly userTag: string;
  /** Whole seconds. */
  readonly expiresAtMs: number;
}

/** 96 bits of a hash. */
export function linkTag(userId: string): string {
  return createHash('sha256').update(`user link:${userId}`).digest('base64url').slice(0, 16);
}

/** `<case>.<user tag>.<expiry, seconds in base 36>.<HMAC-SHA-256>`: the same input gives the same link, so it is kept nowhere. */
export function signLink({ caseId, userTag, expiresAtMs }: UserLink, secret: string): string {
  const claim = `${caseId}.${userTag}.${Math.floor(expiresAtMs / 1000).toString(36)}`;
  return `${claim}.${mac(claim, secret)}`;
}

const SHAPE = /^(?<claim>(?<caseId>[^.]{14})\.(?<userTag>[\w-]{16})\.(?<expiry>[0-9a-z]{1,8}))\.(?<mac>[\w-]{43})$/;

/** Null where none of the secrets signed it. The first secret signs; the others are old ones. Says nothing of its expiry. */
export function readLink(token: string, secrets: readonly string[]): UserLink | null {
  const { claim = '', caseId = '', userTag = '', expiry = '', mac: given = '' } = SHAPE.exec(token)?.groups ?? {};
  if (claim === '' || !isCaseNumber(caseId)) return null;
  // Each is tried, whichever fits: the time does not tell how many there are.
  const good = secrets.map((secret) => timingSafeEqual(Buffer.from(mac(claim, secret)), Buffer.from(given)));
  return good.includes(true) ? { caseId, userTag, expiresAtMs: Number.parseInt(expiry, 36) * 1000 } : null;
}

/** Stands for a token in Redis, where the token itself must not lie. */
export function tokenHash(token: string): string {
  return createHash('sha256').update(token).digest('base64url').slice(0, 22);
}

/** The first words keep these signatures apart from any other that the same secret may make. */
function mac(claim: string, secret: string): string {
  return createHmac('sha256', secret).update(`session-bouncer user link v1\n${claim}`).digest('base64url');
}
