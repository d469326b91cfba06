/** One field that finds a case, an address, a network or a user, by what it looks like. */

import { isIP } from 'node:net';
import type { Hono } from 'hono';
import { isCaseNumber } from '../domain/case-number.ts';
import type { ConsoleEnv } from './env.ts';
import { addressPath, incidentPath, networkPath, userPath } from './paths.ts';

export function findRoutes(app: Hono<ConsoleEnv>): void {
  app.get('/find', (c) => c.redirect(c.var.base + found((c.req.query('q') ?? '').trim().slice(0, 256)), 303));
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
