import type { Redis } from 'ioredis';
import { z } from 'zod';
import type { EndReason, RevocationNotice } from '../ports.ts';
import type { Keys } from './keys.ts';

/** A login with more ids than this is told by its lid; who goes by handle must read the index. */
const MAX_HANDLES = 1000;

/** Of one message, in letters: what is longer is none of ours. */
const MAX_MESSAGE = 100_000;

/** What travels. `repeat`: a re-check that found the revocation standing; who heard of it before need not again. */
export interface Told extends RevocationNotice {
  readonly repeat: boolean;
}

const toldSchema = z.object({
  lid: z.string().regex(/^[\w-]{16,64}$/),
  handles: z.array(z.string().regex(/^[\w-]{43}$/)).max(MAX_HANDLES),
  reason: z.string().regex(/^[a-z_]{1,40}$/),
  caseId: z.string().regex(/^[\w-]{1,40}$/),
  atMs: z.int().min(1),
  repeat: z.boolean().default(false),
});

/**
 * Tells every web process that a login has ended: after the commit, so that whoever hears it finds the mark. One PUBLISH
 * (which a Cluster hands to all its nodes), kept by nobody: at most once. The mark in Redis is the truth, this is the
 * news; subscribers that may have missed some look the marks up (see subscriber.ts).
 */
export async function publishRevoked(redis: Redis, keys: Keys, told: Told): Promise<void> {
  const handles = told.handles.slice(0, MAX_HANDLES);
  await redis.publish(keys.revokedChannel(), JSON.stringify({ ...told, handles }));
}

/** Null where it is not a message of ours: anybody who may use this Redis may write to the channel. */
export function parseTold(message: string): Told | null {
  if (message.length > MAX_MESSAGE) return null;
  try {
    const told = toldSchema.safeParse(JSON.parse(message));
    return told.success ? { ...told.data, reason: told.data.reason as EndReason } : null;
  } catch {
    return null;
  }
}
