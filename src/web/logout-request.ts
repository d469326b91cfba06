import { BouncerError } from '../errors.ts';
import type { SessionEngine } from './engine.ts';
import type { StockGuard } from './guard.ts';
import { guardedRequest } from './guard-context.ts';
import { sessionHandle } from './handle.ts';
import type { RequestPorts } from './request-session.ts';
import { isBouncerStore } from './session-store.ts';
import { idProblem } from './strict-id.ts';

/** Of an app that keeps its sessions itself, and asks `bouncer.judge` by the same. */
export interface LogoutOfJudged {
  readonly sessionId?: string | undefined;
  readonly lid?: string | undefined;
}

export interface LogoutRequestDeps {
  readonly engine: SessionEngine;
  readonly ports: RequestPorts;
  readonly guard: StockGuard;
  readonly idPattern: RegExp;
}

const LID = /^[\w-]{16,64}$/;

/** See `bouncer.logout`. */
export async function logoutRequest(request: object, deps: LogoutRequestDeps): Promise<void> {
  const port = deps.ports.get(request);
  if (port !== undefined) return port.logOut();
  const guarded = guardedRequest(request);
  if (guarded?.isOurs) return deps.guard.logOut(guarded);
  const { sessionStore } = request as { sessionStore?: unknown };
  if (isBouncerStore(sessionStore)) return sessionStore.logOut(request);
  return logoutJudged(request, deps);
}

async function logoutJudged(
  { sessionId, lid }: LogoutOfJudged,
  { engine, idPattern }: LogoutRequestDeps,
): Promise<void> {
  // What we cannot have issued is nobody's session; and who is not logged in has no login to end.
  if (typeof sessionId === 'string') {
    if (idProblem(sessionId, idPattern) === null) await engine.logout(sessionHandle(sessionId));
    return;
  }
  if (lid === '') return;
  if (typeof lid !== 'string') {
    throw new BouncerError(
      'session_missing',
      'logout: no session of ours on this request; or give { sessionId } or { lid }',
    );
  }
  if (!LID.test(lid)) throw new BouncerError('option_invalid', 'lid: give the login id that reportLogin returned');
  // Its ids stand in its index. The handle is that of no session: a login that has none is ended by its mark alone.
  await engine.logout(sessionHandle(lid), lid);
}
