/** What an operator may set: one entry a setting, from which flags, environment names, `--help` and the checks are made. */

import { z } from 'zod';
import { parseAddress } from '../src/domain/address.ts';
import { normaliseCountry } from '../src/domain/country.ts';
import { NOTIFICATION_EVENTS, SHARED_SECRET, webhookProblem } from '../src/domain/notification.ts';
import { GEOFEED_HOST } from '../src/domain/registry.ts';

/** One to 64 letters that need no escaping in a key; the same rule as `createBouncer`'s. */
const PREFIX = /^[\w-]{1,64}$/;
const REDIS_URL = /^(rediss?:\/\/|unix:\/\/|\/)/;

const days = z.number().gt(0).max(3650);
const paths = z.array(z.string().min(1)).max(16).default([]);

/** Refused here: each database would be refused for it later, and no login could be located. */
function isPublic(text: string): boolean {
  const address = parseAddress(text);
  return address.ok && address.kind === 'global';
}

const isCountry = (text: string): boolean => normaliseCountry(text).country !== undefined;

/** Whether plain http may go elsewhere is another setting's business: the worker compares them. */
const webhook = z
  .strictObject({
    url: z.string().max(2000),
    secret: z.union([z.string(), z.array(z.string())]),
    events: z.array(z.enum(NOTIFICATION_EVENTS)).optional(),
  })
  .refine((endpoint) => webhookProblem(endpoint, true) === null);

/** An operator may write `none` (or null in the file) where no value is a value. */
const orNone = <T extends z.ZodType>(schema: T) => z.preprocess((v) => (v === 'none' ? null : v), schema.nullable());

const ACCOUNT = /^[\w.@+-]{1,64}$/;
/** What `session-bouncer console hash-password` prints, behind what the person may do. */
const ROLE_AND_HASH = /^(viewer|analyst|admin):scrypt\$\d{2}\$\d{1,2}\$\d{1,2}\$[\w-]{22,86}\$[\w-]{43,86}$/;

/** 32 bytes in base64, with or without its padding. */
const SEAL_KEY = /^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=?$/;

