/** What the ingest takes, as OpenAPI shows it; and how it becomes a login event. */

import { z } from 'zod';
import { parseAddress } from '../domain/address.ts';
import { isCaseNumber } from '../domain/case-number.ts';
import type { Visit } from '../domain/incident.ts';
import { SEALED_ID } from '../domain/sealed-id.ts';
import type { LoginEvent } from '../domain/types.ts';
import { type IngestCode, Refused } from './answers.ts';

/** As many as travel in one job. */
export const MAX_LOGINS = 100;
/** Another machine's clock may run ahead by so much; what is later is a mistake. */
const AHEAD_MS = 300_000;
const USER_AGENT_KEPT = 512;
const DEVICE_ID_KEPT = 128;
/** As the gate notes them. */
const VISIT_TEXT_KEPT = 256;

/** What is no address could only be counted as unlocatable, at each login: here its sender can be told. */
const address = z
  .string()
  .max(64)
  .refine((text) => parseAddress(text).ok)
  .nullable()
  .meta({ description: "The client's address as the web server sees it (not a list, not a header); null: not known." });

/** Halves of characters (JSON can spell them) all become the same one in UTF-8: two users would be one. */
const isWhole = (text: string): boolean => !/\p{Surrogate}/u.test(text);

const userAgent = z.string().meta({ description: 'Cut to 512 characters.' });

export const loginSchema = z
  .strictObject({
    userId: z.union([z.string().min(1).max(256).refine(isWhole), z.int()]).meta({
      description:
        "The application's own id of the user. The number 7 and the text 7 are the same user; no lone surrogates.",
    }),
    address,
    loginAt: z
      .union([z.iso.datetime({ offset: true }), z.int().min(1_000_000_000_000).max(9_999_999_999_999)])
      .optional()
      .meta({ description: 'When the user authenticated: ISO 8601 with its zone, or milliseconds. Default: now.' }),
    lid: z
      .string()
      .regex(/^[\w-]{16,64}$/)
      .optional()
      .meta({
        description: 'The id of this login, carried by its session. Made, and told in the answer, when left out.',
      }),
    handle: z
      .string()
      .regex(/^[\w-]{43}$/)
      .optional()
      .meta({ description: 'base64url(sha256(session id)), never the session id. Made when left out.' }),
    userAgent: userAgent.optional(),
    deviceId: z.string().optional().meta({ description: "The application's own id of the device; cut to 128." }),
    php: z
      .string()
      .regex(SEALED_ID)
      .optional()
      .meta({ description: 'The sealed session id of a PHP session: see docs/php.md.' }),
  })
  .meta({ id: 'Login', examples: [{ userId: '42', address: '81.2.69.142', userAgent: 'Mozilla/5.0' }] });

export const loginsSchema = z
  .strictObject({ logins: z.array(loginSchema).min(1).max(MAX_LOGINS) })
  .meta({ id: 'Logins', examples: [{ logins: [{ userId: 42, address: null, loginAt: '2026-11-22T08:03:44.600Z' }] }] });

export const visitSchema = z
  .strictObject({
    case: z
      .string()
      .max(32)
      .refine(isCaseNumber)
      .meta({ description: 'The case number of the ended login, from its mark in Redis.' }),
    kind: z
      .enum(['refused', 'gotcha'])
      .meta({ description: 'refused: a request was bounced. gotcha: the gotcha page was shown.' }),
    address,
    userAgent: userAgent.optional(),
    method: z.string().optional().meta({ description: 'Default GET.' }),
    path: z.string().meta({ description: 'Without the query: it may hold secrets. Cut to 256 characters.' }),
  })
  .meta({
    id: 'Visit',
    examples: [{ case: 'K7QX-2M9F-4T8A', kind: 'refused', address: '105.112.10.20', path: '/account' }],
  });

export const acceptedSchema = z
  .strictObject({
    id: z.string().meta({ description: 'The id of this event; the same again for the same webhook-id and body.' }),
    lids: z.array(z.string()).meta({ description: 'The login ids, in the order given.' }),
  })
  .meta({ id: 'Accepted', examples: [{ id: 'in-Qm9vVHhk', lids: ['c3Hd0sKcYxkI1rT5oZ1w2uVd0rL8mB4nXq7yEa'] }] });

