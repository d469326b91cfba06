/** A Redis Cluster of this test's own: three masters on free ports, stopped after the file. */
import { Cluster, type Redis } from 'ioredis';
import { connect, freePort, privateRedis, release, until } from './index.ts';

const SLOTS = 16_384;
const MASTERS = 3;

export interface TestCluster {
  /** Connected; give it to `createBouncer` and `createWorker`. */
  readonly client: Cluster;
  /** A connection to each of its masters. */
  readonly masters: readonly Redis[];
  /** The same command on every master. */
  everywhere(command: string, ...args: string[]): Promise<unknown[]>;
}

async function startMaster(attempts = 5): Promise<{ port: number; bus: number; redis: Redis }> {
  // Of its own: the usual bus port, 10,000 above the other, may not exist.
  const bus = await freePort();
  const args = ['--cluster-enabled', 'yes', '--cluster-port', String(bus), '--cluster-node-timeout', '5000'];
  try {
    const { port, url } = await privateRedis({ args });
    return { port, bus, redis: connect(url) };
  } catch (error) {
    // Between our look and the server's bind, someone else took the bus port.
    if (attempts === 1) throw error;
    return startMaster(attempts - 1);
  }
}

export async function startCluster(): Promise<TestCluster> {
  const nodes = await Promise.all(Array.from({ length: MASTERS }, () => startMaster()));
  const share = Math.ceil(SLOTS / MASTERS);
  for (const [i, { redis }] of nodes.entries()) {
    await redis.call('CLUSTER', 'ADDSLOTSRANGE', String(i * share), String(Math.min(SLOTS, (i + 1) * share) - 1));
    await redis.call('CLUSTER', 'SET-CONFIG-EPOCH', String(i + 1));
    const [first] = nodes;
    if (first && i > 0) await redis.call('CLUSTER', 'MEET', '127.0.0.1', String(first.port), String(first.bus));
  }
  const agreed = async () => {
    const infos = await Promise.all(nodes.map(({ redis }) => redis.call('CLUSTER', 'INFO')));
    return infos.every((info) => /cluster_state:ok/.test(String(info)) && /cluster_known_nodes:3/.test(String(info)));
  };
  await until(agreed, { timeoutMs: 20_000 });
  const at = nodes.map(({ port }) => ({ host: '127.0.0.1', port }));
  const client = new Cluster(at, { redisOptions: { replyMapping: 'legacy' } });
  client.on('error', () => {});
  release(() => client.disconnect());
  return {
    client,
    masters: nodes.map(({ redis }) => redis),
    everywhere: (command, ...args) => Promise.all(nodes.map(({ redis }) => redis.call(command, ...args))),
  };
}
