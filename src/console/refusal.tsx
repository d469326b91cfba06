/** What somebody sees who may not, or where something is not there. */

import type { ContentfulStatusCode } from 'hono/utils/http-status';
import type { Ctx } from './env.ts';
import { renderDocument } from './layout.tsx';

const TITLES: Readonly<Record<number, string>> = {
  400: 'That cannot be read',
  401: 'Please sign in',
  403: 'Not allowed',
  404: 'Not there',
  409: 'Too late',
  413: 'Too large',
  415: 'Not a form',
  421: 'Wrong host',
  429: 'Too many attempts',
  503: 'Redis cannot be reached',
};

/** `message` is ours, never raw outside text. Anything that does not take HTML gets one line of text. */
export async function refusal(
  c: Ctx,
  status: ContentfulStatusCode,
  message: string,
  title = TITLES[status] ?? 'Something went wrong',
): Promise<Response> {
  if (!(c.req.header('accept') ?? '').includes('text/html')) return c.text(`${title}: ${message}\n`, status);
  const body = (
    <>
      <h1>{title}</h1>
      <p role="alert">{message}</p>
      {reauthentication(c, status)}
      {c.var.actor === undefined ? null : (
        <p>
          <a href={`${c.var.base}/`}>To the start page</a>
        </p>
      )}
    </>
  );
  return renderDocument(c, { title, status, brake: null }, body);
}

function reauthentication(c: Ctx, status: number) {
  if (status !== 403 || c.var.actor === undefined || c.var.fresh) return null;
  const href = c.var.deps.reauthenticate?.(c.var.base + refererPath(c));
  if (href === undefined) return null;
  return (
    <p>
      <a href={href}>Confirm it is you</a>
    </p>
  );
}

/** The page to come back to: only one of ours. */
function refererPath(c: Ctx): string {
  const { base } = c.var;
  try {
    const from = new URL(c.req.header('referer') ?? '');
    if (from.host !== c.req.header('host') || !from.pathname.startsWith(`${base}/`)) return '/';
    return from.pathname.slice(base.length) + from.search;
  } catch {
    return '/';
  }
}
