/** Who may do what: roles, recent proof of identity, and whether a form is one of ours. */

import { createHmac, timingSafeEqual } from 'node:crypto';
import type { MiddlewareHandler } from 'hono';
import type { Role } from '../desk-ports.ts';
import type { ConsoleEnv, Ctx } from './env.ts';
import { refusal } from './refusal.tsx';

const RANK: Readonly<Record<Role, number>> = { viewer: 1, analyst: 2, admin: 3 };

export function mayAct(as: Role, needed: Role): boolean {
  return (RANK[as] ?? 0) >= RANK[needed];
}

export function isRole(value: unknown): value is Role {
  return typeof value === 'string' && Object.hasOwn(RANK, value);
}

/** What a test (and the pages) can ask of a route's middleware. */
export interface RoleGuard extends MiddlewareHandler<ConsoleEnv> {
  readonly needs: Role;
}
export interface FreshGuard extends MiddlewareHandler<ConsoleEnv> {
  readonly needsFresh: true;
}

/** Every route that writes has one; reading is for every role. */
export function requireRole(role: Role): RoleGuard {
  const guard: MiddlewareHandler<ConsoleEnv> = async (c, next) => {
    if (!mayAct(c.var.actor.role, role)) return refusal(c, 403, `This needs the role ${role}.`);
    return next();
  };
  return Object.assign(guard, { needs: role });
}

/** For what cannot be taken back easily: the person proves again who they are. See `Access.fresh`. */
export function requireFresh(): FreshGuard {
  const guard: MiddlewareHandler<ConsoleEnv> = async (c, next) => {
    if (!c.var.fresh) return refusal(c, 403, 'This needs your password again. Confirm it, then repeat what you did.');
    return next();
  };
  return Object.assign(guard, { needsFresh: true as const });
}

export function csrfToken(key: string, by: string): string {
  return createHmac('sha256', key).update(`csrf\0${by}`).digest('base64url');
}

export function sameText(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}

/** Did one of our own pages send this? Browsers say where a POST comes from, by one header or the other. */
export function fromOwnPage(c: Ctx): boolean {
  // The browser's own word; where it gives none (plain http, old ones), the names must be the same. Only the names: a
  // proxy may end TLS, so that we see http and the browser says https.
  const site = c.req.header('sec-fetch-site');
  if (site !== undefined) return site === 'same-origin';
  const origin = c.req.header('origin');
  return origin !== undefined && hostOf(origin) === (c.req.header('host') ?? new URL(c.req.url).host).toLowerCase();
}

function hostOf(origin: string): string | null {
  try {
    return new URL(origin).host;
  } catch {
    return null;
  }
}
