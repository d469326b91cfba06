/** Standard Webhooks, the receiver's side: who sent this, and when? Node's own HMAC: it runs on every request. */

import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { Refused } from './answers.ts';
import type { Maker } from './schema.ts';

/** A message is refused when its time is farther away than this. */
export const WINDOW_SECONDS = 300;

/** A message whose time is ahead is good for twice the window; a little longer, its id is remembered. */
export const REMEMBER_MS = (2 * WINDOW_SECONDS + 60) * 1000;

/** Long enough that nobody counts 1, 2, 3: two senders would take each other's messages of one body for repeats. */
const ID = /^[\w.~-]{16,128}$/;
/** HMAC-SHA-256 in base64. */
const SIGNATURE = /^v1,([A-Za-z0-9+/]{43}=)$/;
/** More than any sender that changes its secret over needs. */
const MAX_SIGNATURES = 10;

export interface Signed {
  readonly id: string;
  readonly atSeconds: string;
  readonly signatures: readonly Buffer[];
}

/** The headers alone: cheap, and before anything of the body is read. Throws Refused. */
export function readSignature(headers: Headers, nowMs: number): Signed {
  const id = headers.get('webhook-id') ?? '';
  const atSeconds = headers.get('webhook-timestamp') ?? '';
  const texts = (headers.get('webhook-signature') ?? '').split(' ').slice(0, MAX_SIGNATURES);
  const signatures = texts.flatMap((text) => {
    const base64 = SIGNATURE.exec(text)?.[1];
    return base64 === undefined ? [] : [Buffer.from(base64, 'base64')];
  });
  if (!ID.test(id) || !/^\d{1,12}$/.test(atSeconds) || signatures.length === 0) throw new Refused('signature_missing');
  // The whole second that both sides are in.
  const awaySeconds = Math.abs(Math.floor(nowMs / 1000) - Number(atSeconds));
  if (awaySeconds > WINDOW_SECONDS) throw new Refused('timestamp_refused');
  return { id, atSeconds, signatures };
}

/** The key of a secret `whsec_<base64>`. */
export function keyOf(secret: string): Buffer {
  return Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
}

/** Which of our keys signed it; -1: none. Takes the same time wherever a signature differs. */
export function signer({ id, atSeconds, signatures }: Signed, body: Uint8Array, keys: readonly Buffer[]): number {
  return keys.findIndex((key) => {
    const wanted = createHmac('sha256', key).update(`${id}.${atSeconds}.`).update(body).digest();
    return signatures.some((given) => given.length === wanted.length && timingSafeEqual(given, wanted));
  });
}

/**
 * Stands for the message in our keys and in the answer: letters that a queue takes as a job's id. Of its body too: another
 * body under an id that was used is another message, whose logins would be lost if it passed for a repeat.
 */
export function eventId(webhookId: string, body: string | Uint8Array): string {
  const hash = createHash('sha256').update(`ingest:${webhookId}:`).update(body);
  return `in-${hash.digest('base64url').slice(0, 32)}`;
}

/**
 * Ids for a message that brings none. Random to all others, who do not have the key; the same when the message comes again,
 * so that a repeat's answer names what was queued. (But for one that was signed with another key of ours in between.)
 */
export function makerFor(eventId: string, key: Buffer): Maker {
  const of = (what: string) => createHmac('sha256', key).update(`${what}:${eventId}`).digest('base64url');
  return {
    // 16 letters for the user and 22 random ones: the keys of redis/keys rely on this form.
    lid: (userId, index) =>
      createHash('sha256').update(userId).digest('base64url').slice(0, 16) + of(`lid:${index}`).slice(0, 22),
    handle: (index) => of(`handle:${index}`),
  };
}
