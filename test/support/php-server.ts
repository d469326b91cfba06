/**
 * The example site under `php -S` with several processes. For tests and benchmarks, so without Jest. The shell between us
 * and PHP ends its whole group when we let go of its input, also when we are killed outright: PHP's server leaves its
 * processes behind when it is told to end.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { freePort } from '../../examples/support/private-redis.ts';

export interface PhpSiteOptions {
  /** Of the bouncer, and of PHP's sessions where `sessionsUrl` is left out. */
  readonly redisUrl: string;
  readonly sessionsUrl?: string;
  readonly prefix: string;
  readonly ingestUrl: string;
  readonly secret: string;
  readonly key: string;
  /** `-d` settings of PHP's, over ours. */
  readonly ini?: Readonly<Record<string, string>>;
  readonly workers?: number;
  /** How long PHP waits for us, in place of its 0.25 seconds: the machine may be busy with other tests. */
  readonly timeoutSeconds?: number;
}

export interface PhpSite {
  readonly url: string;
  /** What PHP wrote into its log: errors and its list of requests. */
  log(): string;
  stop(): Promise<void>;
}

/** What phpredis puts before a session's id. */
export const sessionPrefixOf = (prefix: string): string => `${prefix}:php:`;

export async function startPhpSite(options: PhpSiteOptions): Promise<PhpSite> {
  const port = await freePort();
  const root = projectRoot();
  const args = [
    ...phpSettings(options),
    ...['-S', `127.0.0.1:${port}`, '-t', join(root, 'examples/php'), join(root, 'test/support/php/site.php')],
  ];
  const { log, stop } = startPhp(['php', ...args], envOf(options));
  if (!(await answers(port))) {
    await stop();
    throw new Error(`php -S does not answer: ${log().slice(0, 1000)}`);
  }
  return { url: `http://127.0.0.1:${port}`, log, stop };
}

/** Any of PHP's servers, with all its processes: php-fpm makes a group of its own for them. */
export function startPhp(command: readonly string[], env: Readonly<Record<string, string>>): Omit<PhpSite, 'url'> {
  const child = spawn('sh', ['-c', '"$@" & read -r _; kill -s KILL -- "-$!"; kill -KILL 0', 'sh', ...command], {
    detached: true,
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (some: string) => {
      text = (text + some).slice(-1_000_000);
    });
  }
  return { log: () => text, stop: () => stopped(child) };
}

/** As arguments of php: a site whose sessions lie in Redis. What a warning says would be seen in a page. */
export function phpSettings({
  redisUrl,
  sessionsUrl = redisUrl,
  prefix,
  ini,
}: Pick<PhpSiteOptions, 'redisUrl' | 'sessionsUrl' | 'prefix' | 'ini'>): string[] {
  const { hostname, port } = new URL(sessionsUrl);
  const settings = {
    'session.save_handler': 'redis',
    'session.save_path': `"tcp://${hostname}:${port || 6379}?prefix=${encodeURIComponent(sessionPrefixOf(prefix))}"`,
    'redis.session.lock_retries': '-1',
    'redis.session.lock_wait_time': '5000',
    'redis.session.lock_expire': '30',
    display_errors: '1',
    html_errors: '0',
    ...ini,
  };
  return Object.entries(settings).flatMap(([name, value]) => ['-d', `${name}=${value}`]);
}

export function envOf({
  redisUrl,
  prefix,
  ingestUrl,
  secret,
  key,
  workers = 4,
  timeoutSeconds = 5,
}: PhpSiteOptions): Record<string, string> {
  const { hostname, port } = new URL(redisUrl);
  return {
    REDIS_HOST: hostname,
    REDIS_PORT: port || '6379',
    BOUNCER_PREFIX: prefix,
    BOUNCER_INGEST: ingestUrl,
    BOUNCER_SECRET: secret,
    BOUNCER_KEY: key,
    BOUNCER_PROXIES: '1',
    BOUNCER_TIMEOUT: String(timeoutSeconds),
    PHP_CLI_SERVER_WORKERS: String(workers),
  };
}

async function stopped(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.stdin?.on('error', () => {}).end();
  await gone;
}

export async function answers(port: number): Promise<boolean> {
  for (let i = 0; i < 200; i++) {
    if (await accepts(port)) return true;
    await sleep(50);
  }
  return false;
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    const settle = (is: boolean) => {
      socket.destroy();
      resolve(is);
    };
    socket.once('connect', () => settle(true)).once('error', () => settle(false));
  });
}

/** This file runs from test/ and from dist/test/. */
export function projectRoot(): string {
  let dir = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(dir, 'package.json')) && dirname(dir) !== dir) dir = dirname(dir);
  return dir;
}
