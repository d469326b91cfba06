/** `session-bouncer notifications list | retry`: what webhooks could not be told. */

import { Command } from 'commander';
import type { Redis } from 'ioredis';
import type { DeadLetter } from '../desk-ports.ts';
import { BouncerError } from '../errors.ts';
import { type DeadLetters, deadLetters } from '../queue/notifications.ts';
import { redisAudit } from '../redis/audit.ts';
import { type Keys, NOTIFICATION_QUEUE } from '../redis/keys.ts';
import { command, configOf, type Options, QUIET, textOf, withRedis } from './context.ts';
import { IdArgument } from './id-argument.ts';
import { type Column, table } from './table.ts';
import { print, printJson, standardOutput } from './terminal.ts';
import { clean } from './text.ts';
import { instant } from './time.ts';
import { actorOf } from './with-desk.ts';

const ROWS = 100;

export function notificationsCommand(): Command {
  const notifications = new Command('notifications').description('what webhooks could not be told');
  notifications.addCommand(command('list', `those that were given up: the last ${ROWS}, newest first`).action(list));
  notifications.addCommand(
    command('retry', 'all attempts once more, by the workers')
      .addArgument(new IdArgument('<id>', 'as the list shows it'))
      .option('--by <who>', 'who retries (default: your name on this machine)')
      .option('--why <text>', 'why', '')
      .action(retry),
  );
  return notifications;
}

function withLetters<T>(redis: Redis, keys: Keys, work: (letters: DeadLetters) => Promise<T>): Promise<T> {
  const letters = deadLetters(redis, { queue: NOTIFICATION_QUEUE, prefix: keys.queuePrefix }, QUIET);
  return work(letters).finally(() => letters.close());
}

const COLUMNS: readonly Column<DeadLetter>[] = [
  { title: 'GIVEN UP (UTC)', value: ({ atMs }) => instant(atMs) },
  { title: 'EVENT', value: ({ event }) => event },
  { title: 'CASE', value: ({ caseId }) => caseId ?? '' },
  { title: 'HOST', value: ({ host }) => host, min: 8 },
  { title: 'WHY', value: ({ why }) => why },
  { title: 'TRIES', value: ({ attempts }) => String(attempts) },
  { title: 'ID', value: ({ id }) => id, min: 40 },
];

async function list(options: Options): Promise<void> {
  const { config } = configOf(options);
  const rows = await withRedis(config, (redis, keys) => withLetters(redis, keys, (letters) => letters.list(ROWS)));
  if (options.json) printJson(rows);
  else print(rows.length === 0 ? 'Nothing was given up.' : table(rows, COLUMNS, standardOutput()));
}

async function retry(id: string, options: Options): Promise<void> {
  const { config } = configOf(options);
  const { by } = actorOf(options);
  const why = textOf(options, 'why') ?? '';
  const isThere = await withRedis(config, async (redis, keys) => {
    const retried = await withLetters(redis, keys, (letters) => letters.retry(id));
    const entry = { atMs: Date.now(), what: 'retry_notification', by, why, userId: null, lid: null } as const;
    if (retried) await redisAudit(redis, keys).add([{ ...entry, outcome: 'retried' }]);
    return retried;
  });
  if (!isThere) throw new BouncerError('notification_unknown', 'no notification was given up under this id: list them');
  if (options.json) printJson({ id, outcome: 'retried' });
  else print(`${clean(id)}: is tried again by the workers`);
}
