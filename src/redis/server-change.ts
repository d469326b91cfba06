import type { Redis } from 'ioredis';
import { errorName } from '../errors.ts';
import type { Log } from '../ports.ts';

/** Which history of writes a server holds, and how far. */
interface History {
  readonly runId: string;
  readonly replicationId: string;
  readonly offset: number;
}

/** A server that has just taken over may still refuse writes, milliseconds. */
const RETRY_MS = 1000;

/**
 * Calls `onChange` when the connection comes back to another server, or to one with another or a shorter history: after
 * a failover, a restart, a restore. What was written shortly before may be missing there. An INFO that is refused counts
 * as a change. `onChange` may reject; that is logged. One INFO a connection.
 */
export function watchServer(redis: Redis, log: Log, onChange: (server: string) => Promise<void>): void {
  let known: History | null = null;
  let first = true;
  const look = async (): Promise<void> => {
    const now = await historyOf(redis);
    const changed = !first && (now === null || known === null || !isContinued(known, now));
    first = false;
    if (changed) {
      log.warn({ event: 'redis_changed' }, 'The connection came back to another Redis, or one with another history');
      await onChange(now?.runId ?? `unknown-${Date.now()}`);
    }
    known = now; // only now: what failed is done again
  };
  const run = () => {
    look().catch((error: unknown) => {
      log.error({ event: 'reapply_failed', error: errorName(error) }, 'Recent revocations could not be applied again');
      if (redis.status !== 'end') setTimeout(run, RETRY_MS).unref();
    });
  };
  redis.on('ready', run);
  if (redis.status === 'ready') run();
}

function isContinued(before: History, now: History): boolean {
  return before.runId === now.runId && before.replicationId === now.replicationId && before.offset <= now.offset;
}

async function historyOf(redis: Redis): Promise<History | null> {
  try {
    const info = await redis.info();
    const field = (name: string) => new RegExp(`^${name}:(\\S+)`, 'm').exec(info)?.[1] ?? '';
    const offset = Number(field('master_repl_offset') || 0);
    return { runId: field('run_id'), replicationId: field('master_replid'), offset };
  } catch {
    return null;
  }
}
