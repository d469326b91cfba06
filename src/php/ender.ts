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
const LEFT: ReadonlySet<PhpWhy | undefined> = new Set<PhpWhy>(['unknown_key', 'not_opened', 'busy', 'unavailable']);

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
