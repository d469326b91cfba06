/** What the gate must know of a request: framework-free, so that an adapter is a few lines. Untrusted text. */
export interface RequestView {
  readonly method: string;
  /** Path without the query, as it came. */
  readonly path: string;
  readonly accept: string;
  readonly requestedWith: string;
}

export interface GateRules {
  /** Where a bounced page request is sent; always reachable itself. */
  readonly gotchaPath: string;
  /** Reachable with an ended session, on a fresh anonymous one: exact paths, or prefixes that end in `/`. */
  readonly openPaths: readonly string[];
}

/** `pass`: go on. `page`: 303 to the gotcha page. `api`: 401 with a code, for XHR and JSON clients. */
export type Verdict = 'pass' | 'page' | 'api';

/** May this request of a revoked session go on? Everything but the open routes is refused. */
export function judgeRevoked(request: RequestView, rules: GateRules): Verdict {
  if (isOpen(request.path, rules)) return 'pass';
  return wantsPage(request) ? 'page' : 'api';
}

/**
 * `/login/` is the route `/login` too, and the prefix `/static/` holds `/static`. The home page is no prefix: that would open
 * everything. Case counts, also where a framework's routes take both: of two mistakes, bouncing an odd spelling is the
 * harmless one (an app may serve `/STATIC/` itself).
 */
export function isOpen(path: string, { gotchaPath, openPaths }: GateRules): boolean {
  if (path === gotchaPath) return true;
  const withSlash = path.endsWith('/') ? path : `${path}/`;
  return openPaths.some(
    (open) =>
      path === open || withSlash === `${open}/` || (open.endsWith('/') && open !== '/' && withSlash.startsWith(open)),
  );
}

/** An open path as an operator wrote it: without query and fragment, which a request's path has not either. */
export function openPath(written: string): string {
  return written.replace(/[?#].*$/s, '');
}

/** The login page is open itself and nothing below it, however its URL is written. */
export function loginPath(loginUrl: string): string {
  return openPath(loginUrl).replace(/(?<=.)\/$/, '');
}

/**
 * Does the client ask for a page, as against data? A browser's navigation names `text/html`; its `fetch` and XHR do not
 * unless the script says so, and then it wants a page's text.
 */
function wantsPage({ accept, requestedWith }: RequestView): boolean {
  return requestedWith.toLowerCase() !== 'xmlhttprequest' && accept.toLowerCase().includes('text/html');
}
