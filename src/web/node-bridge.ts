/** Between Node's request and response and the web's own. Nothing of a framework. */

import type { IncomingMessage, ServerResponse } from 'node:http';

/** More than any form of ours; what is larger is refused before it is read. */
const BODY_LIMIT = 128 * 1024;

export interface Addressed {
  /** Path and query below the mount, beginning with `/`. */
  readonly target: string;
  readonly secure: boolean;
}

/** Null: it cannot be a request (no such host, a body too large); the answer is in `status`. */
export type Bridged = { readonly request: Request } | { readonly status: 400 | 413 };

/** `parsed`: what a body parser that ran before us has made of the body; undefined where none did. */
export async function webRequest(
  req: IncomingMessage,
  { target, secure }: Addressed,
  parsed: unknown,
  signal: AbortSignal,
): Promise<Bridged> {
  const method = req.method ?? 'GET';
  const url = urlOf(req, target, secure);
  if (url === null) return { status: 400 };
  const headers = headersOf(req);
  if (method === 'GET' || method === 'HEAD') return { request: new Request(url, { method, headers, signal }) };
  const body = parsed === undefined ? await bodyOf(req) : bytesOf(parsed);
  if (body === null) return { status: 413 };
  headers.delete('transfer-encoding');
  headers.set('content-length', String(body.byteLength));
  return { request: new Request(url, { method, headers, body, signal }) };
}

function urlOf(req: IncomingMessage, target: string, secure: boolean): string | null {
  const host = req.headers.host ?? String(req.headers[':authority'] ?? 'localhost');
  if (host === '' || /[/?#@\\]/.test(host)) return null;
  try {
    // Put together, not resolved: `//elsewhere/path` stays a path.
    return new URL(`${secure ? 'https' : 'http'}://${host}${target}`).href;
  } catch {
    return null;
  }
}

function headersOf(req: IncomingMessage): Headers {
  const headers = new Headers();
  for (const [name, value] of Object.entries(req.headers)) {
    if (name.startsWith(':') || value === undefined) continue;
    for (const one of typeof value === 'string' ? [value] : value) headers.append(name, one);
  }
  return headers;
}

/** Null where it is too large, or broke off. */
async function bodyOf(req: IncomingMessage): Promise<Uint8Array<ArrayBuffer> | null> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of req.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > BODY_LIMIT) return null;
    chunks.push(chunk);
  }
  return new Uint8Array(Buffer.concat(chunks));
}

/** A parsed form as it came, as far as a form has fields and texts; anything else as JSON. */
export function bytesOf(parsed: unknown): Uint8Array<ArrayBuffer> {
  if (parsed instanceof Uint8Array) return new Uint8Array(parsed);
  if (typeof parsed === 'string') return new Uint8Array(Buffer.from(parsed));
  const form = new URLSearchParams();
  for (const [name, value] of Object.entries((parsed ?? {}) as Record<string, unknown>)) {
    for (const text of textsOf(value)) form.append(name, text);
  }
  return new Uint8Array(Buffer.from(form.toString()));
}

/** Parsers make a list of a repeated field, and an object of a long list. */
function textsOf(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  if (typeof value !== 'object' || value === null) return [];
  return Object.values(value).filter((one) => typeof one === 'string');
}

/** Cookies that the app has set on the way stay. */
export async function sendResponse(response: Response, res: ServerResponse): Promise<void> {
  res.statusCode = response.status;
  for (const [name, value] of response.headers) if (name !== 'set-cookie') res.setHeader(name, value);
  for (const cookie of response.headers.getSetCookie()) res.appendHeader('set-cookie', cookie);
  if (response.body === null) return void res.end();
  const reader = response.body.getReader();
  res.once('close', () => void reader.cancel().catch(() => {}));
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    if (!res.write(value)) await drained(res);
    if (res.destroyed) return;
  }
  res.end();
}

function drained(res: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const go = () => {
      res.off('drain', go);
      res.off('close', go);
      resolve();
    };
    res.on('drain', go);
    res.on('close', go);
  });
}
