/** The console: one Hono application, the same wherever it is mounted. */

import { Hono } from 'hono';
import { csrfToken } from './access.ts';
import { assetRoutes } from './assets.ts';
import type { Access, ConsoleDeps, ConsoleEnv, Ctx } from './env.ts';
import { failed } from './failures.ts';
import { findRoutes } from './find.ts';
import { takeFlash } from './flash.ts';
import { boundedBody, checkForm, cookieKey, isRead } from './forms.ts';
import { PAGES } from './pages/index.ts';
import { refusal } from './refusal.tsx';
import { sessionRoutes, signInRoutes } from './sign-in.tsx';

export const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  // Images as data: Pico draws its marks and arrows so.
  'Content-Security-Policy':
    "default-src 'none'; style-src 'self'; img-src 'self' data:; script-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
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
  app.onError((error, c) => failed(c, error, deps.log));
  app.notFound((c) => refusal(c, 404, 'There is no such page.'));
  assetRoutes(app);
  app.use(boundedBody);
  if (deps.signIn !== undefined) signInRoutes(app, deps.signIn);
  app.use((c, next) => admit(c, next, deps));
  app.use(checkForm);
  if (deps.signIn !== undefined) sessionRoutes(app, deps.signIn);
  for (const add of [findRoutes, ...PAGES]) add(app);
  return app;
}

/** Everything from here on is for people we know. */
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
  c.set('flash', isRead(c) ? takeFlash(c) : null);
  await next();
  return undefined;
}

export type { Access, ConsoleDeps };
