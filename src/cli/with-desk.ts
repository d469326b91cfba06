/** The review desk for one command: whoever acts is named, and everything of it is closed afterwards. */

import { userInfo } from 'node:os';
import type { Command } from 'commander';
import type { Config } from '../../config/load.ts';
import type { OpenDesk } from '../desk.ts';
import type { Actor } from '../desk-ports.ts';
import { isReservedName, RESERVED_NAMES } from '../domain/actors.ts';
import { BouncerError } from '../errors.ts';
import { type Options, QUIET, textOf, withRedis } from './context.ts';

const DAY_MS = 86_400_000;

export async function withDesk<T>(config: Config, work: (desk: OpenDesk) => Promise<T>): Promise<T> {
  // Loaded here: the queue's library is most of the time that a command takes to start.
  const { openDesk } = await import('../desk.ts');
  return withRedis(config, async (redis, keys) => {
    const desk = openDesk({
      redis,
      keys,
      clock: Date.now,
      log: QUIET,
      baselineTtlMs: config.baselineTtlDays * DAY_MS,
      tombstoneTtlMs: config.tombstoneTtlDays * DAY_MS,
    });
    try {
      return await work(desk);
    } finally {
      await desk.close();
    }
  });
}

/** Who reads the audit must know why; and who, by default the one who is signed in on this machine. */
export function withReasons(made: Command): Command {
  return made
    .requiredOption('--why <text>', 'why: it stands in the audit')
    .option('--by <who>', 'who does it (default: your name on this machine)');
}

/** Whoever may type this may do everything. */
export function actorOf(options: Options): Actor {
  const { username } = userInfo();
  return { by: givenName(options) ?? (isReservedName(username) ? `${username} (terminal)` : username), role: 'admin' };
}

/** Of `--by`, or undefined. Throws BouncerError `option_invalid`. */
export function givenName(options: Options): string | undefined {
  const given = textOf(options, 'by');
  if (given === undefined || !isReservedName(given)) return given;
  throw new BouncerError('option_invalid', `--by: ${RESERVED_NAMES.join(', ')} are no person's names; give yours`);
}

export const whyOf = (options: Options): string => textOf(options, 'why') ?? '';
