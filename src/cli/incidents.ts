/** `session-bouncer incidents list | show | resolve`: the review, from a terminal. */

import { userInfo } from 'node:os';
import { Argument, Command, InvalidArgumentError, Option } from 'commander';
import type { Redis } from 'ioredis';
import type { Config } from '../../config/load.ts';
import { parseAddress } from '../domain/address.ts';
import { isCaseNumber } from '../domain/case-number.ts';
import type { Disposition, Incident, IncidentStatus } from '../domain/incident.ts';
import { DEFAULT_POLICY } from '../domain/policy.ts';
import { BouncerError } from '../errors.ts';
import type { IncidentFilter } from '../ports.ts';
import { redisBaselines } from '../redis/baselines.ts';
import { redisIncidents } from '../redis/incidents.ts';
import type { Keys } from '../redis/keys.ts';
import { type ReviewDeps, resolveIncident, unknownIncident } from '../review.ts';
import { command, configOf, type Options, QUIET, textOf, withRedis } from './context.ts';
import { incidentPage } from './incident-list.ts';
import { incidentReport } from './incident-show.ts';
import { print, printJson, standardOutput } from './terminal.ts';
import { clean } from './text.ts';

const DAY_MS = 86_400_000;
const ANSWERS: readonly Disposition[] = ['confirmed', 'safe', 'dismissed'];

export function incidentsCommand(): Command {
  const incidents = new Command('incidents').description('list, show and answer what the worker flagged or revoked');
  incidents.addCommand(listCommand());
  incidents.addCommand(showCommand());
  incidents.addCommand(resolveCommand());
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
  const page = await withRedis(config, (redis, keys) =>
    incidentsOf(config, redis, keys).list(filter, options.limit as number, textOf(options, 'cursor') ?? null),
  );
  if (options.json) printJson(page);
  else print(incidentPage(page, standardOutput()));
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
  const incident = await withRedis(config, (redis, keys) => incidentsOf(config, redis, keys).get(caseId));
  if (incident === null) throw unknownIncident(caseId);
  if (options.json) printJson(incident);
  else print(incidentReport(incident, standardOutput()));
}

function caseOf(given: string): string {
  const caseId = given.trim().toUpperCase();
  if (!isCaseNumber(caseId)) throw unknownIncident(caseId);
  return caseId;
}

function resolveCommand(): Command {
  const as = new Option('--as <answer>', 'confirmed: a theft; safe: the owner (learned); dismissed: neither');
  return command('resolve', 'answer an incident; safe also teaches where the user logs in from', ['baselineTtlDays'])
    .addArgument(new Argument('<case>', 'case number, e.g. K7QX-2M9F-4T8A'))
    .addOption(as.choices(ANSWERS).makeOptionMandatory())
    .option('--by <who>', 'who answers (default: your name on this machine)')
    .option('--note <text>', 'why', '')
    .action(resolve);
}

async function resolve(given: string, options: Options): Promise<void> {
  const { config } = configOf(options);
  const answer = {
    disposition: options.as as Disposition,
    by: textOf(options, 'by') ?? userInfo().username,
    note: textOf(options, 'note') ?? '',
    atMs: Date.now(),
  };
  const { incident, taught } = await withRedis(config, (redis, keys) =>
    resolveIncident(reviewDeps(config, redis, keys), caseOf(given), answer),
  );
  if (options.json) return printJson({ incident, taught });
  print(`${incident.id}: ${incident.status}${incident.status === 'safe' ? learned(incident) : ''}`);
}

function learned({ userId, sighting, reason }: Incident): string {
  if (sighting.kind !== 'located' || reason === 'session_reused') return '; nothing to learn from it';
  return `; ${clean(userId)} may log in from ${sighting.candidates.join(' or ')} and ${sighting.network}`;
}

function reviewDeps(config: Config, redis: Redis, keys: Keys): ReviewDeps {
  const baselineTtlMs = config.baselineTtlDays * DAY_MS;
  return {
    incidents: incidentsOf(config, redis, keys),
    baselines: redisBaselines(redis, keys, baselineTtlMs, QUIET),
    policy: { ...DEFAULT_POLICY, baselineTtlMs },
  };
}

function incidentsOf(config: Config, redis: Redis, keys: Keys) {
  return redisIncidents(redis, keys, config.incidentTtlDays * DAY_MS);
}
