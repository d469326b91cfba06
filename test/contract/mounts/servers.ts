/** One small server for each framework with something mounted at `/desk`, beside a route of the app's own. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { serve } from '@hono/node-server';
import express5 from 'express';
import fastify from 'fastify';
import { Hono } from 'hono';
import Koa3 from 'koa';
import type { Mountable } from '../../../src/web/mount.ts';
import { release } from '../../support/index.ts';

const require = createRequire(import.meta.url);
const express4 = require('express4') as typeof express5;
const Koa2 = require('koa2') as typeof Koa3;

export interface Mounted {
  readonly name: string;
  /** The url of the app; the mount is `/desk` below it. */
  open(mounted: Mountable): Promise<string>;
}

export const MOUNTS: readonly Mounted[] = [
  { name: 'node', open: (mounted) => listening(nodeServer(mounted)) },
  { name: 'express 4', open: (mounted) => listening(expressServer(express4, mounted, false)) },
  { name: 'express 5', open: (mounted) => listening(expressServer(express5, mounted, false)) },
  { name: 'express 4 behind parsers', open: (mounted) => listening(expressServer(express4, mounted, true)) },
  { name: 'express 5 behind parsers', open: (mounted) => listening(expressServer(express5, mounted, true)) },
  { name: 'fastify 5', open: (mounted) => openFastify(mounted, false) },
  { name: 'fastify 5 behind a parser', open: (mounted) => openFastify(mounted, true) },
  { name: 'koa 2', open: (mounted) => listening(koaServer(Koa2, mounted, false)) },
  { name: 'koa 3', open: (mounted) => listening(koaServer(Koa3, mounted, false)) },
  { name: 'koa 3 behind a parser', open: (mounted) => listening(koaServer(Koa3, mounted, true)) },
  { name: 'hono', open: (mounted) => openHono(mounted, false) },
  { name: 'hono behind a parser', open: (mounted) => openHono(mounted, true) },
];

type Listener = (req: IncomingMessage, res: ServerResponse) => unknown;

async function listening(listener: Listener): Promise<string> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  release(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function nodeServer(mounted: Mountable): Listener {
  const listener = mounted.node('/desk');
  return (req, res) => (req.url === '/own' ? res.end('own') : listener(req, res));
}

function expressServer(express: typeof express5, mounted: Mountable, parses: boolean): Listener {
  const app = express();
  if (parses) app.use(express.json(), express.urlencoded({ extended: true }));
  app.use((_req, res, next) => {
    res.append('Set-Cookie', 'app=1');
    next();
  });
  app.use('/desk', mounted.express() as never);
  app.get('/own', (_req, res) => void res.send('own'));
  return app;
}

function koaServer(Koa: typeof Koa3, mounted: Mountable, parses: boolean): Listener {
  const app = new Koa();
  app.silent = true;
  if (parses) {
    app.use(async (ctx, next) => {
      const chunks: Buffer[] = [];
      for await (const chunk of ctx.req) chunks.push(chunk as Buffer);
      const fields = new URLSearchParams(Buffer.concat(chunks).toString());
      const names = [...new Set(fields.keys())];
      const many = (name: string) => (fields.getAll(name).length > 1 ? fields.getAll(name) : fields.get(name));
      Object.assign(ctx.request, { body: Object.fromEntries(names.map((name) => [name, many(name)])) });
      await next();
    });
  }
  app.use(async (ctx, next) => {
    ctx.append('Set-Cookie', 'app=1');
    await next();
  });
  app.use(mounted.koa('/desk') as never);
  app.use((ctx) => {
    if (ctx.path === '/own') ctx.body = 'own';
  });
  return app.callback();
}

async function openFastify(mounted: Mountable, parses: boolean): Promise<string> {
  const app = fastify();
  if (parses) {
    app.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, (_request, body, done) =>
      done(null, Object.fromEntries(new URLSearchParams(String(body)))),
    );
  }
  app.addHook('onRequest', async (_request, reply) => void reply.header('set-cookie', 'app=1'));
  app.register(mounted.fastify() as never, { prefix: '/desk' });
  app.get('/own', async () => 'own');
  app.post('/own', async (request) => request.body ?? {});
  const url = await app.listen({ port: 0, host: '127.0.0.1' });
  release(async () => {
    app.server.closeAllConnections();
    await app.close();
  });
  return url;
}

async function openHono(mounted: Mountable, parses: boolean): Promise<string> {
  const app = new Hono();
  app.onError((_error, c) => c.text('Something went wrong', 500));
  app.use(async (c, next) => {
    if (parses && c.req.method === 'POST') await c.req.text();
    await next();
    c.header('Set-Cookie', 'app=1', { append: true });
  });
  app.all('/desk', mounted.hono('/desk'));
  app.all('/desk/*', mounted.hono('/desk'));
  app.get('/own', (c) => c.text('own'));
  const server = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' });
  await new Promise<void>((resolve) => server.once('listening', resolve));
  release(() => {
    (server as ReturnType<typeof createServer>).closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
