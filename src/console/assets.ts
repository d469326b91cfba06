/** The few files that pages load. Their path holds a hash of what is in them, so that a browser may keep them for good. */

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Hono } from 'hono';
import type { ConsoleEnv } from './env.ts';

interface Asset {
  readonly type: string;
  readonly body: Uint8Array<ArrayBuffer>;
}

const own = (name: string) => new URL(`./assets/${name}`, import.meta.url);
const pico = () => createRequire(import.meta.url).resolve('@picocss/pico/css/pico.blue.min.css');

function load(): ReadonlyMap<string, Asset> {
  const asset = (file: URL | string, type: string): Asset => ({ type, body: new Uint8Array(readFileSync(file)) });
  return new Map([
    ['pico.css', asset(pico(), 'text/css; charset=utf-8')],
    ['console.css', asset(own('console.css'), 'text/css; charset=utf-8')],
    ['console.js', asset(own('console.js'), 'text/javascript; charset=utf-8')],
    ['icon.svg', asset(own('icon.svg'), 'image/svg+xml')],
  ]);
}

const ASSETS = load();
const HASH = createHash('sha256')
  .update([...ASSETS.values()].map(({ body }) => createHash('sha256').update(body).digest('hex')).join())
  .digest('hex')
  .slice(0, 16);

/** Below the mount. */
export function assetPath(name: 'pico.css' | 'console.css' | 'console.js' | 'icon.svg'): string {
  return `/assets/${HASH}/${name}`;
}

/** Open to everybody: the sign-in page needs them, and they say nothing. */
export function assetRoutes(app: Hono<ConsoleEnv>): void {
  app.get('/assets/:hash/:name', (c) => {
    const asset = ASSETS.get(c.req.param('name'));
    const hash = c.req.param('hash');
    if (asset === undefined || !/^[0-9a-f]{16}$/.test(hash)) return c.text('Not there\n', 404);
    // While processes of two versions serve one console, one is asked for what a page of the other names: better ours than none.
    if (hash !== HASH) return c.body(asset.body, 200, { 'Cache-Control': 'no-store', 'Content-Type': asset.type });
    const headers = { ETag: `"${HASH}"`, 'Cache-Control': 'public, max-age=31536000, immutable' };
    if (c.req.header('if-none-match') === `"${HASH}"`) return c.body(null, 304, headers);
    return c.body(asset.body, 200, { ...headers, 'Content-Type': asset.type });
  });
}
