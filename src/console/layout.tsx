/** The document around every page: head, navigation, the brake's banner, what was just done. */

import type { Child } from 'hono/jsx';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import type { BrakeState } from '../domain/brake.ts';
import { assetPath } from './assets.ts';
import type { Ctx } from './env.ts';
import { userPath } from './paths.ts';
import { plain } from './text.ts';

/** What the desk is called where it was given no title. */
export const DESK = 'Review desk';

/** The places of the head line, in order. */
export const NAVIGATION = [
  { id: 'overview', path: '/', text: 'Overview' },
  { id: 'incidents', path: '/incidents', text: 'Incidents' },
  { id: 'lists', path: '/lists', text: 'Lists' },
  { id: 'notifications', path: '/notifications', text: 'Notifications' },
  { id: 'privacy', path: '/privacy', text: 'Privacy' },
  { id: 'audit', path: '/audit', text: 'Audit' },
] as const;
export type Place = (typeof NAVIGATION)[number]['id'];

export interface PageFrame {
  readonly title: string;
  readonly active?: Place | undefined;
  readonly status?: ContentfulStatusCode | undefined;
  /** Null: not asked for (the page of an error, which must not need Redis). */
  readonly brake: BrakeState | null;
}

export async function renderDocument(c: Ctx, frame: PageFrame, children: Child): Promise<Response> {
  const text = await (<Document c={c} frame={frame} body={children} />).toString();
  return c.html(`<!doctype html>${text}`, frame.status ?? 200);
}

function Document({ c, frame, body }: { c: Ctx; frame: PageFrame; body: Child }) {
  const base = c.var.base ?? '';
  const desk = c.var.deps?.title ?? DESK;
  return (
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="robots" content="noindex" />
        <meta name="color-scheme" content="light dark" />
        <title>{`${plain(frame.title, 120)} · ${desk}`}</title>
        <link rel="icon" href={base + assetPath('icon.svg')} type="image/svg+xml" />
        <link rel="stylesheet" href={base + assetPath('pico.css')} />
        <link rel="stylesheet" href={base + assetPath('console.css')} />
        <script src={base + assetPath('console.js')} defer></script>
      </head>
      <body>
        <a class="skip" href="#main">
          Skip to the content
        </a>
        {c.var.actor === undefined ? null : <Head c={c} active={frame.active} desk={desk} />}
        <main id="main" class="container-fluid" tabindex={-1}>
          <BrakeBanner base={base} brake={frame.brake} />
          {c.var.actor === undefined ? null : <AskedFor c={c} />}
          {c.var.flash ? (
            <p class="flash" role="status">
              {c.var.flash}
            </p>
          ) : null}
          {body}
        </main>
      </body>
    </html>
  );
}

function Head({ c, active, desk }: { c: Ctx; active: Place | undefined; desk: string }) {
  const { base, actor, deps, csrf } = c.var;
  return (
    <header class="top container-fluid">
      <a class="brand" href={`${base}/`}>
        {desk}
      </a>
      <nav aria-label="Places">
        <ul>
          {NAVIGATION.map(({ id, path, text }) => (
            <li>
              <a href={base + path} aria-current={id === active ? 'page' : undefined}>
                {text}
              </a>
            </li>
          ))}
        </ul>
      </nav>
      <search class="find">
        <form method="get" action={`${base}/find`}>
          <input
            type="search"
            name="q"
            maxlength={256}
            placeholder="Case, user, address"
            aria-label="Find a case, user, address or network"
          />
        </form>
      </search>
      <div class="who">
        <span>
          <bdi>{plain(actor.by, 40)}</bdi> <small>{actor.role}</small>
        </span>
        {deps.signIn === undefined ? null : (
          <form method="post" action={`${base}/sign-out`}>
            <input type="hidden" name="csrf" value={csrf} />
            <button type="submit" class="outline secondary small">
              Sign out
            </button>
          </form>
        )}
      </div>
    </header>
  );
}

/** What was typed into the field at the top, where it may also be a user's id: see `find`. */
function AskedFor({ c }: { c: Ctx }) {
  const asked = (c.req.query('asked') ?? '').slice(0, 256);
  if (asked === '') return null;
  return (
    <p class="soft">
      Was that a user id, exactly as you typed it?{' '}
      <a href={c.var.base + userPath(asked)}>Show the user {quoted(asked)}</a>
    </p>
  );
}

/** HTML draws blanks around a text together, and these count. */
const quoted = (text: string): string => `“${plain(text, 60).replaceAll(' ', '\u00a0')}”`;

function BrakeBanner({ base, brake }: { base: string; brake: BrakeState | null }) {
  if (brake?.kind !== 'tripped') return null;
  const { window, atMs } = brake.trip;
  return (
    <div class="banner" role="alert">
      <strong>The safety brake is on: no session is being ended.</strong> Since{' '}
      <time datetime={new Date(atMs).toISOString()}>{new Date(atMs).toISOString().slice(0, 16).replace('T', ' ')}</time>{' '}
      UTC, when those of {window.revokes} users in {window.logins} logins would have been.{' '}
      <a href={`${base}/#brake`}>Look at it</a>
    </div>
  );
}
