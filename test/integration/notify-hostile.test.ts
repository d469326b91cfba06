/** Receivers that mean harm, or are broken: one attempt ends in time, holds little memory and goes nowhere else. */
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { setInterval } from 'node:timers';
import { describe, expect, test } from '@jest/globals';
import { send } from '../../src/notify-send.ts';
import { release, until } from '../support/index.ts';
import { openReceiver, SECRET, status } from '../support/receiver.ts';

const MESSAGE = { id: 'brake-reset-1', body: '{"type":"brake.reset"}' };
/** Where the attempt comes to its end by itself. */
const TIMEOUT_MS = 10_000;
/** Where only the time ends it: enough for a status that comes at once. */
const SHORT_MS = 1500;

const to = (url: string, timeoutMs = TIMEOUT_MS) =>
  send({ url, secrets: [SECRET] }, { ...MESSAGE, atMs: Date.now() }, timeoutMs);

/** A server that says what it likes on the socket. */
async function rawServer(talk: (socket: Socket) => void): Promise<{ url: string; sockets: Set<Socket> }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
    socket.once('data', () => talk(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  release(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, sockets };
}

/** Again and again, as fast as the other side takes it, until the socket is gone. */
function pour(socket: Socket, text: string): void {
  const more = () => {
    while (!socket.destroyed && socket.write(text));
  };
  socket.on('drain', more);
  more();
}

function drip(socket: Socket, text: string): void {
  const timer = setInterval(() => socket.write(text), 50);
  socket.on('close', () => clearInterval(timer));
}

describe('a hostile receiver', () => {
  test('an endless body: the status counts, the connection is cut', async () => {
    const { url, sockets } = await rawServer((socket) => {
      socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
      pour(socket, `10000\r\n${'x'.repeat(65_536)}\r\n`);
    });
    expect(await to(url)).toEqual({ status: 200, retryAfterMs: null });
    await until(() => sockets.size === 0);
  });

  test('a body that never ends, drop by drop: as much', async () => {
    const { url } = await rawServer((socket) => {
      socket.write('HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n');
      drip(socket, '1\r\nx\r\n');
    });
    expect(await to(url, SHORT_MS)).toMatchObject({ status: 204 });
  });

  test('a head that never ends, drop by drop: no answer', async () => {
    const { url } = await rawServer((socket) => {
      socket.write('HTTP/1.1 200 OK\r\n');
      drip(socket, 'x-more: 1\r\n');
    });
    expect(await to(url, SHORT_MS)).toEqual({ status: null, why: 'timeout' });
  });

  test('interim answers without end: no answer', async () => {
    const { url } = await rawServer((socket) => drip(socket, 'HTTP/1.1 102 Processing\r\n\r\n'));
    expect(await to(url, SHORT_MS)).toEqual({ status: null, why: 'timeout' });
  });

  test.each([
    ['a head of a megabyte', (socket: Socket) => pour(socket, `HTTP/1.1 200 OK\r\nx-big: ${'x'.repeat(1_000_000)}`)],
    ['no HTTP', (socket: Socket) => socket.end('220 mail.example ESMTP\r\n')],
    ['nothing', (socket: Socket) => socket.end()],
  ])('%s: no answer, and none of its text is told', async (_name, talk) => {
    const { url } = await rawServer(talk);
    expect(await to(url)).toEqual({ status: null, why: 'connection_failed' });
  });

  test.each([301, 302, 303, 307, 308])('a redirect (%d) is told to nobody else', async (code) => {
    const elsewhere = await openReceiver();
    const receiver = await openReceiver();
    receiver.answer = status(code, { location: elsewhere.url });
    expect(await to(receiver.url)).toMatchObject({ status: code });
    expect([receiver.received.length, elsewhere.received.length, elsewhere.forged.length]).toEqual([1, 0, 0]);
  });

  test('Retry-After, in seconds and as a date; nonsense is none', async () => {
    const receiver = await openReceiver();
    const retryAfter = async (text: string) => {
      receiver.answer = status(503, { 'retry-after': text });
      return ((await to(receiver.url)) as { retryAfterMs: number | null }).retryAfterMs;
    };
    expect(await retryAfter('120')).toBe(120_000);
    expect(await retryAfter(new Date(Date.now() + 60_000).toUTCString())).toBeGreaterThan(50_000);
    expect([
      await retryAfter('soon'),
      await retryAfter('-5'),
      await retryAfter('Thu, 01 Jan 1970 00:00:00 GMT'),
    ]).toEqual([null, null, null]);
  });

  test('nobody there, no such name, no TLS there', async () => {
    const server = createHttpServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    release(() => server.close());
    const { port } = server.address() as AddressInfo;
    expect(await to('http://127.0.0.1:1/')).toEqual({ status: null, why: 'connection_failed' });
    expect(await to('http://nobody.invalid/')).toMatchObject({
      status: null,
      why: expect.stringMatching(/name_unknown|timeout/),
    });
    expect(await to(`https://127.0.0.1:${port}/`)).toEqual({ status: null, why: 'tls_failed' });
  });
});
