/** A TCP proxy: to cut a connection at an exact step, and to lead a client to another server (as after a failover). */
import { connect, createServer, type Socket } from 'node:net';
import { release } from './release.ts';

export interface Proxy {
  readonly url: string;
  /** Connections are ended and new ones refused, until `open()`. */
  cut(): void;
  /** To the same server as before, or to another one. */
  open(port?: number): void;
}

export async function startProxy(port: number): Promise<Proxy> {
  let target: number | null = port;
  let last = port;
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    if (target === null) return void client.destroy();
    const upstream = connect(target, '127.0.0.1');
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(from);
      from.on('error', () => {});
      from.on('close', () => {
        sockets.delete(from);
        to.destroy();
      });
      from.pipe(to);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const cut = () => {
    target = null;
    for (const socket of sockets) socket.destroy();
  };
  release(() => {
    cut();
    server.close();
  });
  const address = server.address();
  const own = address !== null && typeof address === 'object' ? address.port : 0;
  return {
    url: `redis://127.0.0.1:${own}`,
    cut,
    open(to = last) {
      last = to;
      target = to;
    },
  };
}
