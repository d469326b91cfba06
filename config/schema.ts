/** What an operator may set: one entry a setting, from which flags, environment names, `--help` and the checks are made. */

import { z } from 'zod';
import { parseAddress } from '../src/domain/address.ts';
import { normaliseCountry } from '../src/domain/country.ts';

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

/** An operator may write `none` (or null in the file) where no value is a value. */
const orNone = <T extends z.ZodType>(schema: T) => z.preprocess((v) => (v === 'none' ? null : v), schema.nullable());

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
  sweepEveryMinutes: z.number().min(1).max(10_080).default(60),
  waitReplicas: z.int().min(0).max(100).default(1),
  waitReplicasTimeoutMs: z.int().min(1).max(60_000).default(1000),
  shutdownTimeoutSeconds: z.number().min(1).max(3600).default(25),
  logLevel: z.enum(['debug', 'info', 'warn', 'error', 'silent']).default('info'),
});

/** A complete configuration. Durations carry their unit in the name. */
export type Config = z.infer<typeof configSchema>;
export type SettingName = keyof Config;

/** How texts of flags and environment become values; the file has JSON's own types. */
export type SettingType = 'text' | 'number' | 'list' | 'pairs' | 'switch';

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
}

interface Words {
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

export const DEFAULTS: Config = Object.freeze(configSchema.parse({}));
