/** The RDAP client (RFC 9082, RFC 7480): one question about one address, to hosts on the list only. */

import type { ValidAddress } from '../../domain/address.ts';
import type { Registry } from '../../domain/registry.ts';
import { REGISTRIES, rdapRegistry } from './bootstrap.ts';
import { get, readAll } from './http.ts';
import { readRdap } from './rdap-answer.ts';
import type { Reply } from './reply.ts';
import { RegistryProblem, type Transport } from './transport.ts';

/** Of an answer, as it comes and unpacked. */
export const MAX_ANSWER_BYTES = 262_144;

/** What every question of ours needs. */
export interface Asking {
  readonly transport: Transport;
  readonly signal: AbortSignal;
  readonly nowMs: number;
  /** Takes one question off the budget of a registry that we are sent on to; throws when it has none. */
  admit(registry: Registry): void;
}

/** A reply and who gave it. */
export interface Replied {
  readonly reply: Reply;
  readonly registry: Registry;
  readonly host: string;
}

/** Never throws for what a server does; only what `admit` throws comes through. */
export async function askRdap(address: ValidAddress, registry: Registry, asking: Asking): Promise<Replied> {
  const base = REGISTRIES[registry].rdap;
  let at = { registry, host: new URL(base).hostname };
  const admit = (host: string): void => {
    const owner = rdapRegistry(host);
    if (owner === null) throw new RegistryProblem('blocked-referral', 'host_not_listed');
    // The first question has been paid for; another hop to the same registry is part of it.
    if (owner !== at.registry) asking.admit(owner);
    at = { registry: owner, host };
  };
  try {
    const answer = await get(`${base}ip/${encodeURI(address.ip)}`, {
      transport: asking.transport,
      admit,
      accept: 'application/rdap+json, application/json;q=0.9',
      maxBytes: MAX_ANSWER_BYTES,
      signal: asking.signal,
    });
    // A refusal is told by its status; how much of a page comes with it does not matter.
    const isBodyWanted = answer.status === 200;
    if (!isBodyWanted) answer.close();
    const body = isBodyWanted ? await readAll(answer) : Buffer.alloc(0);
    return { ...at, reply: readRdap({ status: answer.status, headers: answer.headers, body }, address, asking.nowMs) };
  } catch (error) {
    if (!(error instanceof RegistryProblem)) throw error;
    return { ...at, reply: { status: error.status, reason: error.reason } };
  }
}