export const configSchema = z.object({
  redisUrl: z.string().regex(REDIS_URL).default('redis://localhost:6379'),
  prefix: z.string().regex(PREFIX).default('bouncer'),
  mode: z.enum(['enforce', 'observe']).default('enforce'),
  databases: paths,
  overrides: paths,
  canaries: z.record(z.string().refine(isPublic), z.string().refine(isCountry)).default({}),
  maxDatabaseAgeDays: orNone(days).default(null),
  anonymousNetwork: z.enum(['allow', 'flag']).default('flag'),
  baselineTtlDays: days.default(180),
  incidentTtlDays: days.default(365),
  visitTtlDays: days.default(365),
  auditTtlDays: days.default(730),
  historyTtlDays: days.default(90),
  tombstoneTtlDays: days.default(30),
  concurrency: z.int().min(1).max(1000).default(8),
  lockDurationSeconds: z.number().min(1).max(3600).default(30),
  recheckDelaySeconds: z.number().min(1).max(86_400).default(60),
  registryEnabled: z.boolean().default(false),
  registryGeofeeds: z.array(z.string().regex(GEOFEED_HOST)).max(100).default([]),
  brake: z.boolean().default(true),
  brakeShare: z.number().gt(0).max(1).default(0.05),
  brakeMinLogins: z.int().min(1).max(1_000_000).default(200),
  brakeWindowMinutes: z.number().min(1).max(60).default(5),
  brakeSurge: z.number().min(1).max(1000).default(20),
  brakeResetAfterMinutes: orNone(z.number().min(1).max(1320)).default(null),
  sweepEveryMinutes: z.number().min(1).max(10_080).default(60),
  waitReplicas: z.int().min(0).max(100).default(1),
  waitReplicasTimeoutMs: z.int().min(1).max(60_000).default(1000),
  webhooks: z.array(webhook).max(16).default([]),
  allowHttpWebhooks: z.boolean().default(false),
  userLinkUrl: orNone(z.string().regex(/^https?:\/\/[^\s?#]+$/)).default(null),
  userLinkSecrets: z.array(z.string().min(32)).max(5).default([]),
  userLinkTtlDays: z.number().gt(0).max(90).default(7),
  userQuestions: z.enum(['ended', 'all']).default('ended'),
  phpKeys: z.record(z.string().regex(/^[\w-]{1,32}$/), z.string().regex(SEAL_KEY)).default({}),
  phpRedisUrl: orNone(z.string().regex(REDIS_URL)).default(null),
  phpSessionPrefix: z
    .string()
    .regex(/^[!-~]{1,128}$/)
    .default('PHPREDIS_SESSION:'),
  phpFormat: z.enum(['php', 'php_serialize']).default('php'),
  phpField: z
    .string()
    .regex(/^[^|]{1,128}$/)
    .default('username'),
  phpEnd: z.enum(['null', 'destroy']).default('null'),
  phpLocking: z.boolean().default(false),
  phpMaxExecutionSeconds: z.number().min(1).max(3600).default(30),
  consoleAccounts: z.record(z.string().regex(ACCOUNT), z.string().regex(ROLE_AND_HASH)).default({}),
  consoleHost: z
    .string()
    .regex(/^[\w.:-]{1,253}$/)
    .default('127.0.0.1'),
  consolePort: z.int().min(0).max(65_535).default(3900),
  consoleUrl: orNone(z.string().regex(/^https?:\/\/[^\s/?#@]+\/?$/)).default(null),
  consoleTrustProxy: z.array(z.string().min(1)).max(64).default([]),
  ingestSecrets: z.array(z.string().regex(SHARED_SECRET)).max(5).default([]),
  ingestHost: z
    .string()
    .regex(/^[\w.:-]{1,253}$/)
    .default('127.0.0.1'),
  ingestPort: z.int().min(0).max(65_535).default(8990),
  ingestLoginsPerSecond: z.int().min(1).max(1_000_000).default(5000),
  ingestTrustProxy: z.array(z.string().min(1)).max(64).default([]),
  shutdownTimeoutSeconds: z.number().min(1).max(3600).default(25),
  logLevel: z.enum(['debug', 'info', 'warn', 'error', 'silent']).default('info'),
});

/** A complete configuration. Durations carry their unit in the name. */
export type Config = z.infer<typeof configSchema>;
export type SettingName = keyof Config;

/** How texts of flags and environment become values; the file has JSON's own types. */
export type SettingType = 'text' | 'number' | 'list' | 'pairs' | 'switch' | 'webhooks';

export interface Setting {
  readonly name: SettingName;
  readonly type: SettingType;
  /** e.g. `--baseline-ttl-days`. */
  readonly flag: string;
  /** What stands behind the flag in `--help`, e.g. `<days>`. */
  readonly placeholder: string;
  /** e.g. `SESSION_BOUNCER_BASELINE_TTL_DAYS`. */
  readonly env: string;
  readonly description: string;
  /** What it takes, as the end of a sentence: `give ...`. */
  readonly takes: string;
  /** Never shown, and no flag: everybody on a machine sees the arguments of its processes. */
  readonly secret?: true;
}

interface Words {
  readonly secret?: true;
  readonly type?: SettingType;
  readonly flag?: string;
  readonly placeholder: string;
  readonly env?: string;
  readonly description: string;
  readonly takes: string;
}

const DAYS = { type: 'number', placeholder: '<days>', takes: 'days above 0 and up to 3650' } as const;

const WORDS: Readonly<Record<SettingName, Words>> = {
  redisUrl: {
    flag: '--redis',
    env: 'REDIS_URL',
    placeholder: '<url>',
    description: 'The Redis of the web tier and the workers; rediss:// for TLS.',
    takes: 'a URL such as redis://localhost:6379',
  },
  prefix: {
    placeholder: '<text>',
    description: 'Every key begins with it; the same in the web tier.',
    takes: '1 to 64 letters, digits, - and _',
  },
  mode: {
    placeholder: '<mode>',
    description: 'enforce ends sessions; observe records the same and touches no session.',
    takes: 'enforce or observe',
  },
  databases: {
    type: 'list',
    placeholder: '<paths>',
    description: 'Country databases (.mmdb), two of different vendors; none: those that npm ships.',
    takes: 'up to 16 paths of .mmdb files (separated by commas outside the file)',
  },
  overrides: {
    type: 'list',
    placeholder: '<paths>',
    description: 'RFC 8805 CSV files of your own, certain: VPN exits, relays, offices.',
    takes: 'up to 16 paths of CSV files (separated by commas outside the file)',
  },
  canaries: {
    type: 'pairs',
    placeholder: '<pairs>',
    description: 'Addresses whose countries you know: a database that says otherwise is refused.',
    takes: 'public addresses with two-letter countries: {"81.2.69.142": "GB"} in the file, 81.2.69.142=GB,... outside',
  },
  maxDatabaseAgeDays: {
    ...DAYS,
    description: 'Databases older than this do not decide any more; none: they only warn.',
    takes: `${DAYS.takes}, or none`,
  },
  anonymousNetwork: {
    placeholder: '<action>',
    description: 'What becomes of a login from a VPN, a hoster or an anycast network new to the user.',
    takes: 'flag or allow',
  },
  baselineTtlDays: { ...DAYS, description: "A user's baseline is forgotten after this long without a login." },
  incidentTtlDays: { ...DAYS, description: 'Incidents, with all that belongs to them, are kept this long.' },
  visitTtlDays: { ...DAYS, description: 'Visits of bounced holders are kept this long, within their incident.' },
  auditTtlDays: { ...DAYS, description: 'Entries of the audit are kept this long, the newest 100,000 at most.' },
  historyTtlDays: { ...DAYS, description: "A user's logins are kept this long for the console." },
  tombstoneTtlDays: { ...DAYS, description: "A revoked session's tombstone stands at least this long." },
  concurrency: {
    type: 'number',
    placeholder: '<jobs>',
    description: 'Jobs in hand at the same time; each carries up to 100 logins.',
    takes: 'a whole number from 1 to 1000',
  },
  lockDurationSeconds: {
    type: 'number',
    placeholder: '<seconds>',
    description: 'How soon another worker takes over the job of one that died.',
    takes: 'seconds from 1 to 3600',
  },
  recheckDelaySeconds: {
    type: 'number',
    placeholder: '<seconds>',
    description: 'How soon a login is tried again that no database could locate; then ever more rarely.',
    takes: 'seconds from 1 to 86400',
  },
  registryEnabled: {
    type: 'switch',
    placeholder: '<true|false>',
    description: 'Ask the address registries about disputed logins; it tells them the addresses.',
    takes: 'true or false',
  },
  registryGeofeeds: {
    type: 'list',
    placeholder: '<hosts>',
    description: "Hosts of geofeeds that you trust (your users' cloud): their word alone closes an incident.",
    takes: 'up to 100 host names such as ip-ranges.amazonaws.com (separated by commas outside the file)',
  },
  brake: {
    type: 'switch',
    placeholder: '<true|false>',
    description: 'The safety brake: nothing is ended while the sessions of too many users would be.',
    takes: 'true or false',
  },
  brakeShare: {
    type: 'number',
    placeholder: '<share>',
    description: 'More users than this share of the logins of a window trip the brake.',
    takes: 'a share above 0 and up to 1, e.g. 0.05',
  },
  brakeMinLogins: {
    type: 'number',
    placeholder: '<logins>',
    description:
      'A window counts as at least so many logins; times the share, so many users may lose sessions in it anyway.',
    takes: 'a whole number from 1 to 1000000',
  },
  brakeWindowMinutes: {
    type: 'number',
    placeholder: '<minutes>',
    description: 'The window of the brake.',
    takes: 'minutes from 1 to 60',
  },
  brakeSurge: {
    type: 'number',
    placeholder: '<times>',
    description: 'So many times the share of the last day trips the brake too.',
    takes: 'a number from 1 to 1000',
  },
  brakeResetAfterMinutes: {
    type: 'number',
    placeholder: '<minutes>',
    description: 'The brake lets go by itself when the share was normal for so long; none: a person resets it.',
    takes: 'minutes from 1 to 1320, or none',
  },
  sweepEveryMinutes: {
    type: 'number',
    placeholder: '<minutes>',
    description: 'How often the lists of sessions are cleaned of those that ended.',
    takes: 'minutes from 1 to 10080',
  },
  waitReplicas: {
    type: 'number',
    placeholder: '<number>',
    description: 'An end is done only on this many replicas, or on all that are connected if fewer; 0 waits for none.',
    takes: 'a whole number from 0 to 100',
  },
  waitReplicasTimeoutMs: {
    type: 'number',
    placeholder: '<milliseconds>',
    description: 'How long to wait for replicas before a login is tried again.',
    takes: 'milliseconds from 1 to 60000',
  },
  webhooks: {
    type: 'webhooks',
    secret: true,
    placeholder: '<endpoints>',
    description: 'Who is told of incidents, answers and the brake; the same in all workers.',
    takes:
      'up to 16 of {"url": "https://...", "secret": "whsec_...", "events": [...]} in the file; outside it that as JSON, or a URL and its secret with a space between them',
  },
  allowHttpWebhooks: {
    type: 'switch',
    placeholder: '<true|false>',
    description: 'Webhooks may go to other machines over plain http.',
    takes: 'true or false',
  },
  userLinkUrl: {
    placeholder: '<url>',
    description: 'The page where users say whether it was them; none: they are not asked.',
    takes: 'an http(s) URL without a query, or none',
  },
  userLinkSecrets: {
    type: 'list',
    secret: true,
    placeholder: '<secrets>',
    description: 'Sign the links to that page; the first signs, the others are old ones.',
    takes: 'up to 5 secrets of 32 characters or more (separated by commas outside the file)',
  },
  userLinkTtlDays: {
    type: 'number',
    placeholder: '<days>',
    description: 'Such a link is good for so long.',
    takes: 'days above 0 and up to 90',
  },
  userQuestions: {
    placeholder: '<which>',
    description: 'Whom to ask: those whose session was ended, or all whose login was flagged too.',
    takes: 'ended or all',
  },
  phpKeys: {
    type: 'pairs',
    secret: true,
    placeholder: '<keys>',
    description: 'Open the session ids that a PHP site sends; with none, no PHP session is ended.',
    takes:
      'key ids of 1 to 32 letters, each once, with 32 random bytes in base64: {"k1": "..."} in the file, k1=...,k2=... outside',
  },
  phpRedisUrl: {
    placeholder: '<url>',
    description: 'The Redis in which PHP keeps its sessions; none: the same as ours.',
    takes: 'a URL such as redis://localhost:6379, or none',
  },
  phpSessionPrefix: {
    placeholder: '<text>',
    description: 'What phpredis puts before a session id (`prefix` in session.save_path).',
    takes: '1 to 128 printable letters',
  },
  phpFormat: {
    placeholder: '<format>',
    description: "PHP's session.serialize_handler.",
    takes: 'php or php_serialize',
  },
  phpField: {
    placeholder: '<name>',
    description: 'The variable of $_SESSION that says who is logged in.',
    takes: 'the name of a variable, without |',
  },
  phpEnd: {
    placeholder: '<how>',
    description: 'null sets that variable to NULL; destroy deletes the whole session.',
    takes: 'null or destroy, as texts',
  },
  phpLocking: {
    type: 'switch',
    placeholder: '<true|false>',
    description: "PHP's redis.session.locking_enabled: take the session's lock as PHP does.",
    takes: 'true or false',
  },
  phpMaxExecutionSeconds: {
    type: 'number',
    placeholder: '<seconds>',
    description: 'So long a PHP request may run, by the clock, and write its session back at its end.',
    takes: 'seconds from 1 to 3600',
  },
  consoleAccounts: {
    type: 'pairs',
    secret: true,
    placeholder: '<accounts>',
    description: 'Who may sign in at `session-bouncer console`, as what, and the hash of the password.',
    takes:
      'names with viewer:, analyst: or admin: and what `session-bouncer console hash-password` prints: {"anna": "admin:scrypt$..."} in the file, anna=admin:scrypt$...,... outside',
  },
  consoleHost: {
    placeholder: '<address>',
    description: 'Where the console listens.',
    takes: 'an address or a name of this machine, e.g. 127.0.0.1',
  },
  consolePort: {
    type: 'number',
    placeholder: '<port>',
    description: 'Where the console listens; 0 takes a free port.',
    takes: 'a whole number from 0 to 65535',
  },
  consoleUrl: {
    placeholder: '<url>',
    description: 'The https:// URL that people open; none: the console is for this machine alone.',
    takes: 'an https:// URL without a path, or none',
  },
  consoleTrustProxy: {
    type: 'list',
    placeholder: '<proxies>',
    description: 'The proxies in front of the console, as `trustProxy` of the web tier.',
    takes: 'addresses, CIDRs, loopback or private (separated by commas outside the file)',
  },
  ingestSecrets: {
    type: 'list',
    secret: true,
    placeholder: '<secrets>',
    description: 'Sign what is sent to `session-bouncer ingest`; each of them is good.',
    takes: 'up to 5 that `session-bouncer ingest make-secret` prints (separated by commas outside the file)',
  },
  ingestHost: {
    placeholder: '<address>',
    description: 'Where the ingest listens.',
    takes: 'an address or a name of this machine, e.g. 127.0.0.1',
  },
  ingestPort: {
    type: 'number',
    placeholder: '<port>',
    description: 'Where the ingest listens; 0 takes a free port.',
    takes: 'a whole number from 0 to 65535',
  },
  ingestLoginsPerSecond: {
    type: 'number',
    placeholder: '<logins>',
    description: 'So many logins each secret may send a second, and twice as many at once.',
    takes: 'a whole number from 1 to 1000000',
  },
  ingestTrustProxy: {
    type: 'list',
    placeholder: '<proxies>',
    description: 'The proxies in front of the ingest, as `trustProxy` of the web tier.',
    takes: 'addresses, CIDRs, loopback or private (separated by commas outside the file)',
  },
  shutdownTimeoutSeconds: {
    type: 'number',
    placeholder: '<seconds>',
    description: 'How long a worker that was told to stop may finish the jobs in hand.',
    takes: 'seconds from 1 to 3600',
  },
  logLevel: {
    placeholder: '<level>',
    description: 'What the worker logs (JSON lines on standard error).',
    takes: 'debug, info, warn, error or silent',
  },
};

const dashed = (name: string): string => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
export const ENV_PREFIX = 'SESSION_BOUNCER_';

/** In the order of the schema. */
export const SETTINGS: readonly Setting[] = Object.entries(WORDS).map(([name, words]) => ({
  type: 'text',
  flag: `--${dashed(name)}`,
  env: `${ENV_PREFIX}${dashed(name).replaceAll('-', '_').toUpperCase()}`,
  ...words,
  name: name as SettingName,
}));

/** Those that may stand on a command line. */
export const FLAGS: readonly Setting[] = SETTINGS.filter(({ secret }) => secret === undefined);

export const DEFAULTS: Config = Object.freeze(configSchema.parse({}));
