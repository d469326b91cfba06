/** One field that finds a case, an address, a network or a user, by what it looks like. */

import { isIP } from 'node:net';
import type { Hono } from 'hono';
import { isCaseNumber } from '../domain/case-number.ts';
import type { ConsoleEnv } from './env.ts';
import { addressPath, incidentPath, networkPath, userPath } from './paths.ts';

export function findRoutes(app: Hono<ConsoleEnv>): void {
  app.get('/find', (c) => c.redirect(c.var.base + leadTo(c.req.query('q') ?? ''), 303));
}

/** A user may be called like an address, or with blanks around the name: the page then also leads to who is called so. */
function leadTo(asked: string): string {
  const path = found(asked.trim().slice(0, 256));
  const user = asked.slice(0, 256);
  return user === '' || path === userPath(user) ? path : withAsked(path, user);
}

function withAsked(path: string, asked: string): string {
  return `${path}${path.includes('?') ? '&' : '?'}${new URLSearchParams({ asked })}`;
}

function found(text: string): string {
  if (text === '') return '/incidents';
  const upper = text.toUpperCase();
  if (isCaseNumber(upper)) return incidentPath(upper);
  if (isIP(text) !== 0) return addressPath(text);
  const [address = '', bits = ''] = text.split('/');
  if (isIP(address) !== 0 && /^\d{1,3}$/.test(bits)) return networkPath(text);
  return userPath(text);
}
