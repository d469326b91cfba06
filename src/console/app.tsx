/** The console: one Hono application, the same wherever it is mounted. */

import { randomBytes } from 'node:crypto';
import { Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { getCookie, setCookie } from 'hono/cookie';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { BouncerError, type ErrorCode, errorName } from '../errors.ts';
import { csrfToken, fromOwnPage, sameText } from './access.ts';
import { assetRoutes } from './assets.ts';
import type { Access, ConsoleDeps, ConsoleEnv, Ctx } from './env.ts';
import { findRoutes } from './find.ts';
import { takeFlash } from './flash.ts';
import { incidentRoutes } from './pages/incident.tsx';
import { incidentsRoutes } from './pages/incidents.tsx';
import { userRoutes } from './pages/user.tsx';
import { addressRoutes, networkRoutes } from './pages/where.tsx';
import { refusal } from './refusal.tsx';

/** Each adds its routes. The order does not matter: no two share a path. */
const PAGES: readonly ((app: Hono<ConsoleEnv>) => void)[] = [
  findRoutes,
  incidentsRoutes,
  incidentRoutes,
  addressRoutes,
  networkRoutes,
  userRoutes,
];

const BODY_BYTES = 64 * 1024;

export const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  'Content-Security-Policy':
    "default-src 'none'; style-src 'self'; img-src 'self' data:; script-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
  'X-Content-Type-Options': 'nosniff',
  // Not `no-referrer`: a form's POST would then come with `Origin: null`.
  'Referrer-Policy': 'same-origin',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'X-Frame-Options': 'DENY',
  'Permissions-Policy': 'camera=(), geolocation=(), microphone=()',
};

export function consoleApp(deps: ConsoleDeps): Hono<ConsoleEnv> {
  const app = new Hono<ConsoleEnv>();
  app.use(async (c, next) => {
    c.set('deps', deps);
    c.set('base', c.env?.base ?? '');
    await next();
    for (const [name, value] of Object.entries(SECURITY_HEADERS)) c.header(name, value);
    if (!c.res.headers.has('cache-control')) c.header('Cache-Control', 'no-store');
  });
  app.onError((error, c) => failed(c, error, deps));
  app.notFound((c) => refusal(c, 404, 'There is no such page.'));
  assetRoutes(app);
  app.use((c, next) => admit(c, next, deps));
  app.use(
    bodyLimit({ maxSize: BODY_BYTES, onError: (c) => refusal(c as Ctx, 413, 'A form may hold 64 KiB at most.') }),
  );
  app.use(checkForm);
  for (const add of PAGES) add(app);
  return app;
}

/** Everything but the assets is for people we know. */
async function admit(c: Ctx, next: () => Promise<void>, deps: ConsoleDeps): Promise<Response | undefined> {
  const access = await deps.authorize(c.req.raw, c.env);
  if (access instanceof Response) return access;
  if (access === null) return refusal(c, 401, 'The review desk is for those who may see it.');
  const key = access.csrfKey ?? cookieKey(c);
  c.set('actor', access.actor);
  c.set('fresh', access.fresh);
  c.set('csrf', csrfToken(key, access.actor.by));
  c.set('flashKey', key);
  c.set('desk', deps.desk);
  c.set('nowMs', deps.clock());
  const reads = c.req.method === 'GET' || c.req.method === 'HEAD';
  c.set('flash', reads ? takeFlash(c) : null);
  await next();
  return undefined;
}

/** Where the app keeps the session, form tokens are bound to a cookie of ours, which no other site can read or send. */
function cookieKey(c: Ctx): string {
  const secure = c.env?.secure === true;
  const name = secure ? '__Host-desk-key' : 'desk-key';
  const brought = getCookie(c, name);
  if (brought !== undefined && /^[\w-]{43}$/.test(brought)) return brought;
  const fresh = randomBytes(32).toString('base64url');
  setCookie(c, name, fresh, { path: '/', httpOnly: true, sameSite: 'Strict', secure });
  return fresh;
}

/** Nothing is written but by a form of our own, sent from a page of our own. */
async function checkForm(c: Ctx, next: () => Promise<void>): Promise<Response | undefined> {
  if (c.req.method === 'GET' || c.req.method === 'HEAD') {
    await next();
    return undefined;
  }
  if (!fromOwnPage(c)) return refusal(c, 403, 'This did not come from a page of the review desk.');
  if (!/^application\/x-www-form-urlencoded\b/i.test(c.req.header('content-type') ?? '')) {
    return refusal(c, 415, 'Send a form (application/x-www-form-urlencoded).');
  }
  const form = new URLSearchParams(await c.req.text());
  if (!sameText(form.get('csrf') ?? '', c.var.csrf)) {
    return refusal(c, 403, 'This form is no longer valid. Go back, load the page again and repeat it.');
  }
  c.set('form', form);
  await next();
  return undefined;
}

const STATUS: Partial<Readonly<Record<ErrorCode, ContentfulStatusCode>>> = {
  option_invalid: 400,
  cursor_invalid: 400,
  incident_unknown: 404,
  incident_closed: 409,
  redis_unavailable: 503,
  session_unavailable: 503,
};

/** Our own errors say what to do; of all others only that something failed. */
async function failed(c: Ctx, error: unknown, { log }: ConsoleDeps): Promise<Response> {
  const status = error instanceof BouncerError ? STATUS[error.code] : undefined;
  if (status !== undefined && status < 500) return refusal(c, status, (error as BouncerError).message);
  const away = status === 503 || isRedisAway(error);
  log.error(
    { event: 'console_failed', error: errorName(error), status: away ? 503 : 500 },
    'A page of the review desk failed',
  );
  if (away) return refusal(c, 503, 'Nothing was changed that is not shown. Try again in a moment.');
  return refusal(c, 500, 'This failed. The log of this process says where.');
}

function isRedisAway(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (error.name === 'MaxRetriesPerRequestError') return true;
  return /^(Command timed out|Connection is closed|Stream isn't writeable)/.test(error.message);
}

export type { Access, ConsoleDeps };
