#!/usr/bin/env node
/** `session-bouncer`: the operator's and the reviewer's command. Errors are one line, `code: message`, and exit code 1. */

import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { failureLine } from '../../workers/failure.ts';
import { brakeCommand, reportCommand } from './brake.ts';
import { configCommand } from './config.ts';
import { consoleCommand } from './console.ts';
import { dataCommand } from './data.ts';
import { doctorCommand } from './doctor.ts';
import { incidentsCommand } from './incidents.ts';
import { ingestCommand } from './ingest.ts';
import { listsCommand } from './lists.ts';
import { locateCommand } from './locate.ts';
import { notificationsCommand } from './notifications.ts';
import { sessionsCommand } from './sessions.ts';
import { clean } from './text.ts';
import { usersCommand } from './users.ts';
import { registryWorkerCommand, workerCommand } from './worker.ts';

function program(): Command {
  const root = new Command('session-bouncer')
    .description('Checks every login in the background and ends stolen sessions.')
    .version(version(), '--version');
  const commands = [
    workerCommand(),
    registryWorkerCommand(),
    ingestCommand(),
    incidentsCommand(),
    sessionsCommand(),
    listsCommand(),
    brakeCommand(),
    reportCommand(),
    usersCommand(),
    notificationsCommand(),
    consoleCommand(),
    locateCommand(),
    dataCommand(),
    doctorCommand(),
    configCommand(),
  ];
  for (const command of commands) root.addCommand(command);
  for (const command of [root, ...commands, ...commands.flatMap(({ commands }) => commands)]) {
    command.configureOutput({ outputError: (text, write) => write(`option_invalid: ${oneLine(text)}\n`) });
  }
  return root;
}

/** commander says `error: ...`, sometimes with a suggestion on a second line. */
function oneLine(text: string): string {
  const said = text
    .replace(/^error: /, '')
    .trim()
    .replace(/\s+/g, ' ');
  return clean(said.startsWith('unknown option') ? `${said} (a value that begins with a dash goes behind --)` : said);
}

/** Works from the sources and from dist/: the nearest package.json above is ours. */
function version(): string {
  for (const up of ['../../', '../../../']) {
    try {
      const text = readFileSync(new URL(`${up}package.json`, import.meta.url), 'utf8');
      return String((JSON.parse(text) as { version?: unknown }).version);
    } catch {}
  }
  return 'unknown';
}

// `session-bouncer incidents list | head` closes our output early; that is no error.
process.stdout.on('error', () => process.exit());

try {
  await program().parseAsync();
} catch (error) {
  process.stderr.write(`${clean(failureLine(error), 4000)}\n`);
  process.exitCode = 1;
}
