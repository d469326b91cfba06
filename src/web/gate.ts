import { isCaseNumber } from '../domain/case-number.ts';
import { type GateRules, judgeRevoked, type RequestView } from '../domain/gate.ts';
import type { Visit } from '../domain/incident.ts';
import { errorName } from '../errors.ts';
import type { Clock, Incidents, Log } from '../ports.ts';
import { GOTCHA_HEADERS, type GotchaContext, gotchaPage } from './gotcha.ts';
import type { SessionState } from './session-store.ts';

/** A request as the gate sees it. */
export interface GateRequest extends RequestView {
  /** The query's `case`, untrusted. */
  readonly queryCase: unknown;
  readonly userAgent: string;
  /** Canonical, or null when it is not known. */
  readonly address: string | null;
}

/** What an adapter must answer; `pass`: call the next handler. Framework-free. */
export type GateAnswer =
  | 'pass'
  | {
      readonly status: number;
      readonly headers: Readonly<Record<string, string>>;
      readonly body: string;
      /** Clear the session cookie, with the attributes it was set with. */
      readonly clearCookie: boolean;
    };

export interface GateOptions extends GateRules {
  /** A page of the app's own (another site, say) in place of ours; `?case=` is added. */
  readonly gotchaUrl: string | null;
  readonly loginUrl: string;
  readonly render: typeof gotchaPage;
  /** While Redis is away: may this request go on as anonymous, or is it answered with 503? */
  needsUser(request: GateRequest): boolean;
}

export interface Reuse {
  readonly lid: string;
  readonly handle: string;
  /** Canonical, or null when it is not known. */
  readonly address: string | null;
  readonly userAgent: string;
}

export interface GateDeps {
  readonly incidents: Pick<Incidents, 'visit'>;
  readonly clock: Clock;
  readonly log: Log;
  onBounced(): void;
  /** An old session id came back and ended its login: this request brought it. */
  onReused?(reuse: Reuse): void;
}

/** The gate: lets a request pass or bounces it. No I/O before the answer; a visit is noted behind it. */
export class Gate {
  readonly #options: GateOptions;
  readonly #deps: GateDeps;
  readonly #told = new Set<string>();

  constructor(options: GateOptions, deps: GateDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  get gotchaPath(): string {
    return this.#options.gotchaPath;
  }

  /** Does this request need more than a look? The common case must cost next to nothing. */
  concerns(state: SessionState | undefined, path: string): boolean {
    return state !== undefined || path === this.#options.gotchaPath;
  }

  answer(state: SessionState | undefined, request: GateRequest): GateAnswer {
    const { gotchaPath, gotchaUrl } = this.#options;
    const { lid, reused } = state?.revoked?.tombstone ?? {};
    if (lid !== undefined && reused !== undefined) {
      this.#deps.onReused?.({ lid, handle: reused, address: request.address, userAgent: request.userAgent });
    }
    if (gotchaUrl === null && request.path === gotchaPath) return this.#gotcha(state, request);
    if (state?.unavailable && this.#needsUser(request)) return storeAway();
    if (!state?.revoked) return 'pass';
    const verdict = judgeRevoked(request, this.#options);
    if (verdict === 'pass') return 'pass';
    const { caseId } = state.revoked.tombstone;
    this.#note(caseId, 'refused', request);
    this.#deps.onBounced();
    const location = withCase(gotchaUrl ?? gotchaPath, caseId);
    return verdict === 'page' ? redirect(location) : unauthorized(location);
  }

  /** It is asked in outages only, and so its mistakes are found in one: nobody is let pass on it, and the process lives. */
  #needsUser(request: GateRequest): boolean {
    const own = outcomeOf(() => this.#options.needsUser(request));
    if ('value' in own) return Boolean(own.value);
    this.#tellOnce('needs_user_failed', own.failure, 'needsUser threw, or gave a promise: answered with 503');
    return true;
  }

  #gotcha(state: SessionState | undefined, request: GateRequest): GateAnswer {
    const caseNumber = isCaseNumber(request.queryCase) ? request.queryCase : (state?.revoked?.tombstone.caseId ?? null);
    if (caseNumber !== null) this.#note(caseNumber, 'gotcha', request);
    const body = this.#page({ caseNumber, loginUrl: this.#options.loginUrl });
    return { status: 200, headers: GOTCHA_HEADERS, body, clearCookie: state?.revoked !== undefined };
  }

  /** The app's own page, unless that fails: whoever is bounced gets one in any case, and nobody brings a process down by it. */
  #page(context: GotchaContext): string {
    const own = outcomeOf(() => this.#options.render(context));
    const page = 'value' in own ? textOf(own.value) : null;
    if (page !== null) return page;
    const failure = 'value' in own ? typeof own.value : own.failure;
    const must = 'gotcha.render gave no page, and ours was shown: it must return a string, at once (no promise)';
    this.#tellOnce('gotcha_render_failed', failure, must);
    return gotchaPage(context);
  }

  /** Anybody can ask for the gotcha page, and in an outage everybody asks: not a line for each. */
  #tellOnce(event: string, error: string, message: string): void {
    if (this.#told.has(event)) return;
    this.#told.add(event);
    this.#deps.log.error({ event, error }, message);
  }

  #note(caseId: string, kind: Visit['kind'], request: GateRequest): void {
    const { clock, incidents, log } = this.#deps;
    const visit: Visit = {
      atMs: clock(),
      kind,
      address: request.address,
      userAgent: request.userAgent.slice(0, 256),
      method: request.method.slice(0, 16),
      path: request.path.slice(0, 256),
    };
    incidents.visit(caseId, visit).catch((error: unknown) => {
      log.warn({ event: 'visit_lost', case: caseId, error: errorName(error) }, 'A visit could not be noted');
    });
  }
}

/** What an app's own function gave, or why that is nothing. */
function outcomeOf(ask: () => unknown): { readonly value: unknown } | { readonly failure: string } {
  try {
    const value = ask();
    if (typeof (value as PromiseLike<unknown> | null | undefined)?.then !== 'function') return { value };
    // Nobody waits for it: its failure must not end the process.
    Promise.resolve(value).catch(() => {});
    return { failure: 'promise' };
  } catch (error) {
    return { failure: errorName(error) };
  }
}

/** A page may come as `readFileSync` gives it without an encoding. */
function textOf(page: unknown): string | null {
  if (page instanceof Uint8Array) return Buffer.from(page).toString();
  return typeof page === 'string' ? page : null;
}

function withCase(url: string, caseId: string): string {
  return `${url}${url.includes('?') ? '&' : '?'}case=${caseId}`;
}

function redirect(location: string): GateAnswer {
  return { status: 303, headers: { Location: location, 'Cache-Control': 'no-store' }, body: '', clearCookie: true };
}

/** The cookie goes with this answer: a script that wants its user to see the gotcha page must be told where it is. */
function unauthorized(location: string): GateAnswer {
  return json(401, { code: 'session_ended', location }, true);
}

/** RFC 9110, 15.6.4: the client may try again soon. */
function storeAway(): GateAnswer {
  const answer = json(503, { code: 'session_unavailable' }, false);
  return answer === 'pass' ? answer : { ...answer, headers: { ...answer.headers, 'Retry-After': '5' } };
}

function json(status: number, body: object, clearCookie: boolean): GateAnswer {
  const headers = { 'Content-Type': 'application/json; charset=utf-8', 'Cache-Control': 'no-store' };
  return { status, headers, body: JSON.stringify(body), clearCookie };
}
