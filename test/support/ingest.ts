/** An ingest over the real queue, and a sender that signs with the reference library of Standard Webhooks. */
import { randomBytes } from 'node:crypto';
import { Webhook } from 'standardwebhooks';
import { type Ingest, type IngestOptions, openIngest } from '../../src/ingest.ts';
import { type CapturedLog, captureLog, release, testRedisUrl } from './index.ts';

export const newSecret = () => `whsec_${randomBytes(32).toString('base64')}`;
export const newId = () => `msg_${randomBytes(16).toString('base64url')}`;

export interface SendOptions {
  readonly id?: string;
  readonly atMs?: number;
  readonly secret?: string;
  /** Over those of the signature; undefined takes one away. */
  readonly headers?: Readonly<Record<string, string | undefined>>;
  readonly method?: string;
}

export interface Answer {
  readonly status: number;
  readonly path: string;
  readonly body: { readonly [name: string]: unknown };
  readonly retryAfter: string | null;
}

export interface TestIngest extends Ingest {
  readonly secret: string;
  readonly log: CapturedLog;
  send(path: string, body: unknown, how?: SendOptions): Promise<Answer>;
  get(path: string): Promise<Answer>;
}

export async function openTestIngest(prefix: string, options: Partial<IngestOptions> = {}): Promise<TestIngest> {
  const log = captureLog();
  const secret = options.secrets?.[0] ?? newSecret();
  const ingest = await openIngest({ redis: testRedisUrl(), prefix, port: 0, log, secrets: [secret], ...options });
  release(() => ingest.close());
  return { ...ingest, secret, log, ...sender(ingest.url, secret) };
}

/** `body`: a text as it is, anything else as JSON. */
export function sender(url: string, secret: string): Pick<TestIngest, 'send' | 'get'> {
  return {
    async send(path, body, how = {}) {
      const text = typeof body === 'string' ? body : JSON.stringify(body);
      const { id = newId(), atMs = Date.now(), method = 'POST' } = how;
      const headers = new Headers({
        'content-type': 'application/json',
        'webhook-id': id,
        'webhook-timestamp': String(Math.floor(atMs / 1000)),
        'webhook-signature': new Webhook(how.secret ?? secret).sign(id, new Date(atMs), text),
      });
      for (const [name, value] of Object.entries(how.headers ?? {})) {
        if (value === undefined) headers.delete(name);
        else headers.set(name, value);
      }
      return answerOf(path, await fetch(`${url}${path}`, { method, headers, body: text }));
    },
    get: async (path) => answerOf(path, await fetch(`${url}${path}`)),
  };
}

async function answerOf(path: string, response: Response): Promise<Answer> {
  const body = (await response.json()) as Answer['body'];
  return { status: response.status, path, body, retryAfter: response.headers.get('retry-after') };
}
