/** Everything the demo runs: Redis, a worker process, the app, and the proxy in front. Opened in order, closed in reverse. */
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createBouncer } from '../../src/index.ts';
import { defaultLog } from '../../src/log.ts';
import { Releasers } from '../../src/release.ts';
import { createApp } from './app.ts';
import { openDemoRedis } from './demo-redis.ts';
import { createProxy } from './proxy.ts';
import { openReview } from './review.ts';
import { type LogLine, spawnWorker } from './worker-process.ts';

export interface StageOptions {
  /** Of the Redis to use; a private one is started without it. */
  readonly redisUrl: string | undefined;
  readonly host: string;
  /** The first port to try. */
  readonly port: number;
  /** How many ports to try, one after the other. */
  readonly portsToTry: number;
  readonly signal: AbortSignal;
  /** Told of each line of the worker's log. */
  onWorkerLine(line: LogLine): void;
}

export interface Stage {
  readonly url: string;
  readonly redis: string;
  readonly workerPid: number;
  /** Settles if the worker ends, with its last words. */
  readonly workerEnded: Promise<string>;
  /** May be called more than once. */
  close(): Promise<void>;
}

/** What was opened before something failed (or `signal` said stop) is closed again. */
export async function openStage(options: StageOptions): Promise<Stage> {
  const releasers = new Releasers(defaultLog('warn'));
  try {
    return await open(options, releasers);
  } catch (error) {
    await releasers.run();
    throw error;
  }
}

async function open(options: StageOptions, releasers: Releasers): Promise<Stage> {
  const { signal } = options;
  signal.throwIfAborted();
  const redis = await openDemoRedis(options.redisUrl);
  releasers.add('redis', () => redis.close());
  signal.throwIfAborted();
  const { worker, ready } = spawnWorker(redis.url, redis.prefix, options.onWorkerLine);
  releasers.add('worker', () => worker.stop());

  // 4: the bouncer. The proxy in front is on this machine, so its word about addresses is taken.
  const bouncer = createBouncer({ redis: redis.url, prefix: redis.prefix, trustProxy: ['loopback'] });
  releasers.add('bouncer', () => bouncer.close());
  const review = openReview(redis.url, redis.prefix);
  releasers.add('review', () => review.close());

  const app = await listen(createApp(bouncer, review), '127.0.0.1', 0, 1);
  releasers.add('app', () => closeServer(app));
  const proxy = await listen(createProxy(portOf(app)), options.host, options.port, options.portsToTry);
  releasers.add('proxy', () => closeServer(proxy));
  await ready(signal);
  return {
    url: `http://${options.host.includes(':') ? `[${options.host}]` : options.host}:${portOf(proxy)}`,
    redis: redis.name,
    workerPid: worker.pid,
    workerEnded: worker.ended,
    close: () => releasers.run(),
  };
}

/** An express app or a server: both listen the same way. */
interface Listener {
  listen(port: number, host: string): Server;
}

async function listen(listener: Listener, host: string, port: number, attempts: number): Promise<Server> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await listenOn(listener, host, port + attempt);
    } catch (error) {
      const taken = (error as NodeJS.ErrnoException).code === 'EADDRINUSE';
      if (!taken) throw error;
      if (attempt + 1 >= attempts) throw new Error(`Port ${port} is taken: name another one with --port.`);
    }
  }
}

function listenOn(listener: Listener, host: string, port: number): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = listener.listen(port, host);
    const onError = (error: Error) => reject(error);
    server.once('error', onError);
    server.once('listening', () => {
      server.off('error', onError);
      resolve(server);
    });
  });
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

/** Browsers keep their connections open: they are cut. */
function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
