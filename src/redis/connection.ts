import { type Cluster, Redis, type RedisOptions } from 'ioredis';
import { BouncerError, errorName } from '../errors.ts';
import type { Log } from '../ports.ts';
import { reconnectOnErrorOf, watchRefusals } from './refusals.ts';

/** A URL, ioredis options, or an ioredis instance (also a `Cluster`) whose options are taken over; it is never used or closed itself. */
export type RedisTarget = string | RedisOptions | Redis | Cluster;

/**
 * The web tier's connection. A request must never hang on us: while Redis is away commands fail at once (no offline
 * queue), and a command that gets no answer fails after `timeoutMs` with the socket. We reconnect quickly and for ever.
 * Only the first requests of a process wait for its first connection, no longer than that either.
 */
export function openWebRedis(target: RedisTarget, timeoutMs: number, log: Log): Redis {
  const redis = open(target, log, {
    connectionName: 'session-bouncer-web',
    enableOfflineQueue: true,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    connectTimeout: Math.max(timeoutMs, 500),
    socketTimeout: timeoutMs,
    retryStrategy: (times) => Math.min(25 * 2 ** Math.min(times, 6), 1000),
  });
  holdUntilTried(redis, timeoutMs);
  return redis;
}

/**
 * Until the first connection stands or has failed, commands wait for it: else the first requests after each start would
 * find no session. ioredis looks at the option with each command, and so does its Cluster.
 */
function holdUntilTried(redis: Redis, timeoutMs: number): void {
  const tried = () => {
    clearTimeout(limit);
    redis.off('ready', tried);
    redis.off('close', failed);
    redis.options.enableOfflineQueue = false;
  };
  const failed = () => {
    tried();
    const held = redis as unknown as { flushQueue(error: Error, which: { commandQueue: boolean }): void };
    held.flushQueue(new Error('Redis could not be reached'), { commandQueue: false });
  };
  const limit = setTimeout(failed, timeoutMs);
  limit.unref();
  redis.on('ready', tried);
  redis.on('close', failed);
}

/** The worker's connection: it waits for Redis as long as it takes (and BullMQ demands just that). */
export function openWorkerRedis(target: RedisTarget, log: Log): Redis {
  return open(target, log, {
    connectionName: 'session-bouncer-worker',
    maxRetriesPerRequest: null,
    // Not the app's: BullMQ's wait for the next job is a command too, and a worker that gives it up takes jobs seconds late.
    commandTimeout: undefined,
    retryStrategy: (times) => Math.min(25 * 2 ** Math.min(times, 6), 1000),
  });
}

/**
 * The worker's connection to the Redis in which PHP keeps its sessions. While that is away, or takes what is sent and never
 * answers, commands fail soon: no other login must wait for it. With a retry ioredis would keep those that were on their
 * way until Redis answers again.
 */
export function openPhpRedis(target: RedisTarget, log: Log): Redis {
  return open(target, log, {
    connectionName: 'session-bouncer-php',
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    connectTimeout: 2000,
    socketTimeout: 2000,
    retryStrategy: (times) => Math.min(25 * 2 ** Math.min(times, 6), 1000),
  });
}

/**
 * Whatever the app chose for its own connection. Replies in the shapes we read; BullMQ refuses a key prefix. A lazy connection
 * would hear no news of ended logins, since nobody sends a command over it. With ioredis's own pipelining a command that fails
 * before it is sent (BullMQ has one) ends the process; what one turn has to say leaves together anyhow (see `gatherWrites`).
 */
const OURS = {
  keyPrefix: '',
  replyMapping: 'legacy',
  stringNumbers: false,
  lazyConnect: false,
  enableAutoPipelining: false,
} as const;
type OurOptions = RedisOptions & typeof OURS;

function open(target: RedisTarget, log: Log, ours: RedisOptions): Redis {
  const reconnectOnError = watchRefusals(ours.connectionName ?? '', log, reconnectOnErrorOf(target));
  const redis = connect(target, {
    ...ours,
    reconnectOnError,
    disconnectTimeout: 100,
    ...OURS,
  });
  eachConnection(redis, (one) => one.on('connect', () => gatherWrites(one.stream)));
  let failing = false;
  redis.on('error', (error: unknown) => {
    if (failing) return; // one line an outage, not one an attempt
    failing = true;
    const { connectionName: connection } = ours;
    log.error(
      { event: 'redis_unavailable', connection, error: errorName(error) },
      'Redis is not reachable; reconnecting',
    );
  });
  redis.on('ready', () => {
    if (failing) log.warn({ event: 'redis_back', connection: ours.connectionName }, 'Redis is back');
    failing = false;
  });
  return redis;
}

