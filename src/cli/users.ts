/** `session-bouncer users show | forget`: what is on record of one user, and how to erase it. */

import { Argument, Command } from 'commander';
import type { Holdings } from '../desk-ports.ts';
import { command, configOf, type Options } from './context.ts';
import { print, printJson } from './terminal.ts';
import { clean } from './text.ts';
import { actorOf, whyOf, withDesk, withReasons } from './with-desk.ts';

export function usersCommand(): Command {
  const users = new Command('users').description('show or forget what is on record of one user');
  for (const each of [showCommand(), forgetCommand()]) users.addCommand(each);
  return users;
}

const user = () => new Argument('<user>', "the application's own id of the user");

function showCommand(): Command {
  return command('show', 'what is on record of one user (--json: all of it)').addArgument(user()).action(show);
}

function forgetCommand(): Command {
  const what = "end the user's sessions, erase what is only of them, rename them in what must stay";
  return withReasons(command('forget', what, ['tombstoneTtlDays', 'incidentTtlDays']))
    .addArgument(user())
    .action(forget);
}

async function show(userId: string, options: Options): Promise<void> {
  const holdings = await withDesk(configOf(options).config, (desk) => desk.holdings(userId));
  if (options.json) printJson(holdings);
  else print(summary(holdings));
}

function summary({ userId, baseline, sessions, history, incidents, audit, lists }: Holdings): string {
  const places = [...baseline.v4.places, ...baseline.v6.places].map(({ countries }) => countries.join('|'));
  const rows = [
    ['countries', [...new Set(places)].join(' ') || 'none'],
    ['networks', baseline.v4.networks.length + baseline.v6.networks.length],
    ['sessions', sessions.length],
    ['logins', history.length],
    ['incidents', incidents.length],
    ['audit', audit.length],
    ['lists', lists.length],
  ];
  const lines = rows.map(([what, held]) => `${String(what).padEnd(10)} ${clean(String(held))}`);
  return [clean(userId), ...lines, '', 'All of it: add --json'].join('\n');
}

async function forget(userId: string, options: Options): Promise<void> {
  const { config } = configOf(options);
  const forgotten = await withDesk(config, (desk) => desk.forget(userId, whyOf(options), actorOf(options)));
  if (options.json) return printJson(forgotten);
  const counts = Object.entries(forgotten.counts).map(([what, count]) => `${what.padEnd(10)} ${count}`);
  print([`${clean(userId)} is ${forgotten.pseudonym} now`, ...counts].join('\n'));
}
