import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from '@jest/globals';
import express from 'express';
import type { ExpressRequest, ExpressResponse } from '../../src/web/express.ts';
import { nameOnly } from '../../src/web/express-cookie.ts';

const ID = 'a'.repeat(32);
const OWN = `sid=s%3A${ID}.signature; Path=/`;

/** As much of our store as is asked; `named`: may the cookie go out? */
const storeThat = (named: boolean) => ({ [Symbol.for('session-bouncer.store')]: true, mayName: () => named });

/** A request of an established session, through the look at the headers. */
function gated(named: boolean, name: string | null) {
  return (req: object, res: object, next: () => void) => {
    Object.assign(req, { sessionStore: storeThat(named), sessionID: ID, session: {} });
    nameOnly(req as ExpressRequest, res as ExpressResponse, name);
    next();
  };
}

function answer(res: { setHeader(name: string, value: string | string[]): unknown; end(text: string): unknown }): void {
  res.setHeader('X-Other', 'other');
  res.setHeader('Set-Cookie', [OWN, 'theme=dark', `copy=s%3A${ID}.signature`]);
  res.end(Object.hasOwn(res, 'setHeader') ? 'own' : 'shared');
}

async function ask(app: RequestListener, path = '/') {
  const server = createServer(app);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    const response = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`);
    const cookies = response.headers.getSetCookie().map((line) => line.split('=')[0]);
    return { cookies, other: response.headers.get('x-other'), hook: await response.text() };
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
}

test.each([
  ['refused, its name known', false, 'sid', ['theme', 'copy']],
  ['refused, its name not known', false, null, ['theme']],
  ['allowed', true, 'sid', ['sid', 'theme', 'copy']],
] as const)('Express: the session cookie where it is %s; on the prototype of the app', async (_, named, name, left) => {
  const app = express();
  app.use(gated(named, name));
  app.get('/', (_req, res) => answer(res));
  expect(await ask(app)).toEqual({ cookies: left, other: 'other', hook: 'shared' });
  expect(await ask(app)).toEqual({ cookies: left, other: 'other', hook: 'shared' });
});

test('Express: in an app that is mounted in the gated one', async () => {
  const app = express();
  const inner = express();
  app.use(gated(false, 'sid'));
  app.use('/in', inner);
  inner.get('/', (_req, res) => answer(res));
  expect(await ask(app, '/in')).toMatchObject({ cookies: ['theme', 'copy'] });
});

test('Express: the gate in the mounted app alone', async () => {
  const app = express();
  const inner = express();
  inner.use(gated(false, 'sid'));
  inner.get('/', (_req, res) => answer(res));
  app.use('/in', inner);
  expect(await ask(app, '/in')).toMatchObject({ cookies: ['theme', 'copy'] });
});

test('Express: in a mounted app that passes the request back to its parent', async () => {
  const app = express();
  const inner = express();
  inner.use(gated(false, 'sid'));
  app.use(inner);
  app.get('/', (_req, res) => answer(res));
  expect(await ask(app)).toEqual({ cookies: ['theme', 'copy'], other: 'other', hook: 'own' });
});

test('a server without Express: on this response alone', async () => {
  const listener: RequestListener = (req, res) => gated(false, 'sid')(req, res, () => answer(res));
  expect(await ask(listener)).toEqual({ cookies: ['theme', 'copy'], other: 'other', hook: 'own' });
});

test('Express: another middleware has its own setHeader on the response', async () => {
  const app = express();
  app.use((_req, res, next) => {
    const { setHeader } = res;
    res.setHeader = (name: string, value: number | string | readonly string[]) => setHeader.call(res, name, value);
    next();
  });
  app.use(gated(false, 'sid'));
  app.get('/', (_req, res) => answer(res));
  expect(await ask(app)).toMatchObject({ cookies: ['theme', 'copy'], other: 'other' });
});
