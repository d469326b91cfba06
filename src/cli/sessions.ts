/** `session-bouncer sessions list | end | end-all | audit`: who is logged in, and how to end that, from a terminal. */

import { Argument, Command } from 'commander';
import type { Redis } from 'ioredis';
import type { Config } from '../../config/load.ts';
import { caseOf } from '../case-of.ts';
import { BouncerError } from '../errors.ts';
import type { AuditEntry, Log, LoginEntry, Sessions } from '../ports.ts';
import { redisAudit } from '../redis/audit.ts';
import { keptAsByWorkers } from '../redis/kept.ts';
import { type Keys, RECHECK_QUEUE } from '../redis/keys.ts';
import { redisLogins } from '../redis/logins.ts';
import { redisRegistry } from '../redis/registry.ts';
import { guardedSessions } from '../redis/sessions.ts';
import { LONGEST_SESSION_MS, type SessionAdmin, sessionAdmin } from '../session-admin.ts';
import { command, configOf, type Options, QUIET, textOf, withRedis } from './context.ts';
import { IdArgument } from './id-argument.ts';
import { type Column, table } from './table.ts';
import { print, printJson, standardOutput } from './terminal.ts';
import { clean } from './text.ts';
import { instant, minute } from './time.ts';
import { givenName } from './with-desk.ts';

const DAY_MS = 86_400_000;
const AUDIT_ROWS = 100;

/** It was done, but not all that belongs to it: whoever typed this must hear of that. */
const WARNINGS: Log = { ...QUIET, warn: (_fields, message) => void process.stderr.write(`warning: ${message}\n`) };

export function sessionsCommand(): Command {
  const sessions = new Command('sessions').description("list and end users' sessions");
  for (const each of [listCommand(), endCommand(), endAllCommand(), auditCommand()]) sessions.addCommand(each);
  return sessions;
}

function listCommand(): Command {
  return command('list', "a user's logins that live")
    .addArgument(new Argument('<user>', "the application's own id of the user"))
    .action(list);
}

/** Whoever reads the audit must know. */
function withReasons(made: Command): Command {
  return made.requiredOption('--by <who>', 'who ends it').requiredOption('--why <text>', 'why');
}

function endCommand(): Command {
  return withReasons(command('end', 'end one login, with all its session ids', ['tombstoneTtlDays']))
    .addArgument(new IdArgument('<id>', "the login's id, or a session's handle"))
    .action(end);
}

function endAllCommand(): Command {
  return withReasons(command('end-all', "end all of a user's logins", ['tombstoneTtlDays']))
    .addArgument(new Argument('<user>', "the application's own id of the user"))
    .option('--except <lid>', 'but for this login')
    .action(endAll);
}

function auditCommand(): Command {
  return command(
    'audit',
    `who ended which sessions, and what else people did: the last ${AUDIT_ROWS}, newest first`,
  ).action(audit);
}

function withAdmin<T>(config: Config, work: (admin: SessionAdmin) => Promise<T>): Promise<T> {
  return withRedis(config, (redis, keys) => {
    return work(adminOf(redis, keys, sessionsOf(config, redis, keys)));
  });
}

/** For what ends something: with the re-checks that every end has. */
function withEnder<T>(config: Config, work: (admin: SessionAdmin) => Promise<T>): Promise<T> {
  return withRedis(config, async (redis, keys) => {
    // Loaded here: the queue's library is most of the time that a command takes to start.
    const { RECHECK_DELAYS_MS, rechecked, recheckQueue } = await import('../queue/rechecks.ts');
    const names = { queue: RECHECK_QUEUE, prefix: keys.queuePrefix };
    const rechecks = recheckQueue(redis, names, RECHECK_DELAYS_MS, WARNINGS);
    const sessions = rechecked(sessionsOf(config, redis, keys), rechecks, WARNINGS);
    try {
      return await work(adminOf(redis, keys, sessions));
    } finally {
      await rechecks.close();
    }
  });
}

function sessionsOf({ tombstoneTtlDays }: Config, redis: Redis, keys: Keys): Sessions {
  return keptAsByWorkers({ redis, keys, log: QUIET, tombstoneTtlMs: tombstoneTtlDays * DAY_MS }).sessions;
}

