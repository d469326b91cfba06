import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';

/**
 * A new session id, readable only with the old one: so that whoever still brings the old id can be told the new one,
 * while Redis holds neither. AES-256-GCM (NIST SP 800-38D), key by HKDF (RFC 5869) from the old id, which has 128 bits
 * of entropy or more.
 */
export function sealId(newId: string, oldId: string): string {
  const iv = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', keyFrom(oldId), iv);
  const text = Buffer.concat([cipher.update(newId, 'utf8'), cipher.final()]);
  return Buffer.concat([iv, cipher.getAuthTag(), text]).toString('base64url');
}

/** Null where it was not sealed for this old id, or was damaged. */
export function openId(sealed: string, oldId: string): string | null {
  try {
    const bytes = Buffer.from(sealed, 'base64url');
    const decipher = createDecipheriv('aes-256-gcm', keyFrom(oldId), bytes.subarray(0, 12));
    decipher.setAuthTag(bytes.subarray(12, 28));
    return Buffer.concat([decipher.update(bytes.subarray(28)), decipher.final()]).toString('utf8');
  } catch {
    return null;
  }
}

function keyFrom(oldId: string): Buffer {
  return Buffer.from(hkdfSync('sha256', oldId, '', 'session-bouncer moved id', 32));
}
