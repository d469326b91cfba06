/**
 * `session-bouncer locate <ip>...`: where the loaded databases say an address is, each in its own words, and what the
 * decision would make of a login from there.
 */

import type { Command } from 'commander';
import { parseAddress } from '../domain/address.ts';
import { normaliseCountry } from '../domain/country.ts';
import { decide, emptyBaseline, learn } from '../domain/decide.ts';
import { DEFAULT_POLICY } from '../domain/policy.ts';
import { type Decision, REASONS } from '../domain/reasons.ts';
import type { AddressFamily, AddressKind, Baseline, Place, Sighting } from '../domain/types.ts';
import { BouncerError } from '../errors.ts';
import { openChain } from '../geo/chain.ts';
import type { Locator } from '../ports.ts';
import { command, configOf, type Options, QUIET, textOf } from './context.ts';
import { type Column, table } from './table.ts';
import { print, printJson, standardOutput, type Terminal, withProgress } from './terminal.ts';
import { clean } from './text.ts';

interface Answer {
  /** As it was typed. */
  readonly input: string;
  /** Its class, or null for what is no address. */
  readonly addressClass: AddressKind | null;
  readonly sighting: Sighting;
  /** Of a login from there by a user who is known as `from` says; nothing is known without it. */
  readonly decision: Decision & { readonly meaning: string; readonly from: string | null };
}

export function locateCommand(): Command {
  return command('locate', 'say where an address is, and on whose word', ['databases', 'maxDatabaseAgeDays'])
    .argument('<ip...>', 'plain IPv4 or IPv6 addresses')
    .option('--from <ip|country>', 'decide a login from there by a user who has logged in from here before')
    .option('--overrides <paths>', 'RFC 8805 CSV files of your own (separated by commas)')
    .action(locate);
}

async function locate(inputs: readonly string[], options: Options): Promise<void> {
  const { config } = configOf(options);
  const opening = openChain({
    databases: config.databases,
    overrides: textOf(options, 'overrides')?.split(','),
    maxAgeDays: config.maxDatabaseAgeDays ?? undefined,
    reload: { everyMs: 0 },
    log: QUIET,
    clock: Date.now,
  });
  const locator = await withProgress('Opening the databases', opening);
  tellOfUnusable(locator);
  const from = textOf(options, 'from') ?? null;
  const known = from === null ? emptyBaseline : baselineOf(from, locator);
  const answers = inputs.map((input) => answerFor(input, locator, known, from));
  if (options.json) return printJson(answers);
  const terminal = standardOutput();
  print(answers.map((answer) => report(answer, terminal)).join('\n\n'));
}

function tellOfUnusable(locator: Locator): void {
  for (const { ok, origin, problem } of locator.sources()) {
    if (!ok) process.stderr.write(`${clean(`warning: ${origin}: ${problem ?? 'not usable'}`)}\n`);
  }
}

function answerFor(input: string, locator: Locator, known: Baseline, from: string | null): Answer {
  const parsed = parseAddress(input);
  const sighting = locator.locate(input);
  const decision = decide(known, sighting, Date.now(), DEFAULT_POLICY);
  return {
    input,
    addressClass: parsed.ok ? parsed.kind : null,
    sighting,
    decision: { ...decision, meaning: REASONS[decision.reason].meaning, from },
  };
}

/**
 * What is known of a user who has logged in from an address (as it is located now), or from a country, for certain and in
 * both families. Throws BouncerError `option_invalid` where it is neither, or an address that teaches nothing.
 */
function baselineOf(from: string, locator: Locator): Baseline {
  const { country } = normaliseCountry(from);
  if (country !== undefined) {
    const place: Place = { countries: [country], agreed: true, firstSeenMs: 0, lastSeenMs: Date.now() };
    return { v4: { places: [place], networks: [] }, v6: { places: [place], networks: [] } };
  }
  const sighting = locator.locate(from);
  const { teaches, reason } = decide(emptyBaseline, sighting, 0, DEFAULT_POLICY);
  if (sighting.kind === 'located' && teaches) return learn(emptyBaseline, sighting, Date.now() - 1, DEFAULT_POLICY);
  const why = sighting.kind === 'unlocatable' ? sighting.why : reason;
  throw new BouncerError('option_invalid', `--from: give a country (GB) or an address that has one; this is ${why}`);
}

type Word = Sighting['evidence'][number];

const COLUMNS: readonly Column<Word>[] = [
  { title: 'DATABASE', value: ({ database }) => database, min: 12 },
  { title: 'BUILT ON', value: ({ builtOn }) => builtOn ?? 'unknown' },
  { title: 'COUNTRY', value: ({ country }) => country ?? '-' },
  { title: 'NETWORK', value: ({ network }) => network ?? '-', min: 9 },
  { title: 'NOTE', value: noteOf, min: 4, optional: true },
];

/** e.g. `override`, `anonymiser`, `AS29518 Bredband2 AB`, `58.42, 15.62 within 76 km`. */
function noteOf({ note, flags = [], asn, holder, latitude, longitude, radiusKm }: Word): string {
  const network = [asn === undefined ? '' : `AS${asn}`, holder ?? ''].filter((part) => part !== '').join(' ');
  const place =
    latitude === undefined || longitude === undefined ? '' : `${latitude.toFixed(2)}, ${longitude.toFixed(2)}`;
  const within = place === '' || radiusKm === undefined ? place : `${place} within ${radiusKm} km`;
  return [note ?? '', ...flags, network, within].filter((part) => part !== '').join('; ');
}

const FAMILIES: Readonly<Record<AddressFamily, string>> = { 4: '/24', 6: '/48' };

function report({ input, addressClass, sighting, decision }: Answer, terminal: Terminal): string {
  const head = `${terminal.paint(clean(input, 80), 'bold')}  ${addressClass ?? 'not an address'}  ${verdict(sighting)}`;
  const words = sighting.evidence.length === 0 ? [] : [table(sighting.evidence, COLUMNS, terminal)];
  return [head, ...words, decided(decision, sighting)].join('\n');
}

function verdict(sighting: Sighting): string {
  if (sighting.kind === 'unlocatable') return `unlocatable: ${sighting.why}`;
  const flags = sighting.flags === undefined ? '' : `  flags ${sighting.flags.join(', ')}`;
  return `${sighting.candidates.join(' or ')}  (${certainty(sighting)})  network ${sighting.network}${flags}`;
}

function certainty({ agreed, evidence }: Extract<Sighting, { kind: 'located' }>): string {
  if (evidence[0]?.source === 'override') return 'an override, certain';
  return agreed ? 'independent sources agree' : 'not certain, can only flag';
}

function decided({ action, reason, meaning, from }: Answer['decision'], sighting: Sighting): string {
  const family = sighting.kind === 'located' ? FAMILIES[sighting.family] : '';
  const known = from === null ? 'a user of whom nothing is known' : `a user known from ${clean(from, 80)}`;
  const network = reason === 'same_network' ? ` (${family})` : '';
  return `login by ${known}: ${action}, ${reason}${network}. ${meaning}`;
}
