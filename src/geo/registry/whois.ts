/** The whois client (RFC 3912), for where RDAP fails: port 43, hosts on the list only, referrals included. */

import type { Socket } from 'node:net';
import type { ValidAddress } from '../../domain/address.ts';
import type { Registry } from '../../domain/registry.ts';
import { REGISTRIES, whoisRegistry } from './bootstrap.ts';
import { type Asking, MAX_ANSWER_BYTES, type Replied } from './rdap.ts';
import { deadlineProblem, openSocket, RegistryProblem, untilAborted } from './transport.ts';
import { readWhois } from './whois-answer.ts';

const PORT = 43;

/** ARIN sends on to another registry, APNIC and LACNIC at most to a national one. */
const MAX_REFERRALS = 2;

/** Never throws for what a server does; only what `asking.admit` throws comes through. */
export async function askWhois(address: ValidAddress, registry: Registry, asking: Asking): Promise<Replied> {
  let at = { registry, host: REGISTRIES[registry].whois };
  const asked = new Set<string>();
  for (let hop = 0; hop <= MAX_REFERRALS && !asked.has(at.host); hop++) {
    asked.add(at.host);
    const reply = await askOne(at.host, address, asking);
    if (reply.status !== 'referral') return { ...at, reply };
    const owner = whoisRegistry(reply.host);
    if (owner === null) return { ...at, reply: { status: 'blocked-referral' } };
    if (owner !== at.registry) asking.admit(owner);
    at = { registry: owner, host: reply.host };
  }
  return { ...at, reply: { status: 'error', reason: 'too_many_referrals' } };
}

async function askOne(host: string, address: ValidAddress, { transport, signal }: Asking): Promise<Replied['reply']> {
  try {
    const socket = await openSocket(transport, { host, port: PORT, secure: false }, signal);
    const bytes = await exchange(socket, `${queryFor(host, address)}\r\n`, signal);
    return readWhois(bytes, address, host);
  } catch (error) {
    if (!(error instanceof RegistryProblem)) throw error;
    return { status: error.status, reason: error.reason };
  }
}

/** The address is canonical: nothing of it can be read as a flag or a second line. */
function queryFor(host: string, { ip }: ValidAddress): string {
  const regional = Object.values(REGISTRIES).find(({ whois }) => whois === host);
  return regional === undefined ? ip : regional.query(ip);
}

/** Sends the query and reads until the server closes. Stops, and hangs up, at the cap. */
async function exchange(socket: Socket, query: string, signal: AbortSignal): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  const answer = new Promise<Buffer>((resolve, reject) => {
    socket.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size > MAX_ANSWER_BYTES) reject(new RegistryProblem('error', 'too_large'));
      else chunks.push(chunk);
    });
    socket.once('end', () => resolve(Buffer.concat(chunks)));
    socket.once('close', () => reject(signal.aborted ? deadlineProblem() : new RegistryProblem('error', 'closed')));
    socket.write(query);
  });
  try {
    return await untilAborted(answer, signal);
  } finally {
    socket.destroy();
  }
}
