/**
 * Connections to registries and geofeed hosts. A host's addresses are looked up by us, checked, and the very address that was
 * checked is connected to: nothing can answer another one in between (DNS rebinding), and nothing internal is reached.
 */

import { lookup } from 'node:dns/promises';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { parseAddress } from '../../domain/address.ts';
import { errorName } from '../../errors.ts';

export interface Target {
  /** For the certificate and the `Host` header. */
  readonly host: string;
  /** An address that was checked. */
  readonly address: string;
  readonly port: number;
  /** With TLS, and a certificate for `host`. */
  readonly secure: boolean;
}

/** How we reach the world. Tests lead each host to a port of their own; whether an address may be used is not theirs to say. */
export interface Transport {
  /** All addresses of a host. May throw. */
  resolve(host: string): Promise<readonly string[]>;
  /** Opens a connection. Throws when it cannot; the socket dies with the signal. */
  dial(target: Target, signal: AbortSignal): Promise<Socket>;
}

/** Why there was no answer. `reason` is a fixed word. */
export class RegistryProblem extends Error {
  readonly status: 'error' | 'blocked-referral';
  readonly reason: string;

  constructor(status: 'error' | 'blocked-referral', reason: string, options?: ErrorOptions) {
    super(reason, options);
    this.name = 'RegistryProblem';
    this.status = status;
    this.reason = reason;
  }
}

/** At most this many of a host's addresses are tried. */
const MAX_TRIES = 2;

/** Connects to the first public address of a host that answers. Throws RegistryProblem. */
export async function openSocket(
  transport: Transport,
  where: Omit<Target, 'address'>,
  signal: AbortSignal,
): Promise<Socket> {
  const addresses = await publicAddresses(transport, where.host, signal);
  let cause: unknown;
  for (const address of addresses.slice(0, MAX_TRIES)) {
    try {
      return await transport.dial({ ...where, address }, signal);
    } catch (error) {
      if (signal.aborted) throw deadlineProblem();
      cause = error;
    }
  }
  throw new RegistryProblem('error', 'no_connection', { cause });
}

/** IPv4 first: a machine without IPv6 would lose its time on the other. One address that is not public spoils them all. */
async function publicAddresses(transport: Transport, host: string, signal: AbortSignal): Promise<readonly string[]> {
  let found: readonly string[];
  try {
    found = await untilAborted(transport.resolve(host), signal);
  } catch (cause) {
    if (signal.aborted) throw deadlineProblem();
    throw new RegistryProblem('error', 'no_such_host', { cause });
  }
  if (found.length === 0) throw new RegistryProblem('error', 'no_such_host');
  if (!found.every(isPublic)) throw new RegistryProblem('blocked-referral', 'not_public');
  return [...found].sort((a, b) => Number(a.includes(':')) - Number(b.includes(':')));
}

/** Neither private, loopback, link-local nor any other special range, nor a tunnel that may lead into one. */
export function isPublic(address: string): boolean {
  const parsed = parseAddress(address);
  return parsed.ok && parsed.kind === 'global' && parsed.zone === undefined;
}

export const deadlineProblem = (): RegistryProblem => new RegistryProblem('error', 'deadline');

/** The promise, or a rejection as soon as the signal fires. */
export function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const onAbort = () => reject(deadlineProblem());
    if (signal.aborted) {
      work.catch(() => {}); // nobody waits for it any more
      return onAbort();
    }
    signal.addEventListener('abort', onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

/** One signal for a piece of work; `done` must be called, it stops the clock. */
export function deadline(ms: number): { signal: AbortSignal; done(): void } {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), ms);
  return { signal: controller.signal, done: () => clearTimeout(timer) };
}

/** The real world. */
export const internet: Transport = {
  resolve: async (host) => (await lookup(host, { all: true, verbatim: true })).map(({ address }) => address),
  dial: dialer(isPublic),
};

/** How sockets are opened; a test may allow its own machine, with a certificate authority of its own. */
export function dialer(isAllowed: (address: string) => boolean, ca?: string): Transport['dial'] {
  // Who really answers: a system that turns connections to another machine must not lead us inside.
  const check = (address: string): void => {
    if (!isAllowed(address)) throw new RegistryProblem('blocked-referral', 'not_public');
  };
  return async ({ host, address, port, secure }, signal) => {
    check(address);
    const socket = secure
      ? connectTls({ host: address, port, servername: host, ALPNProtocols: ['http/1.1'], ...(ca ? { ca } : {}) })
      : connectTcp({ host: address, port });
    return opened(socket, secure ? 'secureConnect' : 'connect', signal, (peer) => check(peer.remoteAddress ?? ''));
  };
}

/** Resolves when the socket is ready; destroys it when it fails, or when the signal fires at any later time. */
export function opened(
  socket: Socket,
  event: 'connect' | 'secureConnect',
  signal: AbortSignal,
  check: (socket: Socket) => void = () => {},
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const onAbort = () => socket.destroy(deadlineProblem());
    const fail = (cause: unknown) => {
      socket.destroy();
      reject(new RegistryProblem('error', errorName(cause), { cause }));
    };
    signal.addEventListener('abort', onAbort, { once: true });
    socket.once('close', () => {
      signal.removeEventListener('abort', onAbort);
      reject(new RegistryProblem('error', 'closed'));
    });
    // Kept for the socket's whole life: a reset after the answer must not become an uncaught error.
    socket.on('error', fail);
    socket.once(event, () => {
      try {
        check(socket);
        resolve(socket);
      } catch (error) {
        fail(error);
      }
    });
    if (signal.aborted) onAbort();
  });
}
