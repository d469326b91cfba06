/** The answers in test/fixtures/whois, each through the real client: its server on loopback, its status and headers. */
import { readFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { describe, expect, test } from '@jest/globals';
import { parseAddress, type ValidAddress } from '../../../src/domain/address.ts';
import type { Registry } from '../../../src/domain/registry.ts';
import { rdapRegistry, whoisRegistry } from '../../../src/geo/registry/bootstrap.ts';
import { askRdap } from '../../../src/geo/registry/rdap.ts';
import type { Reply } from '../../../src/geo/registry/reply.ts';
import { deadline } from '../../../src/geo/registry/transport.ts';
import { askWhois } from '../../../src/geo/registry/whois.ts';
import { LoopbackInternet, lineServer, webServer } from '../../support/loopback-internet.ts';
import '../../support/index.ts';

interface Case {
  readonly id: string;
  readonly kind: 'rdap' | 'whois';
  readonly file: string;
  readonly server: string;
  readonly ip: string;
  readonly http?: { readonly status: number; readonly headers: Record<string, string> };
  readonly expect: {
    readonly status: Reply['status'];
    readonly country?: string | null;
    readonly geofeed?: string;
    readonly mustNotConnect?: string;
  };
}

const folder = new URL('../../fixtures/whois/', import.meta.url);
const cases = JSON.parse(readFileSync(new URL('cases.json', folder), 'utf8')) as Case[];
const NOW = Date.parse('2026-11-22T04:59:50Z');

function addressOf(text: string): ValidAddress {
  const address = parseAddress(text);
  if (!address.ok) throw new Error('the case names no address');
  return address;
}

function answer(one: Case, response: ServerResponse): void {
  response.writeHead(one.http?.status ?? 200, one.http?.headers);
  const body = readFileSync(new URL(one.file, folder));
  if (one.id !== 'syn-huge-body') return void response.end(body);
  // The case says: an endless JSON string.
  response.write(body);
  const more = () => {
    while (!response.destroyed && response.write('x'.repeat(65_536))) {}
  };
  response.on('drain', more);
  more();
}

async function run(one: Case): Promise<{ reply: Reply; dialled: readonly string[] }> {
  const net = new LoopbackInternet();
  const { signal, done } = deadline(5000);
  const asking = { transport: net, signal, nowMs: NOW, admit: () => {} };
  const registry = (one.kind === 'rdap' ? rdapRegistry(one.server) : whoisRegistry(one.server)) as Registry;
  try {
    if (one.kind === 'rdap') {
      const server = await webServer((_, response) => answer(one, response));
      net.serve(`${one.server}:443`, server.port);
      return { reply: (await askRdap(addressOf(one.ip), registry, asking)).reply, dialled: net.dialled };
    }
    const bytes = readFileSync(new URL(one.file, folder));
    const server = await lineServer((_, socket) => socket.end(bytes));
    net.serve(`${one.server}:43`, server.port);
    return { reply: (await askWhois(addressOf(one.ip), registry, asking)).reply, dialled: net.dialled };
  } finally {
    done();
  }
}

describe('answers of registries', () => {
  test.each(cases)('$id', async (one) => {
    const { reply, dialled } = await run(one);
    expect(reply.status).toBe(one.expect.status);
    const { country, geofeed } = { country: null, geofeed: null, ...reply };
    if (one.expect.country !== undefined) expect(country).toBe(one.expect.country);
    if (one.expect.geofeed !== undefined) expect(geofeed).toBe(one.expect.geofeed);
    expect(new Set(dialled)).toEqual(new Set([`${one.server}:${one.kind === 'rdap' ? 443 : 43}`]));
  });

  test('what an endless body, a loop and a limit come to', async () => {
    const replyOf = async (id: string) => (await run(cases.find((one) => one.id === id) as Case)).reply;
    expect(await replyOf('syn-huge-body')).toEqual({ status: 'error', reason: 'too_large' });
    expect(await replyOf('syn-redirect-loop')).toEqual({ status: 'error', reason: 'too_many_redirects' });
    expect(await replyOf('syn-429-retry-after-date')).toMatchObject({ retryAfterMs: 10_000, openCircuit: true });
    expect(await replyOf('syn-429-html')).toMatchObject({ retryAfterMs: null, openCircuit: true });
  });
});