/**
 * ioredis makes one system call of each command, which costs an app more than all the rest of loading a session. So what
 * one turn of the event loop has to say leaves together at its end; but a first command leaves at once where the turn
 * before had no second one: alone it must not wait.
 */
function gatherWrites(stream: Redis['stream']): void {
  const write = stream.write.bind(stream);
  let writes = 0;
  let busy = false;
  const endOfTurn = () => {
    busy = writes > 1;
    writes = 0;
    stream.uncork();
  };
  stream.write = ((...args: Parameters<typeof write>) => {
    if (writes++ === 0) setImmediate(endOfTurn);
    if ((busy || writes > 1) && stream.writableCorked === 0) stream.cork();
    return write(...args);
  }) as typeof stream.write;
}

function connect(target: RedisTarget, ours: OurOptions): Redis {
  if (typeof target === 'string') {
    if (!/^(rediss?|unix):\/\//.test(target) && !target.startsWith('/')) {
      throw new BouncerError('option_invalid', 'redis: give a URL such as redis://localhost:6379 (rediss:// for TLS)');
    }
    return new Redis(withoutOurs(target, ours), ours);
  }
  // A variable of the environment that is not set is the usual reason.
  if (typeof target !== 'object' || target === null) {
    throw new BouncerError('option_invalid', 'redis: give a URL, ioredis options or an ioredis instance');
  }
  if (isCluster(target)) return duplicateCluster(target, ours);
  return isRedis(target) ? target.duplicate(ours) : new Redis({ ...target, ...ours });
}

/** What a URL says in its query ioredis puts before the options beside it. */
function withoutOurs(url: string, ours: OurOptions): string {
  const [start = '', query] = url.split(/\?(.*)/s);
  const isOurs = (name: string) => name in OURS || (name === 'commandTimeout' && name in ours);
  const kept = query?.split('&').filter((pair) => !isOurs(pair.split('=')[0] ?? ''));
  return kept === undefined ? url : `${start}?${kept.join('&')}`;
}

function isRedis(target: RedisOptions | Redis): target is Redis {
  return typeof (target as Redis).duplicate === 'function';
}

/** A Cluster has all commands that we use; what differs is that a script names one slot only. */
export function isCluster(target: object): target is Cluster {
  return (target as Cluster).isCluster === true;
}

/** Another connection of the same kind, to one server or to a Cluster. */
export function duplicateOf(redis: Redis, override: RedisOptions): Redis {
  return isCluster(redis) ? duplicateCluster(redis, override) : redis.duplicate(override);
}

/**
 * A Cluster takes some options for itself and the rest for its nodes' connections. It has all commands that we use, so
 * nobody else needs to know. Reads go to masters only, whatever the app reads from: a replica may not know yet that a
 * session has ended.
 */
function duplicateCluster(target: Cluster, ours: RedisOptions): Redis {
  const { enableOfflineQueue, retryStrategy, ...forNodes } = ours;
  // A Cluster's connections to its nodes are lazy by their nature.
  const { lazyConnect, ...forEachNode } = OURS;
  const copy = target.duplicate([], {
    ...(enableOfflineQueue === undefined ? {} : { enableOfflineQueue }),
    ...(retryStrategy ? { clusterRetryStrategy: (times: number) => retryStrategy(times) ?? null } : {}),
    keyPrefix: '',
    scaleReads: 'master',
    lazyConnect,
    enableAutoPipelining: false,
    redisOptions: { ...target.options.redisOptions, ...(forNodes as object), ...forEachNode },
  });
  return copy as unknown as Redis;
}

/** The connections under it: itself, or those to a Cluster's nodes as they come. */
export function eachConnection(redis: Redis, use: (one: Redis) => void): void {
  if (!isCluster(redis)) return use(redis);
  const cluster: Cluster = redis;
  for (const node of cluster.nodes()) use(node as unknown as Redis);
  cluster.on('+node', use);
}