export const notedSchema = z
  .strictObject({
    id: z.string(),
    outcome: z.enum(['kept', 'counted', 'unknown']).meta({
      description: 'kept on the incident; only counted, as there are many; or nobody issued that case number.',
    }),
  })
  .meta({ id: 'Noted', examples: [{ id: 'in-Qm9vVHhk', outcome: 'kept' }] });

type Login = z.infer<typeof loginSchema>;

/** Makes what the sender left out; the same for the same message, so that a repeat is the same login. */
export interface Maker {
  lid(userId: string, index: number): string;
  handle(index: number): string;
}

/** One login or a list of them. Throws Refused; nothing of it is queued then. */
export function readLogins(body: unknown, nowMs: number, make: Maker): LoginEvent[] {
  const isList = typeof body === 'object' && body !== null && 'logins' in body;
  const logins = isList
    ? parsed(loginsSchema, body, 'login_invalid').logins
    : [parsed(loginSchema, body, 'login_invalid')];
  const events = logins.map((login, index) => eventOf(login, index, nowMs, make, isList ? `logins.${index}.` : ''));
  refuseTwice(events);
  return events;
}

/** Two logins of one id are one login to the worker: it would judge the first and never see the other. */
function refuseTwice(events: readonly LoginEvent[]): void {
  const seen = new Set<string>();
  for (const [index, { lid }] of events.entries()) {
    if (seen.has(lid)) throw new Refused('login_invalid', { field: `logins.${index}.lid` });
    seen.add(lid);
  }
}

function eventOf(login: Login, index: number, nowMs: number, make: Maker, at: string): LoginEvent {
  const { lid, handle, userAgent, deviceId, php } = login;
  const userId = String(login.userId);
  return {
    lid: lid ?? make.lid(userId, index),
    handle: handle ?? make.handle(index),
    userId,
    ...locatable(login.address),
    loginAtMs: timeOf(login.loginAt, nowMs, `${at}loginAt`),
    ...(userAgent === undefined ? {} : { userAgent: userAgent.slice(0, USER_AGENT_KEPT) }),
    ...(deviceId === undefined ? {} : { deviceId: deviceId.slice(0, DEVICE_ID_KEPT) }),
    ...(php === undefined ? {} : { php }),
  };
}

function locatable(text: string | null): Pick<LoginEvent, 'address' | 'addressProblem'> {
  const ip = canonical(text);
  return ip === null ? { address: null, addressProblem: 'no_address' } : { address: ip };
}

function canonical(text: string | null): string | null {
  const read = parseAddress(text);
  return read.ok ? read.ip : null;
}

/** Never in the future: everything else would look long ago. */
function timeOf(given: Login['loginAt'], nowMs: number, field: string): number {
  if (given === undefined) return nowMs;
  const atMs = typeof given === 'number' ? given : Date.parse(given);
  if (!(atMs >= 1_000_000_000_000 && atMs <= nowMs + AHEAD_MS)) throw new Refused('login_invalid', { field });
  return Math.min(atMs, nowMs);
}

/** Throws Refused. */
export function readVisit(body: unknown, nowMs: number): { readonly caseId: string; readonly visit: Visit } {
  const {
    case: caseId,
    kind,
    address,
    userAgent = '',
    method = 'GET',
    path,
  } = parsed(visitSchema, body, 'visit_invalid');
  const visit: Visit = {
    atMs: nowMs,
    kind,
    address: canonical(address),
    userAgent: userAgent.slice(0, VISIT_TEXT_KEPT),
    method: method.slice(0, 16),
    path: path.replace(/\?.*$/s, '').slice(0, VISIT_TEXT_KEPT),
  };
  return { caseId, visit };
}

function parsed<S extends z.ZodType>(schema: S, body: unknown, code: IngestCode): z.infer<S> {
  const read = schema.safeParse(body);
  if (read.success) return read.data;
  const issue = read.error.issues[0];
  // A path holds names of the schema and positions only: the objects are strict, and an unknown name is no part of it.
  const field = issue === undefined || issue.path.length === 0 ? null : issue.path.join('.');
  throw new Refused(issue?.code === 'unrecognized_keys' ? 'field_unknown' : code, { field });
}
