/** `session-bouncer incidents list | show | resolve | undo | reopen`: the review, from a terminal. */

import { Argument, Command, InvalidArgumentError, Option } from 'commander';
import type { Redis } from 'ioredis';
import type { Config } from '../../config/load.ts';
import { type OpenDesk, openDesk } from '../desk.ts';
import type { Answered, UndoOutcome } from '../desk-ports.ts';
import { parseAddress } from '../domain/address.ts';
import { isCaseNumber } from '../domain/case-number.ts';
import type { Disposition, Incident, IncidentStatus } from '../domain/incident.ts';
import { BouncerError } from '../errors.ts';
import type { IncidentFilter } from '../ports.ts';
import { redisCounters } from '../redis/counters.ts';
import { HISTORY_KEPT, redisHistory } from '../redis/history.ts';
import { redisIncidents } from '../redis/incidents.ts';
import type { Keys } from '../redis/keys.ts';
import { unknownIncident } from '../review.ts';
import { command, configOf, type Options, QUIET, textOf, withRedis } from './context.ts';
import { incidentPage } from './incident-list.ts';
import { incidentReport } from './incident-show.ts';
import { knownFrom } from './known-from.ts';
import { print, printJson, standardOutput } from './terminal.ts';
import { clean } from './text.ts';
import { uncheckedOf, uncheckedText } from './unchecked.ts';
import { actorOf } from './with-desk.ts';

const DAY_MS = 86_400_000;
const ANSWERS: readonly Disposition[] = ['confirmed', 'safe', 'dismissed'];

export function incidentsCommand(): Command {
  const incidents = new Command('incidents').description('list, show and answer what the worker flagged or revoked');
  incidents.addCommand(listCommand());
  incidents.addCommand(showCommand());
  incidents.addCommand(resolveCommand());
  incidents.addCommand(undoCommand());
  incidents.addCommand(reopenCommand());
  return incidents;
}

function listCommand(): Command {
  return command('list', 'incidents, newest first')
    .option('--user <id>', 'of this user only')
    .option('--address <ip>', 'from this address only')
    .addOption(new Option('--status <status>', 'with this status only').choices(['open', ...ANSWERS]))
    .option('--limit <number>', 'at most this many, up to 1000', limit, 20)
    .option('--cursor <cursor>', 'the page after the one that gave this cursor')
    .action(list);
}

function limit(text: string): number {
  const number = Number(text);
  if (/^\d{1,4}$/.test(text) && number >= 1 && number <= 1000) return number;
  throw new InvalidArgumentError('Give a whole number from 1 to 1000.');
}

async function list(options: Options): Promise<void> {
  const { config } = configOf(options);
  const filter = filterOf(options);
  const cursor = textOf(options, 'cursor') ?? null;
  const [page, counters] = await withRedis(config, (redis, keys) =>
    Promise.all([
      incidentsOf(config, redis, keys).list(filter, options.limit as number, cursor),
      redisCounters(redis, keys).read(),
    ]),
  );
  if (options.json) return printJson(page);
  print(incidentPage(page, standardOutput()));
  // A short list is no comfort where few logins could be checked.
  const unchecked = uncheckedOf(counters);
  if (unchecked.total > 0) print(`\n${clean(uncheckedText(unchecked))} (session-bouncer doctor)`);
}

function filterOf(options: Options): IncidentFilter {
  return {
    userId: textOf(options, 'user'),
    address: canonical(textOf(options, 'address')),
    status: textOf(options, 'status') as IncidentStatus | undefined,
  };
}

/** Incidents are found by the one spelling that they were stored under. */
function canonical(address: string | undefined): string | undefined {
  if (address === undefined) return undefined;
  const parsed = parseAddress(address);
  if (!parsed.ok) throw new BouncerError('option_invalid', '--address: give one plain IP address');
  return parsed.ip;
}

function showCommand(): Command {
  return command('show', 'one incident: both sides, the evidence, the times, what the holder did next')
    .addArgument(new Argument('<case>', 'case number, e.g. K7QX-2M9F-4T8A'))
    .action(show);
}

async function show(given: string, options: Options): Promise<void> {
  const { config } = configOf(options);
  const caseId = caseOf(given);
  const { incident, known } = await withRedis(config, async (redis, keys) => {
    const found = await incidentsOf(config, redis, keys).get(caseId);
    if (found === null) throw unknownIncident(caseId);
    const history = await redisHistory(redis, keys, config.historyTtlDays * DAY_MS).list(found.userId, HISTORY_KEPT);
    return { incident: found, known: knownFrom(found, history) };
  });
  if (options.json) printJson({ ...incident, knownFrom: known });
  else print(incidentReport(incident, known, standardOutput()));
}

function caseOf(given: string): string {
  const caseId = given.trim().toUpperCase();
  if (!isCaseNumber(caseId)) throw unknownIncident(caseId);
  return caseId;
}

/** What an end that an analyst orders needs, and what a baseline is kept by. */
const SETTINGS = ['baselineTtlDays', 'tombstoneTtlDays'] as const;

const whose = () => new Argument('<case>', 'case number, e.g. K7QX-2M9F-4T8A');

