/** The console within an app: the app says who its people are. */

import type { Actor, Authorized, ConsoleOptions, Desk } from '../desk-ports.ts';
import { isReservedName } from '../domain/actors.ts';
import type { Clock, Log } from '../ports.ts';
import { isRole } from './access.ts';
import { consoleApp } from './app.tsx';
import type { Access, ConsoleBindings } from './env.ts';
import { withQuery } from './paths.ts';

const TEN_MINUTES_MS = 600_000;
const NAME_LENGTH = 128;

export function mountedConsole(
  { authorize, reauthenticateUrl, title, secure }: ConsoleOptions,
  { desk, clock, log }: { readonly desk: Desk; readonly clock: Clock; readonly log: Log },
) {
  const proofs = proofsOf(reauthenticateUrl, log);
  const app = consoleApp({
    desk,
    clock,
    log,
    title,
    authorize: async (request, env) => accessOf(await authorize((env.native ?? request) as object), clock(), proofs),
    reauthenticate: reauthenticateUrl === undefined ? undefined : (back) => withBack(reauthenticateUrl, back),
  });
  return (request: Request, env: ConsoleBindings) => app.fetch(request, { ...env, secure: secure ?? env.secure });
}

function withBack(url: string, back: string): string {
  const [path = '', query = ''] = url.split('?');
  return withQuery(path, { ...Object.fromEntries(new URLSearchParams(query)), back });
}

/** Whatever is not exactly what we ask for is nobody: a mistake must not open the desk. */
function accessOf(said: Authorized, nowMs: number, isFresh: Proofs): Access | null {
  const who = typeof said === 'string' ? { role: said } : said;
  if (typeof who !== 'object' || who === null || !isRole(who.role)) return null;
  const { role, name, provedAtMs } = who as Exclude<Authorized, string | null>;
  const fresh = provedAtMs === undefined || isFresh(provedAtMs, nowMs);
  // Many a user's id is a number: two people must not be one person of the audit for it.
  const given = typeof name === 'number' ? String(name) : name;
  const actor: Actor = { by: typeof given === 'string' && given !== '' ? nameOf(given, role) : role, role };
  return { actor, fresh, csrfKey: null };
}

type Proofs = (provedAtMs: number, nowMs: number) => boolean;

/** Was a proof given lately? Grave acts wait for it; so where it can never come the log says so, once. */
function proofsOf(reauthenticateUrl: string | undefined, log: Log): Proofs {
  const said = new Set<string>();
  const warn = (event: string, message: string) => {
    if (!said.has(event)) log.warn({ event }, message);
    said.add(event);
  };
  return (provedAtMs, nowMs) => {
    // Null or 0 is somebody who never gave one.
    if (provedAtMs !== null && !isTime(provedAtMs, nowMs)) {
      warn(
        'console_proof_unreadable',
        'authorize gave a provedAtMs that is no time: give milliseconds since the epoch',
      );
      return false;
    }
    const isFresh = nowMs - provedAtMs < TEN_MINUTES_MS;
    if (!isFresh && reauthenticateUrl === undefined) {
      warn(
        'console_proof_unrenewable',
        'A proof of identity is too old for grave acts: give reauthenticateUrl, or no provedAtMs',
      );
    }
    return isFresh;
  };
}

/** Not in seconds, which would never be fresh, nor in microseconds, which would always be. */
function isTime(ms: number, nowMs: number): boolean {
  return ms === 0 || (ms > nowMs / 100 && ms < nowMs * 100);
}

/** Your `user` is somebody of the desk; ours is the one whose session it was. */
function nameOf(name: string, role: string): string {
  // Half a letter (a lone surrogate) would come back from Redis as another one, and be another person's name.
  const by = name.slice(0, NAME_LENGTH).replace(/\p{Surrogate}/gu, '\ufffd');
  return isReservedName(by) ? `${by.trim()} (${role})` : by;
}
