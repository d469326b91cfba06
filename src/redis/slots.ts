import type { Redis } from 'ioredis';
import { isCluster } from './connection.ts';
import { runScript, type Script } from './script.ts';

/** Connections whose server has refused a script that names several slots, though it is a single one: a Cluster of one shard. */
const inSlots = new WeakSet<Redis>();

/**
 * Runs a script whose keys lie in several slots. Null where the server takes none such: then the caller goes step by step, as
 * on a Cluster. What a client cannot see (a Cluster of one shard answers a plain connection like any server) the first
 * refusal tells; nothing was written by it.
 */
export async function runAcrossSlots(
  redis: Redis,
  script: Script,
  keys: readonly string[],
  args: readonly string[],
): Promise<unknown> {
  if (isCluster(redis) || inSlots.has(redis)) return null;
  try {
    return await runScript(redis, script, keys, args);
  } catch (error) {
    if (!(error instanceof Error) || !error.message.startsWith('CROSSSLOT')) throw error;
    inSlots.add(redis);
    return null;
  }
}
