/** Node's HTTP around the app: bodies are read only when it asks for them, and an end waits for what is in hand. */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { parseAddress, parseCidr } from '../domain/address.ts';
import { clientAddress, type TrustProxy } from '../domain/forwarded.ts';
import { BouncerError, errorName } from '../errors.ts';
import type { Log } from '../ports.ts';
import { Refused, refusalResponse } from './answers.ts';
import type { IngestApp, IngestBindings } from './app.ts';

/** What is left of a refused body is taken and dropped up to here, so that its sender reads the answer. */
const DISCARD_BYTES = 1024 * 1024;
/** A client that goes on sending, or does not read, is cut off after this. */
const DRAIN_MS = 10_000;

export interface IngestServer {
  readonly port: number;
  /** Takes no new request, answers those in hand, ends. */
  close(): Promise<void>;
}

export interface ListenOptions {
  readonly host: string;
  readonly port: number;
  readonly trust: TrustProxy;
  readonly log: Log;
}

export async function serve(app: IngestApp, { host, port, trust, log }: ListenOptions): Promise<IngestServer> {
  const server = createServer({
    headersTimeout: 10_000,
    requestTimeout: 15_000,
    keepAliveTimeout: 65_000, // longer than the usual 60 s of a proxy: it must not meet a connection that just ended
    maxHeaderSize: 16_384,
  });
  let closing = false;
  server.on('request', (req, res) => {
    if (closing) res.setHeader('connection', 'close');
    answer(app, req, res, trust).catch((error: unknown) => {
      log.debug({ event: 'ingest_broken_off', error: errorName(error) }, 'A request was broken off');
      res.destroy();
    });
  });
  await listening(server, port, host);
  return {
    port: (server.address() as AddressInfo).port,
    close() {
      closing = true;
      return closed(server);
    },
  };
}

async function answer(app: IngestApp, req: IncomingMessage, res: ServerResponse, trust: TrustProxy): Promise<void> {
  const request = requestOf(req);
  const bindings: IngestBindings = { sender: senderOf(req, trust), body: (limit) => bodyOf(req, limit) };
  const response =
    request === null ? refusalResponse(new Refused('route_unknown')) : await app.hono.fetch(request, bindings);
  const body = Buffer.from(await response.arrayBuffer());
  if (!req.complete) discard(req);
  res.writeHead(response.status, { ...Object.fromEntries(response.headers), 'content-length': body.length });
  res.end(req.method === 'HEAD' ? undefined : body);
}

/** Without its body, which is read when it is asked for. Null: it cannot be a request. */
function requestOf(req: IncomingMessage): Request | null {
  const headers = new Headers();
  try {
    for (const [name, value] of Object.entries(req.headers)) headers.set(name, String(value));
    return new Request(new URL(pathOf(req), 'http://ingest'), { method: req.method ?? 'GET', headers });
  } catch {
    return null;
  }
}

/** As it came, or out of a whole URL (absolute-form: RFC 9112, section 3.2.2). */
function pathOf({ url = '' }: IncomingMessage): string {
  if (url.startsWith('/')) return `http://ingest${url}`;
  const { pathname, search } = new URL(url);
  return pathname + search;
}

/** The /64 of IPv6 is one sender: who has one address of it has them all. A wider one may be many customers of one host. */
function senderOf({ socket, headers }: IncomingMessage, trust: TrustProxy): string {
  const read = parseAddress(clientAddress({ peer: socket.remoteAddress, headers }, trust).address);
  if (!read.ok) return 'unknown';
  return read.family === 6 ? (parseCidr(`${read.ip}/64`)?.text ?? read.ip) : read.ip;
}

async function bodyOf(req: IncomingMessage, limit: number): Promise<Uint8Array | null> {
  if (Number(req.headers['content-length'] ?? 0) > limit) return null;
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of req.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > limit) return null;
      chunks.push(chunk);
    }
  } catch {
    throw new Refused('body_invalid'); // broken off by its sender, or too slow: nobody reads this answer
  }
  return Buffer.concat(chunks);
}

function discard(req: IncomingMessage): void {
  let size = 0;
  req.on('data', (chunk: Buffer) => {
    size += chunk.length;
    if (size > DISCARD_BYTES) req.destroy();
  });
  req.on('error', () => {});
}

function listening(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        /^(EADDRINUSE|EACCES|EADDRNOTAVAIL|ENOTFOUND)$/.test(error.code ?? '')
          ? new BouncerError(
              'config_invalid',
              `ingestHost, ingestPort: nothing can listen at this host on ${port} (${error.code}); name others`,
            )
          : error,
      ),
    );
    server.listen(port, host, () => resolve());
  });
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const force = setTimeout(() => server.closeAllConnections(), DRAIN_MS);
    server.close(() => {
      clearTimeout(force);
      resolve();
    });
    server.closeIdleConnections();
  });
}
