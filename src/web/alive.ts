import { BouncerError, errorName, sessionUnavailable } from '../errors.ts';
import type { Entry, SessionEngine } from './engine.ts';
import { guardedRequest } from './guard-context.ts';
import type { RequestPorts } from './request-session.ts';
import { isBouncerStore, type SessionState } from './session-store.ts';

interface ExpressLike {
  readonly session?: object | null;
  readonly sessionStore?: unknown;
}

/**
 * Has the session of this request ended since the gate let it pass? For handlers that do something which cannot be undone.
 * One GET; none for a session without a login that was never stored. Throws `session_ended`, or `session_unavailable`
 * where Redis cannot be asked.
 */
export async function assertNotRevoked(request: object, engine: SessionEngine, ports: RequestPorts): Promise<void> {
  const { state, entry } = find(request, ports);
  const ended = state?.revoked !== undefined || (entry !== null && (await ask(entry, engine)));
  if (ended)
    throw new BouncerError(
      'session_ended',
      'This session has ended while the request ran; send the user to the login page',
    );
  if (state?.unavailable) throw away();
}

function find(request: object, ports: RequestPorts): { state: SessionState | undefined; entry: Entry | null } {
  const port = ports.get(request);
  if (port !== undefined) return { state: port.session.state, entry: port.session.entry };
  const guarded = guardedRequest(request);
  if (guarded?.isOurs) return { state: guarded.state, entry: guarded.entry() };
  const { session, sessionStore } = request as ExpressLike;
  if (!isBouncerStore(sessionStore)) {
    throw new BouncerError('session_missing', 'assertNotRevoked: this request has no session of ours');
  }
  return { state: sessionStore.stateOf(request), entry: session ? sessionStore.entryOf(session) : null };
}

async function ask(entry: Entry, engine: SessionEngine): Promise<boolean> {
  if (entry.blocked !== null && entry.blocked !== 'unavailable') return true;
  try {
    return await engine.hasEnded(entry);
  } catch (error) {
    throw away(errorName(error));
  }
}

function away(cause?: string): BouncerError {
  return sessionUnavailable('The session store is away: answer 503', cause ? { cause } : undefined);
}
