/** `session-bouncer lists show | add | remove`: the allow and block lists, from a terminal. */

import { Argument, Command, InvalidArgumentError } from 'commander';
import { LIST_KINDS, LIST_NAMES, type ListEntry, type ListKind, type ListName } from '../domain/lists.ts';
import { BouncerError } from '../errors.ts';
import { command, configOf, type Options } from './context.ts';
import { IdArgument } from './id-argument.ts';
import { type Column, table } from './table.ts';
import { print, printJson, standardOutput } from './terminal.ts';
import { clean } from './text.ts';
import { minute } from './time.ts';
import { actorOf, whyOf, withDesk, withReasons } from './with-desk.ts';

export function listsCommand(): Command {
  const lists = new Command('lists').description('allow and block by address, network, country, user and more');
  for (const each of [showCommand(), addCommand(), removeCommand()]) lists.addCommand(each);
  return lists;
}

function showCommand(): Command {
  return command('show', 'all entries, newest first').action(show);
}

function addCommand(): Command {
  return withReasons(command('add', 'put something on a list; every worker knows it a second later'))
    .addArgument(new Argument('<list>', 'which list').choices(LIST_NAMES))
    .addArgument(new Argument('<kind>', 'of what kind it is').choices(LIST_KINDS))
    .addArgument(new Argument('<value>', 'e.g. 203.0.113.7, 203.0.113.0/24, 64500, FR, "DE>FR", a user\'s id'))
    .option('--for <duration>', 'for so long, e.g. 30m, 12h, 7d (default: until it is removed)', durationMs)
    .action(add);
}

function removeCommand(): Command {
  return withReasons(command('remove', 'take an entry off its list'))
    .addArgument(new IdArgument('<id>', 'of the entry, as `lists show` tells it'))
    .action(remove);
}

const UNITS_MS: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000 };

function durationMs(text: string): number {
  const [, count, unit = ''] = /^([1-9]\d{0,3})([mhd])$/.exec(text) ?? [];
  if (count === undefined) throw new InvalidArgumentError('Give minutes, hours or days, e.g. 30m, 12h or 7d.');
  return Number(count) * (UNITS_MS[unit] ?? 0);
}

const COLUMNS: readonly Column<ListEntry>[] = [
  { title: 'LIST', value: ({ list }) => list, style: ({ list }) => (list === 'block' ? 'red' : 'green') },
  { title: 'KIND', value: ({ kind }) => kind },
  { title: 'VALUE', value: ({ value }) => value, min: 12 },
  { title: 'UNTIL (UTC)', value: ({ expiresAtMs }) => (expiresAtMs === null ? 'removed' : minute(expiresAtMs)) },
  { title: 'BY', value: ({ by }) => by, min: 6 },
  { title: 'WHY', value: ({ why }) => why, min: 6 },
  { title: 'ID', value: ({ id }) => id, min: 16 },
];

async function show(options: Options): Promise<void> {
  const entries = await withDesk(configOf(options).config, (desk) => desk.lists());
  if (options.json) printJson(entries);
  else print(entries.length === 0 ? 'The lists are empty.' : table(entries, COLUMNS, standardOutput()));
}

async function add(list: ListName, kind: ListKind, value: string, options: Options): Promise<void> {
  const expiresAtMs = typeof options.for === 'number' ? Date.now() + options.for : null;
  const wanted = { list, kind, value, why: whyOf(options), expiresAtMs };
  const entry = await withDesk(configOf(options).config, (desk) => desk.addToList(wanted, actorOf(options)));
  if (options.json) printJson(entry);
  else print(`${entry.id}: ${entry.list} ${entry.kind} ${clean(entry.value)}`);
}

async function remove(id: string, options: Options): Promise<void> {
  const { config } = configOf(options);
  const entry = await withDesk(config, (desk) => desk.removeFromList(id, whyOf(options), actorOf(options)));
  if (entry === null) {
    throw new BouncerError('option_invalid', '<id>: no entry has it; see `session-bouncer lists show`');
  }
  if (options.json) printJson(entry);
  else print(`removed: ${entry.list} ${entry.kind} ${clean(entry.value)}`);
}
