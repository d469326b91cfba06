/**
 * `session-bouncer locate <ip>...`: where the loaded databases say an address is, each in its own words, and what the
 * decision would make of a login from there.
 */

import type { Command } from 'commander';
import { parseAddress } from '../domain/address.ts';
import { normaliseCountry } from '../domain/country.ts';
import { decide, emptyBaseline, learn } from '../domain/decide.ts';
import { DEFAULT_POLICY, type Policy } from '../domain/policy.ts';
import { type Decision, REASONS } from '../domain/reasons.ts';
import type { AddressFamily, AddressKind, Baseline, Place, Sighting } from '../domain/types.ts';
import { BouncerError } from '../errors.ts';
import type { Locator, RegistryLookup } from '../ports.ts';
import { command, configOf, type Options, QUIET, textOf } from './context.ts';
import { evidenceTable } from './evidence-table.ts';
import { whyNot } from './incident-list.ts';
import { type RegistryAnswer, registryAnswer, registryLines } from './registry-word.ts';
import { SOURCE_SETTINGS, withSources } from './sources.ts';
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
  /** Only where it was asked for. */
  readonly registry?: RegistryAnswer;
}

export function locateCommand(): Command {
  return command('locate', 'say where an address is, and on whose word', [...SOURCE_SETTINGS, 'anonymousNetwork'])
    .argument('<ip...>', 'plain IPv4 or IPv6 addresses')
    .option('--from <ip|country>', 'decide a login from there by a user who has logged in from here before')
    .option('--registry', 'ask the address registries too, over the network; it tells them these addresses')
    .action(locate);
}

async function locate(inputs: readonly string[], options: Options): Promise<void> {
  const { config } = configOf(options);
  const policy: Policy = { ...DEFAULT_POLICY, anonymousNetwork: config.anonymousNetwork };
  const lookup = options.registry === true ? await openLookup() : null;
  const work = withSources(config, async (locator) => {
    tellOfUnusable(locator);
    const from = textOf(options, 'from') ?? null;
    const known = from === null ? emptyBaseline : baselineOf(from, locator);
    const answers = inputs.map((input) => answerFor(input, locator, { known, from, policy }));
    return lookup === null ? answers : Promise.all(answers.map((answer) => withRegistry(answer, lookup)));
  });
  const answers = await withProgress(lookup === null ? 'Opening the databases' : 'Asking the registries', work);
  // A script that mistyped one must notice; the others are answered all the same.
  if (answers.some(({ addressClass }) => addressClass === null)) process.exitCode = 1;
  if (options.json) return printJson(answers);
  const terminal = standardOutput();
  print(answers.map((answer) => report(answer, terminal)).join('\n\n'));
}

/** Loaded only here: it brings the queue's library, which is most of the time that a command takes to start. */
async function openLookup(): Promise<RegistryLookup> {
  const { openRegistryLookup } = await import('../registry-worker.ts');
  return openRegistryLookup({ log: QUIET });
}

async function withRegistry(answer: Answer, lookup: RegistryLookup): Promise<Answer> {
  return { ...answer, registry: await registryAnswer(answer.input, lookup) };
}

function tellOfUnusable(locator: Locator): void {
  for (const { ok, origin, problem } of locator.sources()) {
    if (!ok) process.stderr.write(`${clean(`warning: ${origin}: ${problem ?? 'not usable'}`)}\n`);
  }
}

interface Question {
  readonly known: Baseline;
  readonly from: string | null;
  readonly policy: Policy;
}

function answerFor(input: string, locator: Locator, { known, from, policy }: Question): Answer {
  const parsed = parseAddress(input);
  const sighting = locator.locate(input);
  const decision = decide(known, sighting, Date.now(), policy);
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

const FAMILIES: Readonly<Record<AddressFamily, string>> = { 4: '/24', 6: '/48' };

function report({ input, addressClass, sighting, decision, registry }: Answer, terminal: Terminal): string {
  const head = `${terminal.paint(clean(input, 80), 'bold')}  ${addressClass ?? 'not an address'}  ${verdict(sighting)}`;
  const words = sighting.evidence.length === 0 ? [] : [evidenceTable(sighting.evidence, terminal)];
  const asked = registry === undefined ? [] : [registryLines(registry, terminal)];
  return [head, ...words, ...asked, decided(decision, sighting)].join('\n');
}

function verdict(sighting: Sighting): string {
  if (sighting.kind === 'unlocatable') return whyNot(sighting);
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
