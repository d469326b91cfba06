/** The console over a desk in memory, asked as a browser would: for tests of what the frame lets through. */
import { csrfToken } from '../../src/console/access.ts';
import { consoleApp } from '../../src/console/app.tsx';
import type { Access, ConsoleDeps } from '../../src/console/env.ts';
import { type MemoryDesk, memoryDesk } from './desk.ts';
import { type CapturedLog, captureLog } from './index.ts';

export const BASE = '/desk';
const HOST = 'desk.example';

export interface Room {
  readonly desk: MemoryDesk;
  readonly app: ReturnType<typeof consoleApp>;
  readonly log: CapturedLog;
  /** Who asks from now on; null: nobody. */
  as(access: Access | null): void;
  get(path: string, headers?: Readonly<Record<string, string>>): Promise<Response>;
  /** With this person's token and a browser's headers, unless told otherwise. */
  post(path: string, fields?: Fields, headers?: Readonly<Record<string, string | null>>): Promise<Response>;
  ask(path: string, init?: RequestInit): Promise<Response>;
}

export type Fields = Readonly<Record<string, string>>;

export function person(role: 'viewer' | 'analyst' | 'admin', over: Partial<Access> = {}): Access {
  return { actor: { by: `a-${role}`, role }, fresh: true, csrfKey: `key of ${role}`, ...over };
}

export function openRoom(deps: Partial<ConsoleDeps> = {}, desk = memoryDesk()): Room {
  const log = captureLog();
  let who: Access | null = person('admin');
  const app = consoleApp({ desk, clock: Date.now, log, authorize: async () => who, ...deps });
  const ask = async (path: string, init: RequestInit = {}) =>
    app.request(`http://${HOST}${path}`, init, { base: BASE, native: undefined, secure: false });
  const get = (path: string, headers = {}) => ask(path, { headers: { accept: 'text/html', ...headers } });
  return {
    desk,
    app,
    log,
    ask,
    get,
    as: (access) => {
      who = access;
    },
    async post(path, fields = {}, headers = {}) {
      const token = who === null ? '' : csrfToken(who.csrfKey ?? '', who.actor.by);
      const sent = {
        accept: 'text/html',
        'content-type': 'application/x-www-form-urlencoded',
        host: HOST,
        'sec-fetch-site': 'same-origin',
        origin: `http://${HOST}`,
        ...headers,
      };
      const kept = Object.entries(sent).filter((pair): pair is [string, string] => pair[1] !== null);
      return ask(path, {
        method: 'POST',
        headers: Object.fromEntries(kept),
        body: new URLSearchParams({ csrf: token, ...fields }).toString(),
      });
    },
  };
}
