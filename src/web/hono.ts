import { BouncerError } from '../errors.ts';
import type { AdapterDeps } from './adapter.ts';
import { type CookieRules, CookieSession, type CookieSessionOptions } from './cookie-session.ts';
import { endedCookies, type HeldCookie, heldBack } from './held.ts';
import { askGate, type HttpRequest, headerOf } from './http.ts';
import { RequestSession } from './request-session.ts';
import { signedPart, unsignId } from './sign.ts';
import { screenCookie } from './strict-id.ts';
import { isUpgrade } from './upgrade.ts';

/** A Hono context, as far as we use it. */
export interface HonoContext {
  readonly req: { readonly method: string; readonly url: string; header(): Record<string, string> };
  readonly env: unknown;
  set(key: 'session', value: CookieSession): void;
  header(name: string, value: string, options: { append: boolean }): void;
}

/** A cookie session of our own (`c.get('session')`), and the gate behind it. */
export function honoSessions(options: CookieSessionOptions, deps: AdapterDeps) {
  const rules = cookieRules(options);
  return async (c: HonoContext, next: () => Promise<void>): Promise<Response | undefined> => {
    const { pathname, search } = new URL(c.req.url);
    const http: HttpRequest = {
      method: c.req.method,
      target: pathname + search,
      headers: c.req.header(),
      peer: peerOf(c.env),
    };
    const session = new RequestSession(deps.engine, !isUpgrade(http.headers));
    const own = await CookieSession.open(session, broughtId(http, rules, deps), rules);
    c.set('session', own);
    deps.ports.set(c, { http, session, begin: (lid, data) => own.begin(lid, data), logOut: () => own.logOut() });
    const held = heldCookie(rules);
    const back = await heldBack(http, held, session, deps);
    if (back?.location) return respond(303, { Location: back.location, 'Cache-Control': 'no-store' }, back.cookies);
    const answer = askGate(deps.gate, session.state, http, deps.trust);
    if (answer !== 'pass') {
      const cookies = answer.clearCookie ? endedCookies(http, held) : (back?.cookies ?? []);
      return respond(answer.status, answer.headers, cookies, answer.body);
    }
    await next();
    for (const cookie of back?.cookies ?? []) c.header('Set-Cookie', cookie, { append: true });
    const cookie = await own.commit();
    await session.finish();
    if (cookie !== null) c.header('Set-Cookie', cookie, { append: true });
    return undefined;
  };
}

function respond(
  status: number,
  fields: Readonly<Record<string, string>>,
  cookies: readonly string[],
  body: string | null = null,
): Response {
  const headers = new Headers(fields);
  for (const cookie of cookies) headers.append('set-cookie', cookie);
  return new Response(body, { status, headers });
}

function heldCookie({ name, secrets, cookie, maxAgeMs }: CookieRules): HeldCookie {
  const isSigned = (value: string) => unsignId(value, secrets) !== null;
  return { names: [name], idIn: signedPart, isSigned, attributes: cookie, maxAgeMs };
}

export function cookieRules({ secret, name, cookie = {}, maxAgeSeconds }: CookieSessionOptions): CookieRules {
  const secrets = typeof secret === 'string' ? [secret] : secret;
  if (secrets.length === 0 || secrets.some((each) => typeof each !== 'string' || each.length < 32)) {
    throw new BouncerError('option_invalid', 'secret: give a string of 32 characters or more, or a list of them');
  }
  const hostOnly = cookie.secure !== false && !cookie.domain && (cookie.path ?? '/') === '/';
  return {
    secrets,
    name: name ?? (hostOnly ? '__Host-sid' : 'sid'),
    cookie: { secure: true, httpOnly: true, sameSite: 'lax', ...cookie },
    maxAgeMs: maxAgeSeconds === undefined ? null : maxAgeSeconds * 1000,
  };
}

/** Only an id that we signed is ever looked up. */
function broughtId(http: HttpRequest, { name, secrets }: CookieRules, deps: AdapterDeps): string | null {
  const header = headerOf(http, 'cookie');
  let signed = '';
  const screened = screenCookie(header, name, deps.idPattern, (value) => {
    signed = value;
    return signedPart(value);
  });
  if (screened.kind === 'none') return null;
  const problem = screened.kind === 'refused' ? screened.problem : 'bad_signature';
  const id = screened.kind === 'id' ? unsignId(signed, secrets) : null;
  if (id === null) deps.onRefusedId(problem);
  return id;
}

/** With @hono/node-server, the connection's address; elsewhere the platform must tell it by a trusted header. */
function peerOf(env: unknown): string | undefined {
  const { incoming } = (env ?? {}) as { incoming?: { socket?: { remoteAddress?: string } } };
  return incoming?.socket?.remoteAddress;
}
