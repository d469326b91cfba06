/** `session-bouncer notifications` as an operator runs it: a process of its own from dist/. */
import { describe, expect, test } from '@jest/globals';
import { openNotifier } from '../../src/notify.ts';
import { startNotifications } from '../../src/notify-worker.ts';
import { deadLetters } from '../../src/queue/notifications.ts';
import { redisAudit } from '../../src/redis/audit.ts';
import { redisIncidents } from '../../src/redis/incidents.ts';
import { keysFor, NOTIFICATION_QUEUE } from '../../src/redis/keys.ts';
import { captureLog, connect, release, spawnNode, testPrefix, testRedisUrl, until } from '../support/index.ts';
import { accept, openReceiver, SECRET, status } from '../support/receiver.ts';

async function cli(prefix: string, ...args: string[]) {
  const where = ['--redis', testRedisUrl(), '--prefix', prefix];
  const spawned = spawnNode('src/cli/main.js', ['notifications', ...args, ...where], { REDIS_URL: undefined });
  const { code } = await spawned.exited;
  return { code, stdout: spawned.stdout, stderr: spawned.stderr };
}

describe('session-bouncer notifications', () => {
  test('list shows what was given up, retry delivers it and is audited, a second retry is told', async () => {
    const prefix = testPrefix();
    const keys = keysFor(prefix);
    const redis = connect(undefined, { maxRetriesPerRequest: null });
    const log = captureLog();
    expect((await cli(prefix, 'list')).stdout).toBe('Nothing was given up.\n');

    const receiver = await openReceiver();
    receiver.answer = status(410);
    const deps = { incidents: redisIncidents(redis, keys, 1e9), log, clock: Date.now };
    const consumer = startNotifications(redis, keys, { webhooks: [{ url: receiver.url, secret: SECRET }] }, deps);
    release(() => consumer.close(true));
    const notifier = openNotifier(redis, keys, log);
    release(() => notifier.close());
    const letters = deadLetters(redis, { queue: NOTIFICATION_QUEUE, prefix: keys.queuePrefix }, log);
    release(() => letters.close());
    await notifier.tell({ event: 'brake.reset', atMs: 1, by: 'ann' });
    const [letter] = await until(async () => {
      const found = await letters.list(1);
      return found.length === 1 && found;
    });

    const listed = await cli(prefix, 'list');
    expect(listed.stdout).toMatch(/brake\.reset.*http_410/);
    expect(listed.stdout).not.toMatch(/secret-path|whsec_/);
    receiver.answer = accept;
    const id = letter?.id ?? '';
    expect((await cli(prefix, 'retry', id, '--by', 'bob', '--why', 'receiver is back')).code).toBe(0);
    await until(() => receiver.received.length === 2);
    expect(await redisAudit(redis, keys).list(1)).toMatchObject([{ what: 'retry_notification', by: 'bob' }]);
    const again = await cli(prefix, 'retry', id);
    expect([again.code, again.stderr]).toEqual([1, expect.stringMatching(/^notification_unknown: /)]);
  });
});
