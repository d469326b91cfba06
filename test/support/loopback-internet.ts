/**
 * An internet of servers on 127.0.0.1: each `host:port` is led to a server of the test's own, without TLS. Names, addresses,
 * the check of addresses, redirects, limits and parsing are the real ones.
 */
import { createServer as createHttp, type RequestListener } from 'node:http';
import { type AddressInfo, connect, createServer as createTcp, type Server, type Socket } from 'node:net';
import { opened, RegistryProblem, type Transport } from '../../src/geo/registry/transport.ts';
import { release } from './release.ts';

export class LoopbackInternet implements Transport {
  /** Every connection that was made: `host:port`. */
  readonly dialled: string[] = [];
  readonly #ports = new Map<string, number>();
  readonly #addresses = new Map<string, readonly string[]>();

  /** `serve('rdap.arin.net:443', port)`. A host has a public address of its own unless `pointTo` says otherwise. */
  serve(where: string, port: number): void {
    this.#ports.set(where, port);
    const host = where.slice(0, where.lastIndexOf(':'));
    if (!this.#addresses.has(host)) this.#addresses.set(host, [`9.9.9.${this.#addresses.size + 1}`]);
  }

  pointTo(host: string, ...addresses: readonly string[]): void {
    this.#addresses.set(host, addresses);
  }

  async resolve(host: string): Promise<readonly string[]> {
    if (/^[\d.]+$|:/.test(host)) return [host];
    return this.#addresses.get(host) ?? [];
  }

  async dial(target: { host: string; port: number }, signal: AbortSignal): Promise<Socket> {
    const where = `${target.host}:${target.port}`;
    this.dialled.push(where);
    const port = this.#ports.get(where);
    if (port === undefined) throw new RegistryProblem('error', 'ECONNREFUSED');
    return opened(connect(port, '127.0.0.1'), 'connect', signal);
  }
}

export interface Listening {
  readonly port: number;
  /** Connections so far, and open now. */
  readonly counts: { made: number; open: number };
}

async function listen(server: Server): Promise<Listening> {
  const sockets = new Set<Socket>();
  const counts = { made: 0, open: 0 };
  server.on('connection', (socket: Socket) => {
    counts.made += 1;
    counts.open += 1;
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => {
      counts.open -= 1;
      sockets.delete(socket);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  release(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return { port: (server.address() as AddressInfo).port, counts };
}

/** A web server on a free port, closed after the file. */
export const webServer = (handle: RequestListener): Promise<Listening> => listen(createHttp(handle));

/** A server that gets the first line of each connection, as whois does. */
export function lineServer(handle: (line: string, socket: Socket) => void): Promise<Listening> {
  const server = createTcp((socket) => {
    let text = '';
    socket.on('data', (chunk) => {
      if (text.includes('\n')) return;
      text += chunk.toString();
      if (text.includes('\n')) handle(text.trim(), socket);
    });
  });
  return listen(server);
}