function resolveCommand(): Command {
  const as = new Option('--as <answer>', 'confirmed: a theft; safe: the owner (learned); dismissed: neither');
  return command('resolve', 'answer an incident; safe also teaches where the user logs in from', SETTINGS)
    .addArgument(whose())
    .addOption(as.choices(ANSWERS).makeOptionMandatory())
    .option('--by <who>', 'who answers (default: your name on this machine)')
    .option('--note <text>', 'why', '')
    .option('--give-back', 'with safe: the session lives again, where it can (default, but not of a reused one)')
    .option('--no-give-back', 'with safe: the session stays ended')
    .option('--block <duration>', 'with confirmed: block the address, for 30m, 12h, 7d, or forever', duration)
    .action(resolve);
}

const UNITS_MS: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: DAY_MS };

/** Null: for good. */
function duration(text: string): number | null {
  if (text === 'forever') return null;
  const [, count, unit = ''] = /^([1-9]\d{0,4})([mhd])$/.exec(text) ?? [];
  const unitMs = UNITS_MS[unit];
  if (count === undefined || unitMs === undefined) {
    throw new InvalidArgumentError('Give minutes, hours or days, e.g. 30m, 12h, 7d, or forever.');
  }
  return Number(count) * unitMs;
}

async function resolve(given: string, options: Options): Promise<void> {
  const { config } = configOf(options);
  const request = {
    disposition: options.as as Disposition,
    note: textOf(options, 'note') ?? '',
    giveBack: options.giveBack as boolean | undefined,
    blockAddressForMs: options.block as number | null | undefined,
  };
  const done = await withDesk(config, (desk) => desk.answer(caseOf(given), request, actorOf(options)));
  if (options.json) return printJson(done);
  const { incident } = done;
  print(`${incident.id}: ${[incident.status, ...consequences(done)].join('; ')}`);
}

function consequences({ incident, closed, ended, givenBack, blocked }: Answered): string[] {
  const lines: string[] = [];
  if (incident.status === 'safe') lines.push(learned(incident));
  if (closed.length > 0) lines.push(`closed with it: ${closed.join(', ')}`);
  if (givenBack !== null && givenBack !== 'not_ended') lines.push(UNDONE[givenBack]);
  if (incident.status === 'confirmed') lines.push('the login is ended');
  if (ended > 0) lines.push(`${ended} other ${ended === 1 ? 'login' : 'logins'} from that network ended`);
  if (blocked !== null) lines.push(`${incident.sighting.address} is blocked`);
  return lines;
}

function learned({ userId, sighting, reason }: Incident): string {
  if (sighting.kind !== 'located' || reason === 'session_reused') return 'nothing to learn from it';
  return `${clean(userId)} may log in from ${sighting.candidates.join(' or ')} and ${sighting.network}`;
}

const UNDONE: Readonly<Record<UndoOutcome, string>> = {
  given_back: 'the session lives again',
  expired: 'the session is not given back: it would have ended by now',
  not_ended: 'nothing had been ended',
  gone: 'nothing of the session is left to give back',
  log_in_again: 'the end is lifted, but a PHP session cannot be given back: the user must log in again',
  blocked: 'the session is not given back: a person ended it, or it has ended again',
};

function undoCommand(): Command {
  return command('undo', 'give the session of an incident back; a confirmed one is open again')
    .addArgument(whose())
    .requiredOption('--why <text>', 'why, for the audit')
    .option('--by <who>', 'who does it (default: your name on this machine)')
    .option('--reuse', 'also a session that was reused: two parties held it, and both get it back')
    .action(undo);
}

async function undo(given: string, options: Options): Promise<void> {
  const { config } = configOf(options);
  const caseId = caseOf(given);
  const choice = { reuse: options.reuse === true };
  const outcome = await withDesk(config, (desk) => desk.undo(caseId, String(options.why), actorOf(options), choice));
  if (options.json) return printJson({ case: caseId, outcome });
  print(`${caseId}: ${UNDONE[outcome]}`);
}

function reopenCommand(): Command {
  return command('reopen', 'take a wrong safe or dismissed off, so that it can be answered anew')
    .addArgument(whose())
    .requiredOption('--why <text>', 'why, for the audit')
    .option('--forget', 'also forget what safe taught of this login')
    .option('--by <who>', 'who does it (default: your name on this machine)')
    .action(reopen);
}

async function reopen(given: string, options: Options): Promise<void> {
  const { config } = configOf(options);
  const caseId = caseOf(given);
  const choice = { forget: options.forget === true };
  const done = await withDesk(config, (desk) => desk.reopen(caseId, String(options.why), actorOf(options), choice));
  if (options.json) return printJson({ case: caseId, ...done });
  const { was, learned: place, forgotten } = done;
  const names = place === null ? '' : [...place.countries, ...place.networks].join(', ');
  const learnedToo = names === '' ? '' : `; ${forgotten ? 'forgotten' : 'still known of the user'}: ${names}`;
  print(`${caseId}: open again, was ${was}${learnedToo}`);
}

/** Waits for what the act has to tell others: the process ends behind it. */
function withDesk<T>(config: Config, work: (desk: OpenDesk) => Promise<T>): Promise<T> {
  return withRedis(config, async (redis, keys) => {
    const { baselineTtlDays, tombstoneTtlDays } = config;
    const desk = openDesk({
      redis,
      keys,
      clock: Date.now,
      log: QUIET,
      baselineTtlMs: baselineTtlDays * DAY_MS,
      tombstoneTtlMs: tombstoneTtlDays * DAY_MS,
    });
    try {
      return await work(desk);
    } finally {
      await desk.close();
    }
  });
}

function incidentsOf(config: Config, redis: Redis, keys: Keys) {
  return redisIncidents(redis, keys, config.incidentTtlDays * DAY_MS);
}
