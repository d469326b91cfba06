/** The console as a browser meets it, over any desk: pages by path, forms with their token. */
import { csrfToken } from '../../src/console/access.ts';
import { consoleApp } from '../../src/console/app.tsx';
import type { Desk, Role } from '../../src/desk-ports.ts';
import { captureLog } from './index.ts';

const KEY = 'the key of one session of a test';

export interface Visitor {
  readonly role?: Role | null;
  readonly by?: string;
  readonly fresh?: boolean;
}

export interface Page {
  readonly status: number;
  readonly html: string;
  /** Of a redirect. */
  readonly location: string | null;
  /** What the next page will say. */
  readonly flash: string | null;
  /** What a reader sees: no tags, entities resolved. */
  readonly text: string;
}

export interface TestConsole {
  get(path: string, as?: Visitor): Promise<Page>;
  post(path: string, fields: Fields, as?: Visitor): Promise<Page>;
  /** As `post`, without a token of its own. */
  send(path: string, fields: Fields, as?: Visitor): Promise<Page>;
  readonly log: ReturnType<typeof captureLog>;
}

export type Fields = Readonly<Record<string, string | readonly string[]>>;

export function openConsole(desk: Desk, base = ''): TestConsole {
  const log = captureLog();
  let visitor: Visitor = {};
  const app = consoleApp({
    desk,
    clock: Date.now,
    log,
    reauthenticate: (back) => `/again?back=${encodeURIComponent(back)}`,
    authorize: async () => {
      const { role = 'admin', by = 'rita', fresh = true } = visitor;
      return role === null ? null : { actor: { by, role }, fresh, csrfKey: KEY };
    },
  });
  const request = async (path: string, init: RequestInit, as: Visitor): Promise<Page> => {
    visitor = as;
    const headers = { accept: 'text/html', 'sec-fetch-site': 'same-origin', ...init.headers };
    const response = await app.request(`http://desk.test${path}`, { ...init, headers }, { base });
    const html = await response.text();
    const { status, headers: got } = response;
    return { status, html, location: got.get('location'), flash: flashOf(got), text: textOf(html) };
  };
  const send = (path: string, fields: Fields, as: Visitor = {}): Promise<Page> => {
    const body = new URLSearchParams();
    for (const [name, value] of Object.entries(fields)) for (const one of [value].flat()) body.append(name, one);
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    return request(path, { method: 'POST', body: body.toString(), headers }, as);
  };
  return {
    log,
    get: (path, as = {}) => request(path, {}, as),
    send,
    post: (path, fields, as = {}) => send(path, { csrf: csrfToken(KEY, as.by ?? 'rita'), ...fields }, as),
  };
}

function flashOf(headers: Headers): string | null {
  const cookie = headers.getSetCookie().find((one) => one.startsWith('desk-said='));
  const value = cookie?.slice('desk-said='.length).split(/[.;]/)[0] ?? '';
  return value === '' ? null : Buffer.from(value, 'base64url').toString();
}

const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', '#39': "'" };

function textOf(html: string): string {
  return html
    .replace(/<script\b[^>]*><\/script>/g, '')
    .replace(/<[^>]*>/g, ' ')
    .replace(/&(amp|lt|gt|quot|#39);/g, (_, name: string) => ENTITIES[name] ?? '')
    .replace(/\s+/g, ' ')
    .trim();
}
