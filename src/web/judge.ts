import type { EndMark, Logins } from '../ports.ts';
import type { AdapterDeps } from './adapter.ts';
import { askGate, type HttpRequest } from './http.ts';
import { isLogout } from './moved.ts';
import { RequestSession } from './request-session.ts';
import type { SessionState } from './session-store.ts';

/** A request of an app that keeps its sessions itself: it names the session, or only the login. */
export interface JudgedRequest extends Omit<HttpRequest, 'peer'> {
  readonly peer?: string | undefined;
  /** The id from the cookie, its signature checked, of a session in our store. */
  readonly sessionId?: string | undefined;
  /** Or the login that the app's own session (a signed cookie, a token) belongs to: what `reportLogin` returned. */
  readonly lid?: string | undefined;
  /**
   * With `lid`: when that login began, milliseconds since the epoch, as the app's own session says. With it, `endAll` of its
   * user ends this login too; without, only an end of the very login does.
   */
  readonly loginAtMs?: number | undefined;
}

export type Judgement =
  /** Go on. `lid` and `data` are '' and null where no session lives. */
  | { readonly action: 'pass'; readonly lid: string; readonly data: Readonly<Record<string, unknown>> | null }
  /** Answer with this, run no handler, and clear the session cookie where it says so. */
  | {
      readonly action: 'answer';
      readonly status: number;
      readonly headers: Readonly<Record<string, string>>;
      readonly body: string;
      readonly clearCookie: boolean;
    };

/** The gate for any framework: one GET, then the verdict. Never throws. */
export async function judge(request: JudgedRequest, deps: AdapterDeps & { logins: Logins }): Promise<Judgement> {
  // Its caller is not told of a new id, so none is given.
  const session = new RequestSession(deps.engine, false);
  let data: Record<string, unknown> | null = null;
  let { state, lid } = { state: undefined as SessionState | undefined, lid: '' };
  // Without a cookie many an app has null, or nothing at all: nobody is logged in then.
  if (typeof request.sessionId === 'string') {
    const loaded = await session.load(request.sessionId);
    if (loaded.kind === 'live') data = loaded.data;
    state = session.state;
    lid = session.entry?.head.lid ?? '';
  } else if (typeof request.lid === 'string') {
    const mark = await markOf(request.lid, request.loginAtMs, deps.logins);
    state = stateOf(request.lid, mark);
    lid = mark === null && !deps.engine.isLeaving(request.lid) ? request.lid : '';
  }
  const answer = askGate(deps.gate, state, httpOf(request), deps.trust);
  return answer === 'pass' ? { action: 'pass', lid, data } : { action: 'answer', ...answer };
}

/** An app without types may leave something out: a login that has ended has ended all the same. */
function httpOf({ method, target, headers, peer }: Partial<JudgedRequest>): HttpRequest {
  return { method: method ?? 'GET', target: target ?? '/', headers: headers ?? {}, peer };
}

async function markOf(lid: string, loginAtMs: unknown, logins: Logins): Promise<EndMark | null | 'away'> {
  // What is no time is as old as can be.
  const beganMs = typeof loginAtMs === 'number' && loginAtMs > 0 ? loginAtMs : 0;
  try {
    return await logins.endMark(lid, loginAtMs === undefined ? undefined : beganMs);
  } catch {
    return 'away';
  }
}

function stateOf(lid: string, mark: EndMark | null | 'away'): SessionState | undefined {
  if (mark === 'away') return { unavailable: true };
  if (mark === null || isLogout(mark.reason)) return undefined;
  return { revoked: { tombstone: { kind: 'revoked', lid, ...mark }, sessionId: '' } };
}
