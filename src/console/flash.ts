/** One message for the next page, in a cookie that only we could have written and that is gone once shown. */

import { createHmac } from 'node:crypto';
import { deleteCookie, getCookie, setCookie } from 'hono/cookie';
import { sameText } from './access.ts';
import type { Ctx } from './env.ts';

const COOKIE = 'desk-said';

const path = (c: Ctx) => `${c.var.base}/`;

export function setFlash(c: Ctx, message: string): void {
  const text = Buffer.from(message.slice(0, 300)).toString('base64url');
  const value = `${text}.${signature(c, text)}`;
  setCookie(c, COOKIE, value, { path: path(c), httpOnly: true, sameSite: 'Strict', maxAge: 60 });
}

export function takeFlash(c: Ctx): string | null {
  const value = getCookie(c, COOKIE);
  if (value === undefined) return null;
  deleteCookie(c, COOKIE, { path: path(c) });
  const [text = '', mark = ''] = value.split('.');
  return sameText(mark, signature(c, text)) ? Buffer.from(text, 'base64url').toString() : null;
}

function signature(c: Ctx, text: string): string {
  return createHmac('sha256', c.var.flashKey).update(`flash\0${text}`).digest('base64url');
}
