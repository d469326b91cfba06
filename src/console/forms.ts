/** Nothing is written but by a form of our own, sent from a page of our own, and not a large one. */

import { randomBytes } from 'node:crypto';
import { bodyLimit } from 'hono/body-limit';
import { getCookie, setCookie } from 'hono/cookie';
import { fromOwnPage, sameText } from './access.ts';
import type { Ctx } from './env.ts';
import { refusal } from './refusal.tsx';

const BODY_BYTES = 64 * 1024;

export const boundedBody = bodyLimit({
  maxSize: BODY_BYTES,
  onError: (c) => refusal(c as Ctx, 413, 'A form may hold 64 KiB at most.'),
});

/** Reads the form, once its token and its origin are right. What does not write passes. */
export async function checkForm(c: Ctx, next: () => Promise<void>): Promise<Response | undefined> {
  if (isRead(c)) {
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

export function isRead(c: Ctx): boolean {
  return c.req.method === 'GET' || c.req.method === 'HEAD';
}

/** Where there is no session of ours to bind a form's token to: a cookie that no other site can read or send. */
export function cookieKey(c: Ctx): string {
  const secure = c.env?.secure === true;
  const name = secure ? '__Host-desk-key' : 'desk-key';
  const brought = getCookie(c, name);
  if (brought !== undefined && /^[\w-]{43}$/.test(brought)) return brought;
  const fresh = randomBytes(32).toString('base64url');
  setCookie(c, name, fresh, { path: '/', httpOnly: true, sameSite: 'Strict', secure });
  return fresh;
}
