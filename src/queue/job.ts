import { z } from 'zod';
import { SEALED_ID } from '../domain/sealed-id.ts';
import type { LoginEvent } from '../domain/types.ts';
import type { SetAsideCode } from '../ports.ts';

/** The payload's version. A worker sets aside what is newer than itself, so: workers are upgraded before web tiers. */
export const PAYLOAD_VERSION = 1;

/** At most this many logins travel in one job. */
export const LOGINS_PER_JOB = 100;

export interface Payload {
  readonly v: typeof PAYLOAD_VERSION;
  readonly logins: readonly LoginEvent[];
  /** How often these logins were put back because each of them failed on its own. */
  readonly returned?: number;
  /** How often these logins, all of which could not be located for want of data, were put back to wait for it. */
  readonly recheck?: number;
}

/** A sealed session id of a PHP site. */
export const sealedIdSchema = z.string().regex(SEALED_ID);

/** `base64url(sha256(...))` and our random ids: letters that need no escaping anywhere, the scripts rely on it. */
export const loginEventSchema = z.object({
  lid: z.string().regex(/^[\w-]{16,64}$/),
  handle: z.string().regex(/^[\w-]{43}$/),
  userId: z.string().min(1).max(256),
  address: z.string().max(64).nullable(),
  addressProblem: z.enum(['no_address', 'invalid_address', 'malformed_forwarding']).optional(),
  loginAtMs: z.int().min(1_000_000_000_000).max(9_999_999_999_999),
  userAgent: z.string().max(512).optional(),
  deviceId: z.string().max(128).optional(),
  listed: z.boolean().optional(),
  signal: z.enum(['session_reused']).optional(),
  php: sealedIdSchema.optional(),
});

const envelopeSchema = z.object({
  v: z.number(),
  logins: z.array(z.unknown()).min(1).max(10_000),
  returned: z.int().min(0).optional(),
  recheck: z.int().min(0).optional(),
});

export interface Malformed {
  readonly code: SetAsideCode;
  /** Position in the job, or null for the whole job. */
  readonly index: number | null;
  readonly field: string | null;
  readonly lid: string | null;
}

export interface Decoded {
  readonly logins: readonly LoginEvent[];
  readonly returned: number;
  readonly recheck: number;
  readonly malformed: readonly Malformed[];
}

export function encodePayload(logins: readonly LoginEvent[], returned = 0, recheck = 0): Payload {
  return {
    v: PAYLOAD_VERSION,
    logins,
    ...(returned === 0 ? {} : { returned }),
    ...(recheck === 0 ? {} : { recheck }),
  };
}

/** Never throws: what cannot be read comes back as `malformed`, each login for itself. */
export function decodePayload(data: unknown): Decoded {
  const envelope = envelopeSchema.safeParse(data);
  if (!envelope.success) return wholeJob('malformed_job', firstField(envelope.error));
  if (envelope.data.v !== PAYLOAD_VERSION) return wholeJob('unknown_version', 'v');
  const logins: LoginEvent[] = [];
  const malformed: Malformed[] = [];
  for (const [index, one] of envelope.data.logins.entries()) {
    const login = loginEventSchema.safeParse(one);
    if (login.success) logins.push(login.data);
    else malformed.push({ code: 'malformed_login', index, field: firstField(login.error), lid: lidOf(one) });
  }
  const { returned = 0, recheck = 0 } = envelope.data;
  return { logins, returned, recheck, malformed };
}

function wholeJob(code: SetAsideCode, field: string | null): Decoded {
  return { logins: [], returned: 0, recheck: 0, malformed: [{ code, index: null, field, lid: null }] };
}

/** The schema's own name of the first wrong field: never a name that came from outside. */
export function firstField(error: z.ZodError): string | null {
  const first = error.issues[0]?.path[0];
  return typeof first === 'string' && first in { ...loginEventSchema.shape, ...envelopeSchema.shape } ? first : null;
}

function lidOf(one: unknown): string | null {
  const lid = typeof one === 'object' && one !== null ? (one as { lid?: unknown }).lid : undefined;
  return loginEventSchema.shape.lid.safeParse(lid).data ?? null;
}
