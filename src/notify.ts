import type { Redis } from 'ioredis';
import type { Notifier } from './desk-ports.ts';
import { errorName } from './errors.ts';
import type { Log } from './ports.ts';
import { noticeQueue } from './queue/notifications.ts';
import { type Keys, NOTIFICATION_QUEUE } from './redis/keys.ts';

export interface OpenNotifier extends Notifier {
  /** Waits for what is being queued. The connection stays. */
  close(): Promise<void>;
}

/**
 * For whoever has something to tell: workers, the desk. It needs no endpoints: workers know those. Nobody need wait for
 * `tell`, and nothing that it is about ever fails because of it.
 */
export function openNotifier(redis: Redis, keys: Keys, log: Log): OpenNotifier {
  const queue = noticeQueue(redis, { queue: NOTIFICATION_QUEUE, prefix: keys.queuePrefix }, log);
  const pending = new Set<Promise<void>>();
  return {
    tell(...notices) {
      const added = queue.add(notices).catch((error: unknown) => {
        const [first] = notices;
        const fields = {
          event: 'notification_lost',
          what: first?.event,
          count: notices.length,
          error: errorName(error),
        };
        log.error(fields, 'What happened could not be queued for the webhooks; they are not told');
      });
      pending.add(added);
      return added.finally(() => pending.delete(added));
    },
    async close() {
      if (redis.status === 'ready') await Promise.all(pending);
      await queue.close();
    },
  };
}
