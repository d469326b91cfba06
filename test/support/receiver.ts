/** A webhook receiver as its owner would write it: a real HTTP server that verifies signatures with the library. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Webhook } from 'standardwebhooks';
import { release } from './index.ts';

export const SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
export const OLD_SECRET = `whsec_${Buffer.alloc(32, 9).toString('base64')}`;

export interface Received {
  readonly id: string;
  readonly type: string;
  readonly data: Readonly<Record<string, unknown>>;
  /** As it came, to assert what must not be in it. */
  readonly body: string;
  readonly headers: IncomingMessage['headers'];
  readonly path: string;
}

export type Answer = (res: ServerResponse, received: Received, attempt: number) => void;

export interface Receiver {
  readonly url: string;
  /** Those with a good signature, in order. */
  readonly received: Received[];
  /** Requests whose signature did not fit. */
  readonly forged: string[];
  /** How it answers from now on. */
  answer: Answer;
}

export const accept: Answer = (res) => void res.writeHead(204).end();

export const status =
  (code: number, headers: Record<string, string> = {}): Answer =>
  (res) =>
    void res.writeHead(code, headers).end('no');

/** Answers with these, one after the other; the last one for ever. */
export function inTurn(...answers: readonly Answer[]): Answer {
  let turn = 0;
  return (...args) => answers[Math.min(turn++, answers.length - 1)]?.(...args);
}

export async function openReceiver(secret = SECRET): Promise<Receiver> {
  const verifier = new Webhook(secret);
  const server = createServer(async (req, res) => {
    const chunks: Buffer[] = [];
    for await (const chunk of req) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks).toString();
    try {
      const verified = verifier.verify(body, req.headers as Record<string, string>) as Pick<Received, 'type' | 'data'>;
      const one = {
        ...verified,
        id: String(req.headers['webhook-id']),
        body,
        headers: req.headers,
        path: req.url ?? '',
      };
      receiver.received.push(one);
      receiver.answer(res, one, receiver.received.filter(({ id }) => id === one.id).length);
    } catch {
      receiver.forged.push(body);
      res.writeHead(401).end();
    }
  });
  server.on('clientError', (_error, socket) => socket.destroy());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  release(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  const receiver: Receiver = {
    url: `http://127.0.0.1:${port}/hooks/secret-path`,
    received: [],
    forged: [],
    answer: accept,
  };
  return receiver;
}
