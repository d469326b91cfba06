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
 * in a cookie of another name that nobody else reads. While it is there, and nobody is logged in, a page asks whether that
 * session lives again (one GET; of bounced browsers only).
 *
 * It is no new power: who could plant it could plant the session cookie itself.
 */
const HELD = '.bouncer-held';
/** It has just been tried: where the browser does not take the cookie, the page must not be asked for again and again. */
const TRIED = '.bouncer-back';
const TRIED_MS = 10_000;

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

/** What becomes of a held cookie with this request; null: nothing. An anonymous session gives way to it. Never throws. */
export async function giveBack(
  http: HttpRequest,
  { names, attributes, maxAgeMs }: HeldCookie,
  engine: Pick<SessionEngine, 'stands'>,
  { loggedIn, gotchaPath }: Holder,
): Promise<GivenBack | null> {
  const brought = cookiesOf(http);
  for (const held of names.length > 0 ? [names] : [...brought.keys()].flatMap(baseOf)) {
    const [first = ''] = held;
    const id = idIn(brought.get(`${first}${HELD}`) ?? '');
    if (id === null || (!loggedIn && (!isPage(http) || brought.has(`${first}${TRIED}`)))) continue;
    const now = loggedIn ? 'gone' : await engine.stands(id);
    const drop = held.map((name) => clearCookie(`${name}${HELD}`, attributes));
    if (now === 'gone') return { cookies: drop, location: null };
    if (now !== 'live') continue;
    const back = held.flatMap((name) => {
      const kept = brought.get(`${name}${HELD}`);
      return kept === undefined ? [] : [setCookie(name, kept, attributes, maxAgeMs)];
    });
    const tried = setCookie(`${first}${TRIED}`, '1', { ...attributes, path: '/', domain: null }, TRIED_MS);
    return { cookies: [...back, ...drop, tried], location: placeOf(http, gotchaPath) };
  }
  return null;
}

/** The same for the adapters that keep a `RequestSession`. */
export async function heldBack(
  http: HttpRequest,
  held: HeldCookie,
  { entry, state }: Pick<RequestSession, 'entry' | 'state'>,
  { engine, gate }: Pick<AdapterDeps, 'engine' | 'gate'>,
): Promise<GivenBack | null> {
  if (state !== undefined || !holdsCookie(http)) return null;
  return giveBack(http, held, engine, { loggedIn: Boolean(entry?.head.lid), gotchaPath: gate.gotchaPath });
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

function baseOf(name: string): string[][] {
  return name.endsWith(HELD) && name.length > HELD.length ? [[name.slice(0, -HELD.length)]] : [];
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
