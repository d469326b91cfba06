/** One https GET (RFC 9110) with everything bounded: where it may go, how long it may take, how much it may send. */

import { type IncomingHttpHeaders, type IncomingMessage, request } from 'node:http';
import type { Socket } from 'node:net';
import { type Readable, Transform } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';
import { deadlineProblem, openSocket, RegistryProblem, type Transport } from './transport.ts';

export interface GetOptions {
  readonly transport: Transport;
  /** May this host be asked? Called for each hop, before anything is looked up; throws to stop. */
  admit(host: string): void;
  readonly accept: string;
  /** Of the body, as it comes and unpacked. */
  readonly maxBytes: number;
  /** Ends the whole: names, connections, redirects, body. */
  readonly signal: AbortSignal;
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** Who answered in the end. */
  readonly host: string;
  /** Unpacked and capped: it fails with a RegistryProblem. Read it or call `close`. */
  readonly body: Readable;
  close(): void;
}

const MAX_REDIRECTS = 5;
const MAX_HEADER_BYTES = 16_384;
const AGENT = 'session-bouncer (+registry evidence)';

/** Follows redirects by hand, each checked like the first address. Throws RegistryProblem, and what `admit` throws. */
export async function get(first: string, options: GetOptions): Promise<Answer> {
  let url = new URL(first);
  for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
    checkUrl(url);
    options.admit(url.hostname);
    const { response, socket } = await ask(url, options);
    const next = redirectOf(response, url);
    if (next === null) return answerOf(response, socket, url.hostname, options);
    socket.destroy();
    url = next;
  }
  throw new RegistryProblem('error', 'too_many_redirects');
}

/** https on its own port, no password: an address on a list is not yet a service on a list. */
function checkUrl(url: URL): void {
  if (url.protocol !== 'https:' || url.port !== '' || url.username !== '' || url.password !== '') {
    throw new RegistryProblem('blocked-referral', 'not_plain_https');
  }
}

function redirectOf({ statusCode = 0, headers }: IncomingMessage, from: URL): URL | null {
  if (![301, 302, 303, 307, 308].includes(statusCode)) return null;
  const location = headers.location ?? '';
  if (location === '' || location.length > 2048 || !URL.canParse(location, from.href)) {
    throw new RegistryProblem('error', 'bad_redirect');
  }
  return new URL(location, from.href);
}

interface Asked {
  readonly response: IncomingMessage;
  readonly socket: Socket;
}

async function ask(url: URL, { transport, accept, signal }: GetOptions): Promise<Asked> {
  // An IPv6 host stands in brackets in an address, and without them everywhere else.
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const socket = await openSocket(transport, { host, port: 443, secure: true }, signal);
  try {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const headers = {
        host: url.host,
        accept,
        'accept-encoding': 'identity',
        'user-agent': AGENT,
        connection: 'close',
      };
      const path = url.pathname + url.search;
      const sent = request({ createConnection: () => socket, path, headers, maxHeaderSize: MAX_HEADER_BYTES });
      sent.on('error', reject);
      sent.on('response', resolve);
      // A server that would rather talk something else has ended the conversation.
      sent.on('upgrade', () => reject(new RegistryProblem('error', 'not_http')));
      sent.end();
    });
    return { response, socket };
  } catch (cause) {
    socket.destroy();
    if (signal.aborted) throw deadlineProblem();
    throw cause instanceof RegistryProblem ? cause : new RegistryProblem('error', 'not_http', { cause });
  }
}

function answerOf(response: IncomingMessage, socket: Socket, host: string, options: GetOptions): Answer {
  const close = () => socket.destroy();
  const unpack = unpackerOf(response.headers['content-encoding']);
  if (unpack === null) {
    close();
    throw new RegistryProblem('error', 'encoding');
  }
  const stages: Transform[] = [cap(options.maxBytes), ...(unpack === 'none' ? [] : [unpack(), cap(options.maxBytes)])];
  const last = stages.reduce<Readable>((from, to) => chain(from, to, options.signal), response);
  last.once('close', close);
  // Whoever reads sees the error; a body that nobody reads must not end the process.
  last.on('error', close);
  return { status: response.statusCode ?? 0, headers: response.headers, host, body: last, close };
}

/** `pipe` that passes failures on. */
function chain(from: Readable, to: Transform, signal: AbortSignal): Transform {
  const fail = (cause: unknown) => {
    const isOurs = cause instanceof RegistryProblem;
    to.destroy(signal.aborted ? deadlineProblem() : isOurs ? cause : new RegistryProblem('error', 'broken_body'));
  };
  from.on('error', fail);
  from.once('close', () => {
    if (!from.readableEnded) fail(null);
  });
  return from.pipe(to);
}

/** Asked for none, but some servers pack all the same. Null: a way of packing that we do not know. */
function unpackerOf(encoding: string | undefined): (() => Transform) | 'none' | null {
  switch ((encoding ?? 'identity').trim().toLowerCase()) {
    case '':
    case 'identity':
      return 'none';
    case 'gzip':
    case 'x-gzip':
      return createGunzip;
    case 'deflate':
      return createInflate;
    case 'br':
      return createBrotliDecompress;
    default:
      return null;
  }
}

/** Passes at most so many bytes on, then fails: what comes after is never held. */
function cap(maxBytes: number): Transform {
  let seen = 0;
  return new Transform({
    transform(chunk: Buffer, _, done) {
      seen += chunk.length;
      if (seen > maxBytes) done(new RegistryProblem('error', 'too_large'));
      else done(null, chunk);
    },
  });
}

/** The whole body. Throws RegistryProblem. */
export async function readAll(answer: Answer): Promise<Buffer> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of answer.body) chunks.push(chunk as Buffer);
    return Buffer.concat(chunks);
  } finally {
    answer.close();
  }
}
