/** The example site under php-fpm, behind a small web server of ours: what most PHP sites run. Without Jest, for benchmarks too. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { freePort } from '../../examples/support/private-redis.ts';
import { askFastCgi } from './fastcgi.ts';
import { answers, envOf, type PhpSite, type PhpSiteOptions, phpSettings, projectRoot, startPhp } from './php-server.ts';

const VERSIONS = ['', '8.4', '8.3', '8.2', '8.1', '8.0', '7.4'];
let found: string | null | undefined;

/** Null where there is none, or one without phpredis. Asked once. */
export function findPhpFpm(): string | null {
  found ??= VERSIONS.flatMap((version) => [`php-fpm${version}`, `/usr/sbin/php-fpm${version}`]).find(hasRedis) ?? null;
  return found;
}

function hasRedis(command: string): boolean {
  const { status, stdout } = spawnSync(command, ['-m'], { encoding: 'utf8' });
  return status === 0 && /^redis$/m.test(stdout) && /^session$/m.test(stdout);
}

export async function startFpmSite(fpm: string, options: PhpSiteOptions): Promise<PhpSite> {
  const port = await freePort();
  const dir = mkdtempSync(join(tmpdir(), 'php-fpm-'));
  const file = join(dir, 'fpm.conf');
  const ownLog = join(dir, 'log');
  writeFileSync(file, configOf(ownLog, port, options.workers ?? 4));
  // Root's own php-fpm asks for another user to run as; these tests may run as root in a container.
  const asRoot = process.getuid?.() === 0 ? ['-R'] : [];
  const php = startPhp([fpm, '-F', ...asRoot, '-y', file, ...phpSettings(options)], envOf(options));
  let errors = '';
  const server = createServer((request, response) => {
    forward(port, request, response).then(
      (said) => {
        errors = (errors + said).slice(-1_000_000);
      },
      (error: unknown) => response.writeHead(502).end(String(error)),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const log = () => php.log() + (existsSync(ownLog) ? readFileSync(ownLog, 'utf8') : '') + errors;
  const stop = async () => {
    server.closeAllConnections();
    await Promise.all([php.stop(), new Promise((resolve) => server.close(resolve))]);
    rmSync(dir, { recursive: true });
  };
  if (!(await answers(port))) {
    const said = log();
    await stop();
    throw new Error(`php-fpm does not answer: ${said.slice(0, 1000)}`);
  }
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { url, log, stop };
}

function configOf(log: string, port: number, workers: number): string {
  return `[global]
error_log = ${log}
log_level = warning
[site]
listen = 127.0.0.1:${port}
pm = static
pm.max_children = ${workers}
clear_env = no
`;
}

/** Resolves with what PHP wrote into its log. */
async function forward(port: number, request: IncomingMessage, response: ServerResponse): Promise<string> {
  const body = await buffer(request);
  const { status, headers, body: page, errors } = await askFastCgi({ port, params: paramsOf(request, body), body });
  for (const [name, value] of headers) response.appendHeader(name, value);
  response.writeHead(status).end(page);
  return errors;
}

function paramsOf({ url = '/', method = 'GET', headers }: IncomingMessage, body: Buffer): Record<string, string> {
  const { pathname, search } = new URL(url, 'http://site');
  const params: Record<string, string> = {
    GATEWAY_INTERFACE: 'CGI/1.1',
    SERVER_PROTOCOL: 'HTTP/1.1',
    SCRIPT_FILENAME: scriptOf(pathname),
    SCRIPT_NAME: pathname,
    REQUEST_METHOD: method,
    REQUEST_URI: url,
    QUERY_STRING: search.slice(1),
    REMOTE_ADDR: '127.0.0.1',
    CONTENT_TYPE: headers['content-type'] ?? '',
    CONTENT_LENGTH: String(body.length),
  };
  for (const [name, value] of Object.entries(headers)) {
    params[`HTTP_${name.toUpperCase().replaceAll('-', '_')}`] = String(value);
  }
  return params;
}

/** A page of the example site, or one of those that the tests add to it. */
function scriptOf(pathname: string): string {
  const page = join(projectRoot(), 'examples/php', basename(pathname));
  return /\.php$/.test(page) && existsSync(page) ? page : join(projectRoot(), 'test/support/php/site.php');
}
