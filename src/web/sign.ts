import { createHmac, timingSafeEqual } from 'node:crypto';

/** `<id>.<HMAC-SHA-256 in base64 without padding>`: the form of express-session and @fastify/cookie too. */
export function signId(id: string, secret: string): string {
  return `${id}.${mac(id, secret)}`;
}

/** The id, or null where none of the secrets signed it. The first secret signs; the others are old ones. */
export function unsignId(signed: string, secrets: readonly string[], algorithm = 'sha256'): string | null {
  const dot = signed.lastIndexOf('.');
  if (dot <= 0) return null;
  const id = signed.slice(0, dot);
  const given = Buffer.from(signed.slice(dot + 1));
  const good = secrets.some((secret) => {
    const expected = Buffer.from(mac(id, secret, algorithm));
    return expected.length === given.length && timingSafeEqual(expected, given);
  });
  return good ? id : null;
}

/** What stands before the signature; nothing is checked. */
export function signedPart(signed: string): string | null {
  const dot = signed.lastIndexOf('.');
  return dot === -1 ? null : signed.slice(0, dot);
}

function mac(id: string, secret: string, algorithm = 'sha256'): string {
  return createHmac(algorithm, secret).update(id).digest('base64').replace(/=+$/, '');
}
