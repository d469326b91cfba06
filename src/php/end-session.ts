import type { PhpEnd, PhpWhy } from '../domain/incident.ts';
import type { Log, PhpSessions, Revocation } from '../ports.ts';
import { MAX_SESSION_BYTES, readSession, type SessionFormat } from './session-data.ts';

/** The variable in which the PHP side keeps the login id. */
const LID_FIELD = 'bouncer_lid';

/** Between name and value stand the type and the length of the value. */
const WHOLE_LID = new RegExp(`${LID_FIELD}.{2,8}?([\\w-]{38})(?![\\w-])`, 's');

/** How often one session is read again because a request has written it meanwhile. */
const MAX_ROUNDS = 20;

export interface EndDeps {
  readonly sessions: PhpSessions;
  readonly format: SessionFormat;
  /** The variable that says who is logged in. */
  readonly field: string;
  readonly end: 'null' | 'destroy';
  readonly log: Log;
}

export interface IdEnd {
  readonly outcome: 'revoked' | 'other_login' | 'not_found';
  readonly php: PhpEnd;
}

/** One session, by its id. Throws where it could not be confirmed, and where PHP's Redis is away. */
export async function endSession(id: string, one: Revocation, deps: EndDeps): Promise<IdEnd> {
  const lock = await deps.sessions.lock(id);
  try {
    const end = await endLocked(id, one, deps);
    const isLoose = end.outcome === 'revoked' && !lock.isHeld && end.php.why === undefined;
    return isLoose ? { ...end, php: { ...end.php, why: 'locked' } } : end;
  } finally {
    await lock.release();
  }
}

/** Reads, changes, and reads again, until what is read needs no change: so what is reported was seen. */
async function endLocked(id: string, one: Revocation, deps: EndDeps): Promise<IdEnd> {
  let done: PhpEnd | null = null;
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const data = await deps.sessions.read(id, MAX_SESSION_BYTES);
    const step = judge(data, one.lid, deps);
    if (step.kind === 'stands') {
      if (done !== null && one.again)
        deps.log.info(
          { event: 'php_ended_again', case: one.caseId },
          'A re-check found a live session of this login, and ended it',
        );
      return done === null ? step.end : { outcome: 'revoked', php: done };
    }
    const { how, why, now, read } = step;
    const isDone = now === null ? await deps.sessions.destroy(id, read) : await deps.sessions.replace(id, read, now);
    if (isDone) done = why === undefined ? { how } : { how, why };
  }
  throw new PhpSessionBusy();
}

export class PhpSessionBusy extends Error {
  override readonly name = 'PhpSessionBusy';
}

type Step =
  | { readonly kind: 'stands'; readonly end: IdEnd }
  | {
      readonly kind: 'change';
      readonly how: 'nulled' | 'destroyed';
      readonly why?: PhpWhy | undefined;
      readonly read: Buffer;
      /** Null: it is to be destroyed. */
      readonly now: Buffer | null;
    };

const ABSENT: Step = { kind: 'stands', end: { outcome: 'not_found', php: { how: 'untouched', why: 'absent' } } };
const OTHER: Step = { kind: 'stands', end: { outcome: 'other_login', php: { how: 'untouched' } } };
const ENDED: Step = { kind: 'stands', end: { outcome: 'revoked', php: { how: 'nulled' } } };

/**
 * What is to be done with what stands at an id of this login. Data without a login id are this login's where somebody is
 * logged in with them (the id was noted as its own); where nobody is, its request has not saved yet.
 */
function judge(data: Buffer | null, lid: string, { format, field, end }: EndDeps): Step {
  if (data === null) return ABSENT;
  const destroy = (why?: PhpWhy): Step => ({ kind: 'change', how: 'destroyed', why, read: data, now: null });
  const session = readSession(data, format);
  if (typeof session === 'string') return isOfAnother(data, lid) ? OTHER : destroy(session);
  const owner = session.stringIn(LID_FIELD);
  if (owner !== null && owner !== lid) return OTHER;
  const nulled = session.setToNull(field);
  if (nulled.kind === 'unreadable') return destroy(nulled.why);
  if (nulled.kind !== 'nulled' && owner === null) return ABSENT;
  if (end === 'destroy') return destroy();
  if (nulled.kind === 'missing') return destroy('field_missing');
  if (nulled.kind === 'null_already') return ENDED;
  return { kind: 'change', how: 'nulled', read: data, now: nulled.data };
}

/**
 * Data that cannot be read are another login's only where its whole id can be seen: igbinary keeps strings as they are. LZF cuts
 * them (a run of its literals has 32 bytes at most) and leaves the variable's name, which alone says nothing.
 */
function isOfAnother(data: Buffer, lid: string): boolean {
  const seen = WHOLE_LID.exec(data.toString('latin1'))?.[1];
  return seen !== undefined && seen !== lid && !data.includes(lid);
}
