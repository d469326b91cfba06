import { request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { Webhook } from 'standardwebhooks';

/** As Standard Webhooks recommends: 15 to 30 seconds, over all of it. */
export const TIMEOUT_MS = 15_000;
/** The answer's body says nothing that we need; so much of it is taken, that no receiver sees us break off without need. */
const MAX_BODY_BYTES = 65_536;
const BODY_TIMEOUT_MS = 1000;

export interface Message {
  readonly id: string;
  readonly atMs: number;
  readonly body: string;
}

export interface Target {
  readonly url: string;
  readonly secrets: readonly string[];
}

/** `status` is null where no answer came; then `why` says so. */
export type Sent =
  | { readonly status: number; readonly retryAfterMs: number | null }
  | { readonly status: null; readonly why: string };

/**
 * One attempt to tell one receiver. Never throws, follows no redirect, and ends within the time limit. A connection of its
 * own: messages are rare, and nothing is left open.
 */
export async function send({ url, secrets }: Target, message: Message, timeoutMs = TIMEOUT_MS): Promise<Sent> {
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(), timeoutMs);
  try {
    const answer = await post(new URL(url), headersOf(message, secrets), message.body, limit.signal);
    await drained(answer);
    return { status: answer.statusCode ?? 0, retryAfterMs: retryAfterOf(answer, message.atMs) };
  } catch (error) {
    return { status: null, why: limit.signal.aborted ? 'timeout' : whyOf(error) };
  } finally {
    clearTimeout(timer);
  }
}

function headersOf({ id, atMs, body }: Message, secrets: readonly string[]): Record<string, string> {
  const at = new Date(atMs);
  return {
    'content-type': 'application/json',
    'content-length': String(Buffer.byteLength(body)),
    'user-agent': 'session-bouncer',
    'webhook-id': id,
    'webhook-timestamp': String(Math.floor(atMs / 1000)),
    'webhook-signature': secrets.map((secret) => new Webhook(secret).sign(id, at, body)).join(' '),
  };
}

function post(url: URL, headers: Record<string, string>, body: string, signal: AbortSignal): Promise<IncomingMessage> {
  const options: RequestOptions = { method: 'POST', agent: false, headers, signal };
  return new Promise((resolve, reject) => {
    const request = (url.protocol === 'https:' ? httpsRequest : httpRequest)(url, options, resolve);
    request.on('error', reject);
    request.end(body);
  });
}

/** The status has come and decides: whatever the body does, we take a little of it and go. */
function drained(answer: IncomingMessage): Promise<void> {
  return new Promise((resolve) => {
    let bytes = 0;
    const timer = setTimeout(() => answer.destroy(), BODY_TIMEOUT_MS);
    answer.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > MAX_BODY_BYTES) answer.destroy();
    });
    answer.on('error', () => {});
    answer.on('close', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

/** Seconds or a date, RFC 9110. */
function retryAfterOf({ headers }: IncomingMessage, nowMs: number): number | null {
  const text = headers['retry-after'];
  if (text === undefined) return null;
  const ms = /^\d{1,9}$/.test(text) ? Number(text) * 1000 : Date.parse(text) - nowMs;
  return Number.isFinite(ms) && ms > 0 ? ms : null;
}

const CONNECTION = /^(ECONN|EPIPE|EHOST|ENET|EADDR|ETIMEDOUT|HPE_)/;

/** A code of ours for the many of Node's; their texts may quote the receiver. */
function whyOf(error: unknown): string {
  const code = String((error as { code?: unknown }).code ?? '');
  if (/^(ENOTFOUND|EAI_)/.test(code)) return 'name_unknown';
  if (/CERT|TLS|SSL|EPROTO|ALTNAME|SIGNATURE/.test(code)) return 'tls_failed';
  return CONNECTION.test(code) ? 'connection_failed' : 'send_failed';
}
