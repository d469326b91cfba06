/**
 * Our side of a PHP site as processes of their own: a login worker and an ingest, and before the ingest a gate that can
 * hold a user's logins back, so that a login ends in the middle of a request. Without Jest, for benchmarks too.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { projectRoot } from './php-server.ts';

export interface OursOptions {
  readonly redisUrl: string;
  readonly prefix: string;
  readonly secret: string;
  /** More settings, as environment variables. */
  readonly env: Readonly<Record<string, string>>;
}

export interface Ours {
  /** Of the gate before the ingest. */
  readonly url: string;
  hold(userId: string): void;
  /** The login id of the login that is held back for this user. */
  heldLid(userId: string): string | null;
  /** Lets it through, as it came. Resolves with the ingest's status. */
  letThrough(userId: string): Promise<number>;
  log(): string;
  stop(): Promise<void>;
}

export async function startOurs(options: OursOptions): Promise<Ours> {
  const { redisUrl, prefix, secret } = options;
  const env = { REDIS_URL: redisUrl, SESSION_BOUNCER_PREFIX: prefix, SESSION_BOUNCER_BRAKE: 'false', ...options.env };
  const worker = new OwnProcess(['workers/login.js'], env);
  const ingest = new OwnProcess(['src/cli/main.js', 'ingest', '--ingest-port', '0'], {
    ...env,
    SESSION_BOUNCER_INGEST_SECRETS: secret,
  });
  try {
    await worker.says(/"event":"worker_started"/);
    const [, url = ''] = await ingest.says(/The ingest is at (\S+)/);
    const gate = new HoldingGate(url);
    return {
      url: await gate.listen(),
      hold: (userId) => gate.hold(userId),
      heldLid: (userId) => gate.heldLid(userId),
      letThrough: (userId) => gate.letThrough(userId),
      log: () => worker.output + ingest.output,
      stop: async () => {
        await Promise.all([worker.stop(), ingest.stop(), gate.close()]);
      },
    };
  } catch (error) {
    await Promise.all([worker.stop(), ingest.stop()]);
    throw error;
  }
}

class OwnProcess {
  readonly #child: ChildProcess;
  readonly #exited: Promise<void>;
  output = '';

  constructor([file = '', ...args]: readonly string[], env: Readonly<Record<string, string>>) {
    this.#child = spawn(process.execPath, [join(projectRoot(), 'dist', file), ...args], {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding('utf8').on('data', (some: string) => {
        this.output += some;
      });
    }
    this.#exited = new Promise((resolve) => this.#child.once('close', () => resolve()));
  }

  async says(pattern: RegExp): Promise<RegExpMatchArray> {
    const endMs = Date.now() + 20_000;
    for (;;) {
      const match = pattern.exec(this.output);
      if (match !== null) return match;
      if (this.#child.exitCode !== null || Date.now() > endMs) throw new Error(`Not started: ${this.output}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#exited;
  }
}

interface Held {
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly body: string;
}

export class HoldingGate {
  readonly #to: string;
  readonly #server: Server;
  readonly #held = new Map<string, Held | null>();

  constructor(to: string) {
    this.#to = to;
    // A kept connection might be closed in the moment that it is used again.
    this.#server = createServer({ keepAliveTimeout: 0 }, (request, response) => {
      this.#take(request).then(
        (status) => response.writeHead(status).end('{}'),
        () => response.writeHead(502).end(),
      );
    });
  }

  /** Its URL. */
  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  hold(userId: string): void {
    this.#held.set(userId, null);
  }

  heldLid(userId: string): string | null {
    const held = this.#held.get(userId);
    return held ? (JSON.parse(held.body) as { lid: string }).lid : null;
  }

  async letThrough(userId: string): Promise<number> {
    const held = this.#held.get(userId);
    this.#held.delete(userId);
    if (!held) throw new Error(`${userId}: no login is held back`);
    return this.#pass(held);
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #take(request: IncomingMessage): Promise<number> {
    const body = await text(request);
    const held: Held = { path: request.url ?? '', headers: signed(request.headers), body };
    const { userId } = JSON.parse(body) as { userId?: string };
    if (userId === undefined || !this.#held.has(userId)) return this.#pass(held);
    this.#held.set(userId, held);
    return 202;
  }

  async #pass({ path, headers, body }: Held): Promise<number> {
    const { status } = await fetch(this.#to + path, { method: 'POST', headers, body });
    return status;
  }
}

function signed(headers: IncomingHttpHeaders): Record<string, string> {
  const names = ['content-type', 'webhook-id', 'webhook-timestamp', 'webhook-signature'];
  return Object.fromEntries(names.map((name) => [name, String(headers[name])]));
}
