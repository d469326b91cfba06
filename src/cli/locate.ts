/** `session-bouncer locate <ip>...`: where the loaded databases say an address is, each in its own words. */

import type { Command } from 'commander';
import { parseAddress } from '../domain/address.ts';
import type { AddressKind, Sighting } from '../domain/types.ts';
import { openChain } from '../geo/chain.ts';
import type { Locator } from '../ports.ts';
import { command, configOf, type Options, QUIET } from './context.ts';
import { type Column, table } from './table.ts';
import { print, printJson, standardOutput, type Terminal, withProgress } from './terminal.ts';
import { clean } from './text.ts';

interface Answer {
  /** As it was typed. */
  readonly input: string;
  /** Its class, or null for what is no address. */
  readonly addressClass: AddressKind | null;
  readonly sighting: Sighting;
}

export function locateCommand(): Command {
  return command('locate', 'say where an address is, and on whose word', ['databases', 'maxDatabaseAgeDays'])
    .argument('<ip...>', 'plain IPv4 or IPv6 addresses')
    .action(locate);
}

async function locate(inputs: readonly string[], options: Options): Promise<void> {
  const { config } = configOf(options);
  const opening = openChain({
    databases: config.databases,
    maxAgeDays: config.maxDatabaseAgeDays ?? undefined,
    log: QUIET,
    clock: Date.now,
  });
  const locator = await withProgress('Opening the databases', opening);
  tellOfUnusable(locator);
  const answers = inputs.map((input) => answerFor(input, locator));
  if (options.json) return printJson(answers);
  const terminal = standardOutput();
  print(answers.map((answer) => report(answer, terminal)).join('\n\n'));
}

function tellOfUnusable(locator: Locator): void {
  for (const { ok, origin, problem } of locator.sources()) {
    if (!ok) process.stderr.write(`${clean(`warning: ${origin}: ${problem ?? 'not usable'}`)}\n`);
  }
}

function answerFor(input: string, locator: Locator): Answer {
  const parsed = parseAddress(input);
  return { input, addressClass: parsed.ok ? parsed.kind : null, sighting: locator.locate(input) };
}

type Word = Sighting['evidence'][number];

const COLUMNS: readonly Column<Word>[] = [
  { title: 'DATABASE', value: ({ database }) => database, min: 12 },
  { title: 'BUILT ON', value: ({ builtOn }) => builtOn ?? 'unknown' },
  { title: 'COUNTRY', value: ({ country }) => country ?? '-' },
  { title: 'NETWORK', value: ({ network }) => network ?? '-', min: 9 },
  { title: 'NOTE', value: ({ note }) => note ?? '', min: 4, optional: true },
];

function report({ input, addressClass, sighting }: Answer, terminal: Terminal): string {
  const head = `${terminal.paint(clean(input, 80), 'bold')}  ${addressClass ?? 'not an address'}  ${verdict(sighting)}`;
  return sighting.evidence.length === 0 ? head : `${head}\n${table(sighting.evidence, COLUMNS, terminal)}`;
}

function verdict(sighting: Sighting): string {
  if (sighting.kind === 'unlocatable') return `unlocatable: ${sighting.why}`;
  const certainty = sighting.agreed ? 'independent sources agree' : 'not certain, can only flag';
  return `${sighting.candidates.join(' or ')}  (${certainty})  network ${sighting.network}`;
}
