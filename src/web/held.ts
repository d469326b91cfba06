import type { AdapterDeps } from './adapter.ts';
import { type CookieAttributes, clearCookie, setCookie } from './cookie.ts';
import type { SessionEngine } from './engine.ts';
import { type HttpRequest, headerOf } from './http.ts';
import type { RequestSession } from './request-session.ts';
import { signedPart } from './sign.ts';
import { ID_PATTERN } from './strict-id.ts';

/**
 * A person who was bounced by mistake is to be logged in again in the same browser, once an analyst has given the session
 * back. The bounce takes the session cookie away, so that no part of the app goes by it; what it held stays in the browser,
 * in a cookie of another name that nobody else reads. While it is there, and no session is, a request asks whether that
 * session lives again (one GET; of bounced browsers only).
 *
 * It is no new power: who could plant it could plant the session cookie itself.
 */
const HELD = '.held';

export interface HeldCookie {
  /** The session cookie's name, and those that go with it (koa-session's signature). None: it is found by its value. */
  readonly names: readonly string[];
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
  /** The session lives again: a page is to be asked for once more, at this path. */
  readonly location: string | null;
}

/** Most requests hold nothing: only where this is true is anything asked. */
export function holdsCookie(http: HttpRequest): boolean {
  return headerOf(http, 'cookie').includes(`${HELD}=`);
}

/**
 * What becomes of a held cookie with this request; null: nothing. `loggedIn`: the request has a session with a login, so
 * what was held is over. Never throws.
 */
export async function giveBack(
  http: HttpRequest,
  { names, attributes, maxAgeMs }: HeldCookie,
  engine: Pick<SessionEngine, 'stands'>,
  { loggedIn, gotchaPath }: { readonly loggedIn: boolean; readonly gotchaPath: string },
): Promise<GivenBack | null> {
  const brought = cookiesOf(http);
  const held = names.length > 0 ? names : [...brought.keys()].flatMap(baseOf).slice(0, 1);
  const [first = ''] = held;
  const value = brought.get(`${first}${HELD}`);
  if (value === undefined || (brought.has(first) && !loggedIn)) return null;
  const drop = held.map((name) => clearCookie(`${name}${HELD}`, attributes));
  if (loggedIn) return { cookies: drop, location: null };
  const id = idIn(value);
  const now = id === null ? 'gone' : await engine.stands(id);
  if (now === 'ended' || now === 'unknown') return null;
  if (now === 'gone') return { cookies: drop, location: null };
  const back = held.flatMap((name) => {
    const kept = brought.get(`${name}${HELD}`);
    return kept === undefined ? [] : [setCookie(name, kept, attributes, maxAgeMs)];
  });
  return { cookies: [...back, ...drop], location: pageAgain(http, gotchaPath) };
}

/** The same for the adapters that keep a `RequestSession`. */
export async function heldBack(
  http: HttpRequest,
  held: HeldCookie,
  session: Pick<RequestSession, 'entry' | 'state'>,
  { engine, gate }: Pick<AdapterDeps, 'engine' | 'gate'>,
): Promise<GivenBack | null> {
  if (session.state?.unavailable || !holdsCookie(http)) return null;
  const loggedIn = Boolean(session.entry?.head.lid);
  return giveBack(http, held, engine, { loggedIn, gotchaPath: gate.gotchaPath });
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

function baseOf(name: string): string[] {
  return name.endsWith(HELD) && name.length > HELD.length ? [name.slice(0, -HELD.length)] : [];
}

/** With the signature or without: whether it is right, the session middleware will say. */
function idIn(value: string): string | null {
  let text: string;
  try {
    text = decodeURIComponent(value);
  } catch {
    return null;
  }
  const signed = text.startsWith('s:') ? text.slice(2) : text;
  const id = signedPart(signed) ?? signed;
  return ID_PATTERN.test(id) ? id : null;
}

/** A page is asked for again, with its cookie; the gotcha page has nothing more to say, so the home page is. */
function pageAgain(http: HttpRequest, gotchaPath: string): string | null {
  const isPage = http.method === 'GET' && headerOf(http, 'accept').includes('text/html');
  if (!isPage) return null;
  const { target } = http;
  const isPath = /^\/(?![/\\])/.test(target) && !/[\r\n\\]/.test(target);
  const isGotcha = target === gotchaPath || target.startsWith(`${gotchaPath}?`);
  return isPath && !isGotcha ? target : '/';
}
