import { setTimeout as sleep } from 'node:timers/promises';
import type { PhpEnd, PhpWhy } from '../domain/incident.ts';
import { errorName } from '../errors.ts';
import type { Log, PhpIds, PhpSessions, Revocation, RevokeResult, Sessions } from '../ports.ts';
import type { Opened, Seals } from './seal.ts';
import { MAX_SESSION_BYTES, readSession, type SessionFormat } from './session-data.ts';

/** The variable in which the PHP side keeps the login id. */
export const LID_FIELD = 'bouncer_lid';

export interface PhpEnderDeps {
  readonly ids: PhpIds;
  readonly sessions: PhpSessions;
  readonly seals: Seals;
  readonly format: SessionFormat;
  /** The variable that says who is logged in. */
  readonly field: string;
  readonly end: 'null' | 'destroy';
  readonly log: Log;
  /** The login's own request may still be running: looked for once more after each of these. */
  readonly retryDelaysMs?: readonly number[] | undefined;
}

const RETRY_DELAYS_MS: readonly number[] = [50, 100, 200, 400];

/** Sessions of one login that are ended at the same time. */
const CHUNK = 20;

/** How often one session is read again because a request has written it meanwhile. */
const MAX_ROUNDS = 20;

/**
 * Ends the sessions that PHP keeps, too. The order is the ender's (see redis/ender): the login's mark first, which the inner
 * sessions write; then the event's own id and every id of the index; the index again, until it holds nothing new. PHP
 * notes an id there, then reads the mark, then saves. What a running request still writes back, the re-checks end again.
 */
export function endingPhp(inner: Sessions, deps: PhpEnderDeps): Sessions {
  return {
    async revoke(revocations) {
      const results = await inner.revoke(revocations);
      return Promise.all(revocations.map((one, i) => withPhp(one, results[i] ?? new Error('no reply'), deps)));
    },
  };
}

/** Where no keys are configured: nobody's session is ended, and it is said. */
export function withoutPhp(inner: Sessions, log: Log): Sessions {
  return {
    async revoke(revocations) {
      const results = await inner.revoke(revocations);
      return results.map((result, i) => {
        const one = revocations[i];
        if (result instanceof Error || one?.php === undefined) return result;
        log.error(
          { event: 'php_not_configured', case: one.caseId },
          'A login at a PHP site cannot be ended: this worker has no phpKeys',
        );
        return { ...result, php: { how: 'untouched', why: 'not_configured' } };
      });
    },
  };
}

async function withPhp(one: Revocation, result: RevokeResult | Error, deps: PhpEnderDeps) {
  if (result instanceof Error || result.lifted) return result;
  try {
    return merged(result, await endLogin(one, deps));
  } catch (error) {
    return error instanceof Error ? error : new Error('php revoke failed');
  }
}

interface IdEnd {
  readonly outcome: 'revoked' | 'other_login' | 'not_found';
  readonly php: PhpEnd;
}

/** A re-check does not wait: another one follows. */
async function endLogin(one: Revocation, deps: PhpEnderDeps): Promise<readonly IdEnd[]> {
  let ends = await endAll(one, deps);
  if (one.again) return ends;
  for (const delayMs of deps.retryDelaysMs ?? RETRY_DELAYS_MS) {
    const isComing = ends.some(({ php }) => php.why === 'absent') && ends.every((end) => end.outcome === 'not_found');
    if (!isComing) break;
    await sleep(delayMs);
    ends = await endAll(one, deps);
  }
  return ends;
}

async function endAll(one: Revocation, deps: PhpEnderDeps): Promise<readonly IdEnd[]> {
  const ends = new Map<string, IdEnd>();
  for (;;) {
    const indexed = Object.entries(await deps.ids.of(one.lid));
    const all = one.php === undefined ? indexed : [...indexed, [one.handle, one.php] as const];
    const todo = [...new Map(all.filter(([handle]) => !ends.has(handle)))];
    if (todo.length === 0) return [...ends.values()];
    for (let from = 0; from < todo.length; from += CHUNK) {
      const chunk = todo.slice(from, from + CHUNK);
      const results = await Promise.all(chunk.map(([, sealed]) => endSealed(sealed, one, deps)));
      for (const [i, [handle]] of chunk.entries()) ends.set(handle, results[i] as IdEnd);
    }
  }
}

async function endSealed(sealed: string, one: Revocation, deps: PhpEnderDeps): Promise<IdEnd> {
  const opened: Opened = deps.seals.open(sealed, one.lid);
  if ('id' in opened) return endId(opened.id, one, deps);
  const { why } = opened;
  deps.log.error(
    { event: 'php_id_not_opened', why, case: one.caseId, own: sealed === one.php },
    'A sealed PHP session id could not be opened; its session was not ended',
  );
  return { outcome: 'not_found', php: { how: 'untouched', why } };
}

/**
 * Where PHP's Redis is away the login is not held up: its mark stands, its incident says so, and its re-checks, which fail
 * until they get through, do the rest.
 */
async function endId(id: string, one: Revocation, deps: PhpEnderDeps): Promise<IdEnd> {
  try {
    return await endAlone(id, one, deps);
  } catch (error) {
    if (one.again) throw error;
    const why = error instanceof PhpSessionBusy ? 'busy' : 'unavailable';
    deps.log.error(
      { event: 'php_unavailable', why, case: one.caseId, error: errorName(error) },
      'A PHP session could not be ended yet; the re-checks try again',
    );
    return { outcome: 'not_found', php: { how: 'untouched', why } };
  }
}

async function endAlone(id: string, one: Revocation, deps: PhpEnderDeps): Promise<IdEnd> {
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
async function endLocked(id: string, one: Revocation, deps: PhpEnderDeps): Promise<IdEnd> {
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

class PhpSessionBusy extends Error {
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
function judge(data: Buffer | null, lid: string, { format, field, end }: PhpEnderDeps): Step {
  if (data === null) return ABSENT;
  const destroy = (why?: PhpWhy): Step => ({ kind: 'change', how: 'destroyed', why, read: data, now: null });
  const session = readSession(data, format);
  // Names and strings stand in igbinary as they are, and in whatever else is not compressed.
  if (typeof session === 'string') return data.includes(LID_FIELD) && !data.includes(lid) ? OTHER : destroy(session);
  const owner = session.stringIn(LID_FIELD);
  if (owner !== null && owner !== lid) return OTHER;
  const nulled = session.setToNull(field);
  if (nulled.kind !== 'nulled' && owner === null) return ABSENT;
  if (end === 'destroy') return destroy();
  if (nulled.kind === 'missing') return destroy('field_missing');
  if (nulled.kind === 'null_already') return ENDED;
  return { kind: 'change', how: 'nulled', read: data, now: nulled.data };
}

/** One session that was ended makes it `revoked`; of several, what was unusual is told. */
function merged(result: RevokeResult, ends: readonly IdEnd[]): RevokeResult {
  const of = (outcome: IdEnd['outcome']) => ends.filter((end) => end.outcome === outcome);
  const revoked = of('revoked');
  const told = revoked.find(({ php }) => php.why !== undefined) ?? revoked[0] ?? of('other_login')[0] ?? ends[0];
  if (told === undefined) return result;
  const isEnded = result.outcome === 'revoked' || result.outcome === 'already_revoked';
  if (isEnded) return { ...result, php: told.php };
  return { outcome: told.outcome, atMs: told.outcome === 'other_login' ? 0 : result.atMs, php: told.php };
}
