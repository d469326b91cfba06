import { guardedRequest } from './guard-context.ts';
import type { RequestPorts } from './request-session.ts';
import { isBouncerStore } from './session-store.ts';

/** The login of the session that a request has. */
export interface RequestLogin {
  /** '' for an anonymous session. */
  readonly lid: string;
  /** The session was ended before. */
  readonly revoked: boolean;
}

/** Whose request it is, by our store, by a guarded stock store, by a framework's adapter; null where none of them knows it. */
export function whose(request: object, ports: RequestPorts): RequestLogin | null {
  return inStore(request) ?? underGuard(request) ?? inAdapter(request, ports);
}

function inStore(request: object): RequestLogin | null {
  const { sessionStore: store, session } = request as { sessionStore?: unknown; session?: object };
  if (!isBouncerStore(store)) return null;
  return { lid: store.lidOf(session), revoked: store.stateOf(request)?.revoked !== undefined };
}

function underGuard(request: object): RequestLogin | null {
  const guarded = guardedRequest(request);
  return guarded ? { lid: guarded.lid(), revoked: guarded.state?.revoked !== undefined } : null;
}

function inAdapter(request: object, ports: RequestPorts): RequestLogin | null {
  const session = ports.get(request)?.session;
  return session ? { lid: session.entry?.head.lid ?? '', revoked: session.state?.revoked !== undefined } : null;
}
