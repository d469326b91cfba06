import type { AdapterDeps } from './adapter.ts';
import { type CookieAttributes, clearCookie, setCookie } from './cookie.ts';
import { type HttpRequest, headerOf } from './http.ts';
import type { RequestSession } from './request-session.ts';
import { signedPart } from './sign.ts';
import { screenCookie } from './strict-id.ts';

/**
 * A person who was bounced by mistake is to be logged in again in the same browser, once an analyst has given the session
 * back. The bounce takes the session cookie away, so that no part of the app goes by it; what it held stays in the browser,
 * in a cookie of another name that nobody else reads. While it is there, and nobody is logged in, a page asks whether that
 * session lives again (two GETs; of bounced browsers only).
 *
 * A neighbouring host may plant such a cookie as it may plant the session cookie itself. So it is screened as that one is, and
 * what it names is given back only where a person has lifted the end of that very login.
 */
const HELD = '.bouncer-held';
/** It has just been tried: where the browser does not take the cookie, the page must not be asked for again and again. */
const TRIED = '.bouncer-back';
const TRIED_MS = 10_000;

export interface HeldCookie {
  /** The session cookie's name, and those that go with it (koa-session's signature). None: nobody has told us. */
  readonly names: readonly string[];
  /** Where no name is known: the id that this request's own session cookie has. */
  readonly ownId?: string | undefined;
  /** The id in the decoded value, or null where that is not of the right form. */
  idIn(value: string): string | null;
  /** Is the value signed by this app, as far as its secret is known? `kept`: what is held of a cookie that goes with it. */
  isSigned(value: string, kept: (name: string) => string): boolean;
  readonly attributes: CookieAttributes;
  /** What the app's cookie lives; null: until the browser closes. */
  readonly maxAgeMs: number | null;
}

/** The `Set-Cookie` values that end a session in the browser: its cookie goes, what it held is kept. */
export function endedCookies(http: HttpRequest, { names, attributes, maxAgeMs }: HeldCookie): string[] {
  const brought = cookiesOf(http);
  return names.flatMap((name) => {
    const value = brought.get(name);
    const keep = value === undefined ? [] : [setCookie(`${name}${HELD}`, value, attributes, maxAgeMs)];
    return [clearCookie(name, attributes), ...keep];
  });
}

export interface GivenBack {
  /** `Set-Cookie` values. */
  readonly cookies: readonly string[];
  /** The session lives again: the page is to be asked for once more, at this path, and no other cookie of its name is set. */
  readonly location: string | null;
}

/** Most requests hold nothing: only where this is true is anything asked. */
export function holdsCookie(http: HttpRequest): boolean {
  return headerOf(http, 'cookie').includes(`${HELD}=`);
}

export interface Holder {
  /** The request's session has a login: what was held is over. */
  readonly loggedIn: boolean;
  readonly gotchaPath: string;
}

type Deps = Pick<AdapterDeps, 'engine' | 'idPattern' | 'onRefusedId'>;

/** What becomes of a held cookie with this request; null: nothing. An anonymous session gives way to it. Never throws. */
export async function giveBack(
  http: HttpRequest,
  held: HeldCookie,
  deps: Deps,
  { loggedIn, gotchaPath }: Holder,
): Promise<GivenBack | null> {
  const { attributes, maxAgeMs } = held;
  const brought = cookiesOf(http);
  const dropped: string[] = [];
  for (const names of held.names.length > 0 ? [held.names] : basesIn(brought, held.ownId)) {
    const [first = ''] = names;
    if (!brought.has(`${first}${HELD}`) || (!loggedIn && (!isPage(http) || brought.has(`${first}${TRIED}`)))) continue;
    const now = loggedIn ? 'gone' : await standing(http, first, held, brought, deps);
    const drop = names.map((name) => clearCookie(`${name}${HELD}`, attributes));
    if (now === 'gone') dropped.push(...drop);
    if (now !== 'live') continue;
    const back = names.flatMap((name) => {
      const kept = brought.get(`${name}${HELD}`);
      return kept === undefined ? [] : [setCookie(name, kept, attributes, maxAgeMs)];
    });
    const tried = setCookie(`${first}${TRIED}`, '1', { ...attributes, path: '/', domain: null }, TRIED_MS);
    return { cookies: [...dropped, ...back, ...drop, tried], location: placeOf(http, gotchaPath) };
  }
  return dropped.length > 0 ? { cookies: dropped, location: null } : null;
}

/** What has become of the session that is held under this name. `refused`: before Redis, as a session cookie would be. */
async function standing(
  http: HttpRequest,
  name: string,
  { idIn, isSigned }: HeldCookie,
  brought: ReadonlyMap<string, string>,
  { engine, idPattern, onRefusedId }: Deps,
) {
  let whole = '';
  const screened = screenCookie(headerOf(http, 'cookie'), `${name}${HELD}`, idPattern, (value) => {
    whole = value;
    return idIn(value);
  });
  if (screened.kind === 'id' && isSigned(whole, (other) => brought.get(`${other}${HELD}`) ?? '')) {
    return engine.stands(screened.id);
  }
  onRefusedId(screened.kind === 'refused' ? screened.problem : 'bad_signature');
  return 'refused';
}

/** The same for the adapters that keep a `RequestSession`. */
export async function heldBack(
  http: HttpRequest,
  held: HeldCookie,
  { entry, state }: Pick<RequestSession, 'entry' | 'state'>,
  deps: Deps & Pick<AdapterDeps, 'gate'>,
): Promise<GivenBack | null> {
  if (state !== undefined || !holdsCookie(http)) return null;
  return giveBack(http, held, deps, { loggedIn: Boolean(entry?.head.lid), gotchaPath: deps.gate.gotchaPath });
}

/** Cookies as they came; of two of one name the first, as everywhere else. */
function cookiesOf(http: HttpRequest): Map<string, string> {
  const found = new Map<string, string>();
  for (const pair of headerOf(http, 'cookie').split(';')) {
    const at = pair.indexOf('=');
    const name = pair.slice(0, at).trim();
    if (at > 0 && !found.has(name)) found.set(name, pair.slice(at + 1).trim());
  }
  return found;
}

/**
 * Where no name is known. A cookie that the browser has under such a name, and that is not the session's, is not ours to
 * replace: it may be another protection of the app's, which whoever planted the held one could not reach.
 */
function basesIn(brought: ReadonlyMap<string, string>, ownId = ''): string[][] {
  const isOwn = (value: string) => ownId !== '' && value.startsWith(`s%3A${encodeURIComponent(ownId)}.`);
  return [...brought.keys()].flatMap((name) => {
    if (!name.endsWith(HELD) || name.length === HELD.length) return [];
    const base = name.slice(0, -HELD.length);
    const there = brought.get(base);
    return there === undefined || isOwn(there) ? [[base]] : [];
  });
}

/** express-session's form, `s:id.signature`. */
export function idInSigned(value: string): string | null {
  return value.startsWith('s:') ? signedPart(value.slice(2)) : null;
}

/** What is no page is left as it is: it cannot be asked for again, and its answer may set a cookie of its own. */
function isPage(http: HttpRequest): boolean {
  return http.method === 'GET' && headerOf(http, 'accept').includes('text/html');
}

/** The gotcha page has nothing more to say: from there it goes home. */
function placeOf({ target }: HttpRequest, gotchaPath: string): string {
  const isPath = /^\/(?![/\\])/.test(target) && !/[\r\n\\]/.test(target);
  const isGotcha = target === gotchaPath || target.startsWith(`${gotchaPath}?`);
  return isPath && !isGotcha ? target : '/';
}
