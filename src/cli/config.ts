/** `session-bouncer config`: what is in force, and where each value came from. */

import type { Command } from 'commander';
import { type Origin, SETTINGS, type Setting, shownValue } from '../../config/load.ts';
import { command, configOf, type Options } from './context.ts';
import { type Column, table } from './table.ts';
import { print, printJson, standardOutput } from './terminal.ts';

interface Row extends Setting {
  readonly value: string;
  readonly origin: Origin;
}

const COLUMNS: readonly Column<Row>[] = [
  { title: 'SETTING', value: ({ name }) => name },
  { title: 'VALUE', value: ({ value }) => value, min: 10 },
  { title: 'FROM', value: ({ origin }) => [origin.from, origin.name].filter(Boolean).join(' '), min: 7 },
  { title: 'WHAT IT IS', value: ({ description }) => description, min: 20, optional: true },
];

export function configCommand(): Command {
  const settings = SETTINGS.map(({ name }) => name);
  return command('config', 'show the configuration in force, and where each value came from', settings).action(show);
}

function show(options: Options): void {
  const { config, origins } = configOf(options);
  const rows = SETTINGS.map((setting) => ({
    ...setting,
    value: shownValue(config, setting.name),
    origin: origins[setting.name],
  }));
  if (!options.json) return print(table(rows, COLUMNS, standardOutput()));
  const json = ({ name, secret, value }: Row) => (name === 'redisUrl' || secret ? value : config[name]);
  printJson(Object.fromEntries(rows.map((row) => [row.name, { value: json(row), ...fromOf(row.origin) }])));
}

function fromOf({ from, name }: Origin): object {
  return name === '' ? { from } : { from, name };
}
