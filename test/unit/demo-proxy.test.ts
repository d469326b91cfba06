import { request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from '@jest/globals';
import { createProxy } from '../../examples/demo/proxy.ts';
import { freePort, release } from '../support/index.ts';

test.each([
  ['localhost', 502],
  ['127.0.0.1:3000', 502],
  ['[::1]:3000', 502],
  ['rebound.example', 421],
  ['localhost.rebound.example:3000', 421],
])('the demo answers to its own name alone: %s is %d', async (host, expected) => {
  // Behind it is no app: what it lets through comes to 502.
  const proxy = createProxy(await freePort());
  await new Promise<void>((done) => void proxy.listen(0, '127.0.0.1', done));
  const { port } = proxy.address() as AddressInfo;
  release(() => new Promise<void>((done) => void proxy.close(() => done())));
  const status = await new Promise((done, failed) => {
    const asked = request({ host: '127.0.0.1', port, path: '/desk', headers: { host, connection: 'close' } }, (res) => {
      res.resume();
      done(res.statusCode);
    });
    asked.on('error', failed).end();
  });
  expect(status).toBe(expected);
});
