/**
 * The reverse proxy in front of the app: the one thing on this stage that is not real. It takes the city of the login
 * form, remembers it in a cookie, and from then on writes that city's address into `X-Forwarded-For`, as if this browser
 * were there. What a client wrote into that header is thrown away, as a proxy at the edge must do.
 */
import { Agent, createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { type City, cityById } from './cities.ts';

const COOKIE = 'demo_city';
const MAX_BODY = 16_384;

/** Listens nowhere yet. `appPort`: the app's, on loopback. */
export function createProxy(appPort: number): Server {
  const agent = new Agent({ keepAlive: true });
  const server = createServer((req, res) => {
    if (!isOurName(req))
      return void res.writeHead(421, { 'Content-Type': 'text/plain' }).end('Open it as localhost.\n');
    forward(req, res, appPort, agent).catch(() => {
      if (!res.headersSent) res.writeHead(502, { 'Content-Type': 'text/plain' });
      res.end('The demo app does not answer.\n');
    });
  });
  server.on('close', () => agent.destroy());
  return server;
}

const LOOPBACK = /^(::1|(::ffff:)?127(\.\d{1,3}){3})$/;
const LOCAL_NAME = /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d{1,5})?$/i;

/**
 * Whoever opens the demo's review desk is its administrator. So on this machine's own address it answers to no other name: a
 * page elsewhere whose name was made to point here (DNS rebinding) must not read it.
 */
function isOurName({ socket, headers }: IncomingMessage): boolean {
  return !LOOPBACK.test(socket.localAddress ?? '') || LOCAL_NAME.test(headers.host ?? '');
}

async function forward(req: IncomingMessage, res: ServerResponse, port: number, agent: Agent): Promise<void> {
  const body = await readBody(req);
  const chosen = isLogin(req) ? cityById(new URLSearchParams(body.toString()).get('city')) : undefined;
  const city = chosen ?? cityOf(req);
  const { connection: _, 'transfer-encoding': __, ...headers } = req.headers;
  const answer = await ask(
    {
      host: '127.0.0.1',
      port,
      agent,
      method: req.method,
      path: req.url,
      headers: {
        ...headers,
        'content-length': body.length,
        'x-forwarded-for': city?.address ?? req.socket.remoteAddress,
      },
    },
    body,
  );
  const cookies = answer.headers['set-cookie'] ?? [];
  if (chosen) cookies.push(`${COOKIE}=${chosen.id}; Path=/; HttpOnly; SameSite=Lax`);
  const { connection: ___, 'transfer-encoding': ____, ...answered } = answer.headers;
  res.writeHead(answer.statusCode ?? 502, { ...answered, ...(cookies.length > 0 ? { 'set-cookie': cookies } : {}) });
  await pipeline(answer, res);
}

function isLogin(req: IncomingMessage): boolean {
  return req.method === 'POST' && req.url === '/login';
}

function cityOf(req: IncomingMessage): City | undefined {
  const [, id] = new RegExp(`(?:^|; )${COOKIE}=([a-z-]+)`).exec(req.headers.cookie ?? '') ?? [];
  return cityById(id);
}

async function readBody(req: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of req) {
    size += (chunk as Buffer).length;
    if (size > MAX_BODY) throw new Error('too large');
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks);
}

function ask(options: Parameters<typeof request>[1], body: Buffer): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const upstream = request(options as object, resolve);
    upstream.on('error', reject);
    upstream.end(body);
  });
}