function adminOf(redis: Redis, keys: Keys, sessions: Sessions): SessionAdmin {
  return sessionAdmin({
    registry: redisRegistry(redis, keys),
    sessions,
    guarded: guardedSessions(redis, keys),
    logins: redisLogins(redis, keys),
    audit: redisAudit(redis, keys),
    clock: Date.now,
    log: { ...WARNINGS, error: WARNINGS.warn },
    absoluteTtlMs: LONGEST_SESSION_MS,
    caseOf,
  });
}

const LOGINS: readonly Column<LoginEntry>[] = [
  { title: 'LOGIN (UTC)', value: ({ loginAtMs }) => minute(loginAtMs) },
  { title: 'LID', value: ({ lid }) => lid, min: 38 },
  { title: 'ADDRESS', value: ({ address }) => address ?? 'unknown', min: 9 },
  { title: 'COUNTRY', value: ({ countries }) => countries.join('|') || '?' },
  { title: 'SITE', value: ({ php }) => (php ? 'PHP' : ''), optional: true },
  { title: 'DEVICE', value: ({ deviceId }) => deviceId ?? '', optional: true },
  { title: 'BROWSER', value: ({ userAgent }) => userAgent ?? '', min: 10, optional: true },
];

async function list(user: string, options: Options): Promise<void> {
  const logins = await withAdmin(configOf(options).config, (admin) => admin.list(user));
  if (options.json) printJson(logins);
  else print(logins.length === 0 ? 'No sessions.' : table(logins, LOGINS, standardOutput()));
}

function reasonsOf(options: Options): { by: string; why: string } {
  return { by: givenName(options) ?? '', why: textOf(options, 'why') ?? '' };
}

async function end(id: string, options: Options): Promise<void> {
  const outcome = await withEnder(configOf(options).config, (admin) => admin.end(id, reasonsOf(options)));
  if (outcome === 'unknown') {
    throw new BouncerError('session_unknown', 'no login or session has this id: list the sessions of its user');
  }
  if (options.json) printJson({ id, outcome });
  else print(`${clean(id)}: ${outcome === 'ended' ? 'ended' : 'had ended already'}`);
}

async function endAll(user: string, options: Options): Promise<void> {
  const keep = textOf(options, 'except');
  const reasons = reasonsOf(options);
  const result = await withEnder(configOf(options).config, (admin) =>
    keep === undefined ? admin.endAll(user, reasons) : admin.endOthers(user, keep, reasons),
  );
  if (options.json) printJson(result);
  else print(`${clean(user)}: ${result.ended} ended${result.failed > 0 ? `, ${result.failed} failed` : ''}`);
  if (result.failed > 0) process.exitCode = 1;
}

/** Of a user; an entry of one of these without a login is the act as a whole. */
const ENDS: ReadonlySet<AuditEntry['what']> = new Set(['end', 'end_all', 'end_others', 'forget_user']);

const AUDIT: readonly Column<AuditEntry>[] = [
  { title: 'WHEN (UTC)', value: ({ atMs }) => instant(atMs) },
  { title: 'WHAT', value: ({ what }) => what },
  { title: 'BY', value: ({ by }) => by, min: 6 },
  // Of lists, the brake and the like neither is meant.
  { title: 'USER', value: ({ userId, lid }) => userId ?? (lid === null ? '' : 'unknown'), min: 6 },
  { title: 'LID', value: ({ what, lid }) => lid ?? (ENDS.has(what) ? 'all' : ''), min: 4 },
  { title: 'OUTCOME', value: ({ outcome }) => outcome },
  { title: 'WHY', value: ({ why }) => why, min: 6 },
];

async function audit(options: Options): Promise<void> {
  const { config } = configOf(options);
  const entries = await withRedis(config, (redis, keys) => redisAudit(redis, keys).list(AUDIT_ROWS));
  if (options.json) printJson(entries);
  else print(entries.length === 0 ? 'Nothing is on record.' : table(entries, AUDIT, standardOutput()));
}
