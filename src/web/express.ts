import { clientAddress, type TrustProxy } from '../domain/forwarded.ts';
import type { Log } from '../ports.ts';
import type { Gate, GateAnswer, GateRequest } from './gate.ts';
import { isBouncerStore, type SessionState } from './session-store.ts';

/** What we use of an Express (4 or 5) request; structural, so that nothing of Express is imported. */
export interface ExpressRequest {
  method: string;
  url: string;
  originalUrl?: string;
  headers: Record<string, string | string[] | undefined>;
  socket: { remoteAddress?: string | undefined };
  sessionID?: string;
  session?: unknown;
  sessionStore?: unknown;
}

export interface ExpressResponse {
  statusCode: number;
  setHeader(name: string, value: string | readonly string[]): unknown;
  getHeader(name: string): number | string | string[] | undefined;
  end(body?: string): unknown;
}

/** Express's middleware. */
export function expressGate(gate: Gate, trust: TrustProxy, log: Log) {
  let warned = false;
  return (req: ExpressRequest, res: ExpressResponse, next: (error?: unknown) => void): void => {
    const store = req.sessionStore;
    if (!isBouncerStore(store)) {
      if (!warned)
        log.error(
          { event: 'gate_without_store' },
          'The gate sees no session of our store: mount it after session({ store })',
        );
      warned = true;
      return next();
    }
    const state = store.stateOf(req);
    const target = req.originalUrl ?? req.url;
    const query = target.indexOf('?');
    const path = query === -1 ? target : target.slice(0, query);
    if (!gate.concerns(state, path)) return next();
    const search = query === -1 ? '' : target.slice(query);
    const answer = gate.answer(state, view(req, path, search, trust));
    if (answer === 'pass') return next();
    send(req, res, answer, state);
  };
}

function view(req: ExpressRequest, path: string, search: string, trust: TrustProxy): GateRequest {
  return {
    method: req.method,
    path,
    accept: header(req, 'accept'),
    requestedWith: header(req, 'x-requested-with'),
    userAgent: header(req, 'user-agent'),
    queryCase: new URLSearchParams(search).get('case'),
    address: addressOf(req, trust).address,
  };
}

/** The client's address, as far as trusted proxies vouch for it. */
export function addressOf(req: Pick<ExpressRequest, 'headers' | 'socket'>, trust: TrustProxy) {
  return clientAddress({ peer: req.socket.remoteAddress, headers: req.headers }, trust);
}

export function header(req: ExpressRequest, name: string): string {
  const value = req.headers[name];
  return typeof value === 'string' ? value : (value?.[0] ?? '');
}

function send(
  req: ExpressRequest,
  res: ExpressResponse,
  answer: Exclude<GateAnswer, 'pass'>,
  state: SessionState | undefined,
): void {
  res.statusCode = answer.status;
  for (const [name, value] of Object.entries(answer.headers)) res.setHeader(name, value);
  const clear = answer.clearCookie && state?.revoked ? clearedCookie(req, state.revoked.sessionId) : null;
  if (clear !== null) {
    const before = res.getHeader('Set-Cookie');
    res.setHeader('Set-Cookie', [...(Array.isArray(before) ? before : before ? [String(before)] : []), clear]);
  }
  res.end(answer.body);
}

interface CookieAttributes {
  path?: string | null;
  domain?: string | null;
  secure?: boolean | 'auto';
  httpOnly?: boolean;
  sameSite?: boolean | string;
  partitioned?: boolean;
}

/**
 * RFC 6265, 4.1.2: a cookie is cleared only under the name, Domain and Path it was set with. The name is the one under
 * which this request brought the session id; the attributes are those of the fresh session that took its place.
 */
function clearedCookie(req: ExpressRequest, sessionId: string): string | null {
  const name = cookieName(header(req, 'cookie'), sessionId);
  if (name === null) return null;
  const { cookie = {} } = (req.session ?? {}) as { cookie?: CookieAttributes };
  const { sameSite } = cookie;
  const parts = [`${name}=`, `Path=${cookie.path ?? '/'}`, 'Expires=Thu, 01 Jan 1970 00:00:00 GMT'];
  if (cookie.domain) parts.push(`Domain=${cookie.domain}`);
  if (cookie.httpOnly !== false) parts.push('HttpOnly');
  if (cookie.secure) parts.push('Secure');
  if (cookie.partitioned) parts.push('Partitioned');
  if (sameSite) parts.push(`SameSite=${sameSite === true ? 'Strict' : capitalised(sameSite)}`);
  return parts.join('; ');
}

function capitalised(word: string): string {
  return word.slice(0, 1).toUpperCase() + word.slice(1).toLowerCase();
}

function cookieName(cookies: string, sessionId: string): string | null {
  for (const pair of cookies.split(';')) {
    const equals = pair.indexOf('=');
    if (equals > 0 && decoded(pair.slice(equals + 1).trim()).includes(sessionId)) return pair.slice(0, equals).trim();
  }
  return null;
}

function decoded(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}
