import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { SEALED_ID } from '../domain/sealed-id.ts';
import { BouncerError } from '../errors.ts';

/**
 * A PHP session id on its way through the queue: `v1.<key id>.<iv>.<text and tag>`, AES-256-GCM (NIST SP 800-38D) with the
 * login id as associated data, so that it opens for no other login. Only PHP and the worker have the keys.
 */
export interface Seals {
  /** With the first key. */
  seal(id: string, lid: string): string;
  open(sealed: string, lid: string): Opened;
}

/** `unknown_key`: sealed with a key that is not configured here. `not_opened`: another key of that name, login or text. */
export type Opened = { readonly id: string } | { readonly why: 'unknown_key' | 'not_opened' };

/** By key id, 32 bytes each in base64. */
export type SealKeys = Readonly<Record<string, string>>;

export const KEY_ID = /^[\w-]{1,32}$/;
/** What `session_create_id` may give; nothing else is put behind a prefix to make a key. */
const SESSION_ID = /^[A-Za-z0-9,-]{16,256}$/;
const TAG_BYTES = 16;

/** Throws BouncerError `option_invalid`. */
export function sealsOf(keys: SealKeys): Seals {
  const byId = new Map(Object.entries(keys).map(([id, text]) => [id, keyOf(id, text)]));
  const [first] = byId;
  if (first === undefined) throw new BouncerError('option_invalid', 'php.keys: give at least one key');
  return {
    seal(id, lid) {
      const [keyId, key] = first;
      const iv = randomBytes(12);
      const cipher = createCipheriv('aes-256-gcm', key, iv).setAAD(Buffer.from(lid));
      const text = Buffer.concat([cipher.update(id, 'utf8'), cipher.final(), cipher.getAuthTag()]);
      return `v1.${keyId}.${iv.toString('base64url')}.${text.toString('base64url')}`;
    },
    open(sealed, lid) {
      const [, keyId = '', iv = '', text = ''] = SEALED_ID.exec(sealed) ?? [];
      const key = byId.get(keyId);
      if (key === undefined) return { why: keyId === '' ? 'not_opened' : 'unknown_key' };
      const id = opened(key, Buffer.from(iv, 'base64url'), Buffer.from(text, 'base64url'), lid);
      return id !== null && SESSION_ID.test(id) ? { id } : { why: 'not_opened' };
    },
  };
}

function keyOf(id: string, text: string): Buffer {
  const key = Buffer.from(text, 'base64');
  if (KEY_ID.test(id) && key.length === 32) return key;
  throw new BouncerError(
    'option_invalid',
    'php.keys: give 32 random bytes in base64 by a name of 1 to 32 letters, digits, - and _',
  );
}

function opened(key: Buffer, iv: Buffer, textAndTag: Buffer, lid: string): string | null {
  try {
    const decipher = createDecipheriv('aes-256-gcm', key, iv, { authTagLength: TAG_BYTES });
    decipher.setAAD(Buffer.from(lid)).setAuthTag(textAndTag.subarray(-TAG_BYTES));
    return Buffer.concat([decipher.update(textAndTag.subarray(0, -TAG_BYTES)), decipher.final()]).toString('utf8');
  } catch {
    return null;
  }
}
