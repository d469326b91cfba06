/** The real sockets, with a real certificate: test/fixtures/tls holds one for rdap.arin.net that nobody else trusts. */
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { get, readAll } from '../../src/geo/registry/http.ts';
import { deadline, dialer, type Transport } from '../../src/geo/registry/transport.ts';
import { release } from '../support/index.ts';

const read = (name: string) => readFileSync(new URL(`../fixtures/tls/${name}`, import.meta.url), 'utf8');
const [cert, key] = [read('cert.pem'), read('key.pem')];
let port = 0;
const hosts: (string | undefined)[] = [];

beforeAll(async () => {
  const server = createServer({ cert, key }, (request, response) => {
    hosts.push(request.headers.host);
    response.end('hello');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  port = (server.address() as AddressInfo).port;
  release(() => void server.close());
});

/** Every public address is this machine's server; everything after that is the real socket's. */
function transport(ca?: string, isAllowed: (address: string) => boolean = () => true): Transport {
  const dial = dialer(isAllowed, ca);
  return {
    resolve: async () => ['9.9.9.9'],
    dial: (target, signal) => dial({ ...target, address: '127.0.0.1', port }, signal),
  };
}

async function fetched(host: string, through: Transport): Promise<string> {
  const { signal, done } = deadline(10_000);
  const options = { transport: through, admit: () => {}, accept: '*/*', maxBytes: 1000, signal };
  try {
    return (await readAll(await get(`https://${host}/x`, options))).toString();
  } finally {
    done();
  }
}

describe('https', () => {
  test('reads from a server whose certificate is trusted and for its name', async () => {
    expect(await fetched('rdap.arin.net', transport(cert))).toBe('hello');
    expect(hosts).toEqual(['rdap.arin.net']);
  });

  test('not from one for another name, nor one that nobody trusts', async () => {
    await expect(fetched('rdap.apnic.net', transport(cert))).rejects.toMatchObject({ reason: 'no_connection' });
    await expect(fetched('rdap.arin.net', transport())).rejects.toMatchObject({ reason: 'no_connection' });
    expect(hosts).toHaveLength(1);
  });

  test('not when the one who answers is not the one who was checked', async () => {
    let asked = 0;
    const turned = transport(cert, () => ++asked === 1);
    await expect(fetched('rdap.arin.net', turned)).rejects.toMatchObject({ status: 'error' });
    expect(asked).toBe(2);
    expect(hosts).toHaveLength(1);
  });
});
