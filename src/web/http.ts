import { clientAddress, type TrustProxy } from '../domain/forwarded.ts';
import type { Gate, GateAnswer, GateRequest } from './gate.ts';
import type { SessionState } from './session-store.ts';

/** A request, as every framework on Node can tell it. All of it but `peer` is untrusted text. */
export interface HttpRequest {
  readonly method: string;
  /** Path and query, as they came; never a URL that was rewritten by a mounted router. */
  readonly target: string;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  /** The connection's own address. */
  readonly peer: string | undefined;
}

export function headerOf({ headers }: Pick<HttpRequest, 'headers'>, name: string): string {
  const value = headers[name];
  return typeof value === 'string' ? value : (value?.[0] ?? '');
}

/** The client's address, as far as trusted proxies vouch for it. */
export function clientOf({ headers, peer }: Pick<HttpRequest, 'headers' | 'peer'>, trust: TrustProxy) {
  return clientAddress({ peer, headers: headers as Record<string, string | string[] | undefined> }, trust);
}

/** May this request go on? Costs next to nothing for a session that lives. */
export function askGate(gate: Gate, state: SessionState | undefined, http: HttpRequest, trust: TrustProxy): GateAnswer {
  const query = http.target.indexOf('?');
  const path = query === -1 ? http.target : http.target.slice(0, query);
  if (!gate.concerns(state, path)) return 'pass';
  return gate.answer(state, view(http, path, query === -1 ? '' : http.target.slice(query), trust));
}

function view(http: HttpRequest, path: string, search: string, trust: TrustProxy): GateRequest {
  return {
    method: http.method,
    path,
    accept: headerOf(http, 'accept'),
    requestedWith: headerOf(http, 'x-requested-with'),
    userAgent: headerOf(http, 'user-agent'),
    queryCase: new URLSearchParams(search).get('case'),
    address: clientOf(http, trust).address,
  };
}
