import { setTimeout as sleep } from 'node:timers/promises';
import type { PhpWhy } from '../domain/incident.ts';
import { errorName } from '../errors.ts';
import type { Log, PhpIds, Revocation, RevokeResult, Sessions } from '../ports.ts';
import { type EndDeps, endSession, type IdEnd, PhpSessionBusy } from './end-session.ts';
import type { Opened, Seals } from './seal.ts';

export interface PhpEnderDeps extends EndDeps {
  readonly ids: PhpIds;
  readonly seals: Seals;
  /** The login's own request may still be running: looked for once more after each of these. */
  readonly retryDelaysMs?: readonly number[] | undefined;
}

const RETRY_DELAYS_MS: readonly number[] = [50, 100, 200, 400];

/** Sessions of one login that are ended at the same time. */
const CHUNK = 20;

/** What a batch of logins waits for. A login gets an id whenever its site regenerates: a loop there makes thousands. */
const MAX_IDS_AT_ONCE = 1000;

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
        if (result instanceof Error || (one?.php === undefined && !one?.handedOver)) return result;
        log.error(
          { event: 'php_not_configured', case: one.caseId },
          'A login at a PHP site cannot be ended: this worker has no phpKeys',
        );
        return { ...result, php: { how: 'untouched', why: 'not_configured' } };
      });
    },
  };
}

async function withPhp(one: Revocation, ended: RevokeResult | Error, deps: PhpEnderDeps) {
  if (ended instanceof Error || ended.lifted) return ended;
  const { hasPhpIds: _, ...result } = ended;
  try {
    return merged(result, await endLogin(one, deps));
  } catch (error) {
    return error instanceof Error ? error : new Error('php revoke failed');
  }
}

/** By handle. */
type Ends = Map<string, IdEnd>;

/** A re-check does not wait: another one follows. */
async function endLogin(one: Revocation, deps: PhpEnderDeps): Promise<readonly IdEnd[]> {
  const ends: Ends = new Map();
  await endAll(one, ends, deps);
  if (one.again) await forgetAbsent(one, ends, deps);
  else await endLate(one, ends, deps);
  return [...ends.values()];
}

/** Its own id, a few others, and what has been noted meanwhile: the batch waits for this, so it is not for all. */
async function endLate(one: Revocation, ends: Ends, deps: PhpEnderDeps): Promise<void> {
  for (const delayMs of deps.retryDelaysMs ?? RETRY_DELAYS_MS) {
    const absent = absentOf(ends);
    if (absent.length === 0 || [...ends.values()].some((end) => end.outcome !== 'not_found')) return;
    await sleep(delayMs);
    const own = absent.filter((handle) => handle === one.handle);
    for (const handle of [...own, ...absent.slice(-CHUNK)]) ends.delete(handle);
    await endAll(one, ends, deps);
  }
}

/**
 * After the last re-check no request still runs that could save them. Where none at all was found we may be looking in the
 * wrong place: then they stay, so that the login can be ended once that is mended.
 */
async function forgetAbsent(one: Revocation, ends: Ends, { ids }: PhpEnderDeps): Promise<void> {
  const absent = absentOf(ends);
  if (one.last && absent.length > 0 && [...ends.values()].some((end) => end.outcome !== 'not_found')) {
    await ids.forget(one.lid, absent);
  }
}

function absentOf(ends: Ends): string[] {
  return [...ends].filter(([, { php }]) => php.why === 'absent').map(([handle]) => handle);
}

const UNAVAILABLE: IdEnd = { outcome: 'not_found', php: { how: 'untouched', why: 'unavailable' } };
const TOO_MANY: IdEnd = { outcome: 'not_found', php: { how: 'untouched', why: 'too_many' } };

/** Until the index holds nothing new, or as many have been looked at as a batch may wait for. */
async function endAll(one: Revocation, ends: Ends, deps: PhpEnderDeps): Promise<void> {
  const most = one.again ? Number.POSITIVE_INFINITY : MAX_IDS_AT_ONCE;
  for (;;) {
    const todo = (await idsOf(one, deps)).filter(([handle]) => !ends.has(handle));
    if (todo.length === 0) return;
    const room = Math.max(0, most - ends.size);
    await endThese(todo.slice(0, room), one, ends, deps);
    const rest = todo.slice(room);
    if (rest.length === 0) continue;
    for (const [handle] of rest) ends.set(handle, TOO_MANY);
    const fields = { event: 'php_too_many_ids', case: one.caseId, left: rest.length };
    deps.log.warn(fields, 'A login at a PHP site has had very many ids; the re-checks end the rest');
    return;
  }
}

/** The event's own first: the thief holds it. */
async function idsOf({ lid, handle, php }: Revocation, { ids }: PhpEnderDeps): Promise<[string, string][]> {
  const indexed = Object.entries(await ids.of(lid));
  return php === undefined ? indexed : [[handle, php], ...indexed.filter(([other]) => other !== handle)];
}

/** One that stays busy does not keep the others from their end; it is told after them. */
async function endThese(todo: readonly [string, string][], one: Revocation, ends: Ends, deps: PhpEnderDeps) {
  let busy: unknown = null;
  for (let from = 0; from < todo.length; from += CHUNK) {
    const chunk = todo.slice(from, from + CHUNK);
    const results = await Promise.allSettled(chunk.map(([, sealed]) => endSealed(sealed, one, deps)));
    for (const [i, [handle]] of chunk.entries()) {
      const result = results[i];
      if (result?.status === 'fulfilled') ends.set(handle, result.value);
      else if (result?.reason instanceof PhpSessionBusy) busy = result.reason;
      else throw result?.reason;
    }
    // PHP's Redis is away: the batch does not wait for it once for every twenty.
    if (chunk.every(([handle]) => ends.get(handle)?.php.why === 'unavailable')) {
      for (const [handle] of todo.slice(from + CHUNK)) ends.set(handle, UNAVAILABLE);
      break;
    }
  }
  if (busy !== null) throw busy;
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
    return await endSession(id, one, deps);
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

/** What keeps an id from its end while it may live: the login has not ended everywhere. */
const LEFT: ReadonlySet<PhpWhy | undefined> = new Set<PhpWhy>([
  'unknown_key',
  'not_opened',
  'busy',
  'unavailable',
  'too_many',
]);

/** One session that was ended makes it `revoked`; of several, what is left comes first, then what was unusual. */
function merged(result: RevokeResult, ends: readonly IdEnd[]): RevokeResult {
  const of = (outcome: IdEnd['outcome']) => ends.filter((end) => end.outcome === outcome);
  const left = ends.filter(({ php }) => LEFT.has(php.why));
  const revoked = of('revoked').find(({ php }) => php.why !== undefined) ?? of('revoked')[0];
  const told = revoked ?? left[0] ?? of('other_login')[0] ?? ends[0];
  if (told === undefined) return result;
  const isPart = revoked !== undefined && left.length > 0;
  const php = isPart ? { how: revoked.php.how, why: left[0]?.php.why, left: left.length } : told.php;
  const isEnded = result.outcome === 'revoked' || result.outcome === 'already_revoked';
  if (isEnded) return { ...result, php };
  return { outcome: told.outcome, atMs: told.outcome === 'other_login' ? 0 : result.atMs, php };
}
