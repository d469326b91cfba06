/** Where a value comes from, what is refused and how that is told. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { CONFIG_FILE, loadConfig, loadTerminal, parseFlags } from '../../config/load.ts';
import { type ConfigSources, maskUrl, nearest, resolveConfig, shownValue } from '../../config/resolve.ts';
import { DEFAULTS, SETTINGS } from '../../config/schema.ts';
import { BouncerError } from '../../src/errors.ts';

const NOTHING: ConfigSources = { flags: {}, env: {}, file: null, cwd: '/here' };

function fileOf(content: unknown) {
  return { path: '/etc/bouncer/config.json', content };
}

function refusal(work: () => unknown): BouncerError {
  try {
    work();
  } catch (error) {
    if (error instanceof BouncerError) return error;
    throw error;
  }
  throw new Error('it was accepted');
}

describe('resolveConfig', () => {
  test('nothing given: the defaults, and it says so', () => {
    const { config, origins, warnings } = resolveConfig(NOTHING);
    expect(config).toEqual(DEFAULTS);
    expect(new Set(Object.values(origins).map(({ from }) => from))).toEqual(new Set(['default']));
    expect(warnings).toEqual([]);
  });

  test.each([
    ['flag', { mode: 'observe' }, { SESSION_BOUNCER_MODE: 'enforce' }, { mode: 'enforce' }, '--mode'],
    ['environment', {}, { SESSION_BOUNCER_MODE: 'observe' }, { mode: 'enforce' }, 'SESSION_BOUNCER_MODE'],
    ['environment', {}, { SESSION_BOUNCER_MODE: ' observe ' }, {}, 'SESSION_BOUNCER_MODE'],
    ['file', {}, {}, { mode: 'observe' }, '/etc/bouncer/config.json'],
    ['file', {}, { SESSION_BOUNCER_MODE: '' }, { mode: 'observe' }, '/etc/bouncer/config.json'],
  ] as const)('a value of the %s wins over those behind it', (from, flags, env, content, name) => {
    const { config, origins } = resolveConfig({ ...NOTHING, flags, env, file: fileOf(content) });
    expect(config.mode).toBe('observe');
    expect(origins.mode).toEqual({ from, name });
  });

  test.each([
    ['REDIS_URL', 'rediss://r:6380/1', 'redisUrl', 'rediss://r:6380/1'],
    ['SESSION_BOUNCER_BASELINE_TTL_DAYS', '0.5', 'baselineTtlDays', 0.5],
    ['SESSION_BOUNCER_MAX_DATABASE_AGE_DAYS', '90', 'maxDatabaseAgeDays', 90],
    ['SESSION_BOUNCER_MAX_DATABASE_AGE_DAYS', 'none', 'maxDatabaseAgeDays', null],
    ['SESSION_BOUNCER_CONCURRENCY', '8', 'concurrency', 8],
    ['SESSION_BOUNCER_DATABASES', 'a.mmdb, /b.mmdb,', 'databases', ['/here/a.mmdb', '/b.mmdb']],
    ['SESSION_BOUNCER_OVERRIDES', 'own.csv', 'overrides', ['/here/own.csv']],
    [
      'SESSION_BOUNCER_CANARIES',
      '81.2.69.142=GB, 2a02:1::1=de',
      'canaries',
      { '81.2.69.142': 'GB', '2a02:1::1': 'de' },
    ],
    ['SESSION_BOUNCER_ANONYMOUS_NETWORK', 'allow', 'anonymousNetwork', 'allow'],
    ['SESSION_BOUNCER_REGISTRY_ENABLED', 'true', 'registryEnabled', true],
    ['SESSION_BOUNCER_REGISTRY_ENABLED', 'false', 'registryEnabled', false],
    [
      'SESSION_BOUNCER_REGISTRY_GEOFEEDS',
      'a.example.net,b.example.net',
      'registryGeofeeds',
      ['a.example.net', 'b.example.net'],
    ],
  ] as const)('%s=%s', (variable, text, name, value) => {
    expect(resolveConfig({ ...NOTHING, env: { [variable]: text } }).config[name]).toEqual(value);
  });

  test("the file's relative paths start beside the file, the others in the working directory", () => {
    const file = fileOf({ databases: ['geo/a.mmdb'] });
    expect(resolveConfig({ ...NOTHING, file }).config.databases).toEqual(['/etc/bouncer/geo/a.mmdb']);
    const flags = { databases: 'geo/a.mmdb' };
    expect(resolveConfig({ ...NOTHING, flags, file }).config.databases).toEqual(['/here/geo/a.mmdb']);
    const both = fileOf({ databases: ['a.mmdb'], overrides: ['own.csv'] });
    expect(resolveConfig({ ...NOTHING, flags, file: both }).config.overrides).toEqual(['/etc/bouncer/own.csv']);
  });

  test.each([
    ['mode', 'obsrve'],
    ['redisUrl', 'localhost:6379'],
    ['prefix', 'a b'],
    ['prefix', '{x}'],
    ['concurrency', 0],
    ['concurrency', 1.5],
    ['concurrency', '4'],
    ['baselineTtlDays', 0],
    ['baselineTtlDays', -1],
    ['baselineTtlDays', 1e9],
    ['baselineTtlDays', null],
    ['lockDurationSeconds', 0],
    ['databases', 'a.mmdb'],
    ['databases', [1]],
    ['logLevel', 'verbose'],
    ['overrides', 'own.csv'],
    ['canaries', ['81.2.69.142=GB']],
    ['canaries', { '10.0.0.1': 'GB' }],
    ['canaries', { '81.2.69.142': 'EU' }],
    ['anonymousNetwork', 'revoke'],
    ['registryEnabled', 'true'],
    ['registryGeofeeds', ['https://geo.example.net/feed.csv']],
    ['recheckDelaySeconds', 0],
  ] as const)('in a file, %s: %j is refused, with its place and what to give', (name, value) => {
    const error = refusal(() => resolveConfig({ ...NOTHING, file: fileOf({ [name]: value }) }));
    expect(error.code).toBe('config_invalid');
    expect(error.message).toMatch(new RegExp(`^${name} \\(in /etc/bouncer/config.json\\): give \\S`));
  });

  test.each(['', ' ', '1e3', '0x10', '4 jobs', '-1', 'Infinity', 'NaN'])(
    'a flag --concurrency "%s" is refused',
    (text) => {
      expect(refusal(() => resolveConfig({ ...NOTHING, flags: { concurrency: text } })).message).toMatch(
        /--concurrency/,
      );
    },
  );

  test.each([
    ['registryEnabled', 'yes'],
    ['canaries', '81.2.69.142'],
    ['canaries', '81.2.69.142=GB=FR'],
    ['canaries', 'constructor=GB'],
  ])('a flag for %s: %s is refused', (name, text) => {
    const { message } = refusal(() => resolveConfig({ ...NOTHING, flags: { [name]: text } }));
    expect(message).toMatch(new RegExp(`^${name} \\(--[a-z-]+\\): give \\S`));
  });

  test('all problems are told at once, none with the value itself', () => {
    const { message } = refusal(() =>
      resolveConfig({
        ...NOTHING,
        flags: { mode: 'sekret-1' },
        env: { REDIS_URL: 'sekret-2', SESSION_BOUNCER_CONCURRENCY: 'many' },
        file: fileOf({ perfix: 'sekret-3' }),
      }),
    );
    expect(message.split('; ')).toEqual([
      'perfix (in /etc/bouncer/config.json) is not a setting: did you mean prefix?',
      'redisUrl (REDIS_URL): give a URL such as redis://localhost:6379',
      'mode (--mode): give enforce or observe',
      'concurrency (SESSION_BOUNCER_CONCURRENCY): give a whole number from 1 to 1000',
    ]);
  });

  test.each([
    ['Mode', 'mode'],
    ['databasePaths', 'databases'],
    ['maxDatabaseAge', 'maxDatabaseAgeDays'],
    ['baselineTTLDays', 'baselineTtlDays'],
    ['lockDuration', 'lockDurationSeconds'],
    ['log', 'logLevel'],
  ])('the unknown key %s suggests %s', (key, near) => {
    expect(refusal(() => resolveConfig({ ...NOTHING, file: fileOf({ [key]: 1 }) })).message).toContain(
      `did you mean ${near}?`,
    );
  });

  test.each(['zzzzzzzzz', '__proto__', 'constructor', '\u001b[31m', 'a'.repeat(100_000)])(
    'the unknown key %p is refused without a suggestion, and harmless in the message',
    (key) => {
      const file = fileOf(JSON.parse(`{${JSON.stringify(key)}: 1}`));
      const { message } = refusal(() => resolveConfig({ ...NOTHING, file }));
      expect(message).toContain('known are redisUrl, prefix');
      expect(message).not.toMatch(/\p{Cc}/u);
      expect(message.length).toBeLessThan(1000);
    },
  );

  test.each([[[]], ['text'], [null], [1]])('a file that holds %j is refused', (content) => {
    expect(refusal(() => resolveConfig({ ...NOTHING, file: fileOf(content) })).message).toMatch(/one JSON object/);
  });

  test('a variable whose name is nearly one of ours is told, not refused', () => {
    const env = {
      SESSION_BOUNCER_MOED: 'observe',
      SESSION_BOUNCER_SERVICE_HOST: '10.0.0.1',
      SESSION_BOUNCER_CONFIG: 'x',
    };
    expect(resolveConfig({ ...NOTHING, env }).warnings).toEqual([
      'SESSION_BOUNCER_MOED is not a setting and was ignored: did you mean SESSION_BOUNCER_MODE?',
    ]);
  });
});

describe('settings', () => {
  test('each is named in the README or in a page of docs that it links to', () => {
    const pages = [
      'README.md',
      'docs/operations.md',
      'docs/notifications.md',
      'docs/console.md',
      'docs/php.md',
      'docs/ingest.md',
    ];
    const text = pages.map((page) => readFileSync(new URL(`../../${page}`, import.meta.url), 'utf8')).join();
    expect(
      SETTINGS.map(({ name }) => name).filter((name) => !text.includes(`\`${name}\``) && !text.includes(`"${name}"`)),
    ).toEqual([]);
  });

  test('each has a flag, a variable, a description and a default of the kind it takes', () => {
    expect(SETTINGS.map(({ name }) => name)).toEqual(Object.keys(DEFAULTS));
    for (const { flag, env, description, takes } of SETTINGS) {
      expect(flag).toMatch(/^--[a-z-]+$/);
      expect(env).toMatch(/^(REDIS_URL|SESSION_BOUNCER_[A-Z_]+)$/);
      expect(description).toMatch(/^.{20,120}\.$/);
      expect(takes.length).toBeGreaterThan(5);
    }
  });

  test('the example has all of them, and is valid', () => {
    const text = readFileSync(new URL('../../config/session-bouncer.example.json', import.meta.url), 'utf8');
    const example = JSON.parse(text) as object;
    expect(Object.keys(example).sort()).toEqual(SETTINGS.map(({ name }) => name).sort());
    const { config } = resolveConfig({ ...NOTHING, file: fileOf(example) });
    // All but the mode as without a file: it works where it is put, and no secret in it is one that everybody can read.
    expect(config).toEqual({ ...DEFAULTS, mode: 'observe' });
  });

  test.each([
    ['redis://user:pass@host:1/2', 'redis://user:***@host:1/2'],
    ['rediss://:p@ss/w:rd@host', 'rediss://:***@host'],
    ['redis://host/0?password=x&db=1', 'redis://host/0?password=***&db=1'],
    ['redis://host:6379', 'redis://host:6379'],
    ['/run/redis.sock', '/run/redis.sock'],
  ])('%s is shown as %s', (url, shown) => {
    expect(maskUrl(url)).toBe(shown);
    expect(shownValue({ ...DEFAULTS, redisUrl: url }, 'redisUrl')).toBe(shown);
  });

  test('lists and pairs are shown as they are given', () => {
    expect(shownValue(DEFAULTS, 'canaries')).toBe('none');
    expect(shownValue({ ...DEFAULTS, canaries: { '81.2.69.142': 'GB' } }, 'canaries')).toBe('81.2.69.142=GB');
    expect(shownValue({ ...DEFAULTS, overrides: ['/a.csv', '/b.csv'] }, 'overrides')).toBe('/a.csv, /b.csv');
    expect(shownValue(DEFAULTS, 'registryEnabled')).toBe('false');
  });

  const SECRET = `whsec_${Buffer.alloc(24, 1).toString('base64')}`;
  const HOOK = { url: 'https://siem.example/path-secret', secret: SECRET };

  test.each([
    ['a URL and its secret', `${HOOK.url} ${SECRET}`, [{ ...HOOK, secret: [SECRET] }]],
    ['with the next secret', `${HOOK.url} ${SECRET} ${SECRET}`, [{ ...HOOK, secret: [SECRET, SECRET] }]],
    ['JSON of one', JSON.stringify(HOOK), [HOOK]],
    [
      'JSON of two',
      JSON.stringify([HOOK, { ...HOOK, events: ['brake.tripped'] }]),
      [HOOK, { ...HOOK, events: ['brake.tripped'] }],
    ],
  ])('webhooks in the environment: %s', (_name, text, webhooks) => {
    const { config } = resolveConfig({ ...NOTHING, env: { SESSION_BOUNCER_WEBHOOKS: text } });
    expect(config.webhooks).toEqual(webhooks);
  });

  test.each([
    ['no secret', HOOK.url],
    ['a short secret', `${HOOK.url} whsec_AAAA`],
    ['broken JSON', `[{"url": "${HOOK.url}"`],
    ['an unknown event', JSON.stringify({ ...HOOK, events: ['everything'] })],
    ['an unknown member', JSON.stringify({ ...HOOK, sceret: SECRET })],
    ['a user name in the URL', `https://me:path-secret@siem.example/ ${SECRET}`],
    ['no http', `ftp://siem.example/ ${SECRET}`],
  ])('webhooks with %s are refused, and not quoted', (_name, text) => {
    let message = '';
    try {
      resolveConfig({ ...NOTHING, env: { SESSION_BOUNCER_WEBHOOKS: text } });
    } catch (error) {
      message = String(error);
    }
    expect(message).toMatch(/webhooks \(SESSION_BOUNCER_WEBHOOKS\): give/);
    expect(message).not.toMatch(/path-secret|AAAA|AQEB/);
  });

  test('secrets are neither shown nor flags', () => {
    const config = { ...DEFAULTS, webhooks: [HOOK], userLinkSecrets: ['s'.repeat(32)] };
    expect(shownValue(config, 'webhooks')).toBe('https://siem.example/*** (all events)');
    expect(shownValue(config, 'userLinkSecrets')).toBe('***');
    expect(() => parseFlags(['--webhooks', `${HOOK.url} ${SECRET}`])).toThrow(/is not a flag/);
    expect(() => parseFlags([`--user-link-secrets=${'s'.repeat(32)}`])).toThrow(/^(?!.*ssss)/);
  });

  test('nearest() knows when nothing is near', () => {
    expect(nearest('mod', ['mode', 'prefix'])).toBe('mode');
    expect(nearest('everything', ['mode', 'prefix'])).toBeNull();
    expect(nearest('x', [])).toBeNull();
  });
});

describe('loadConfig', () => {
  const dir = mkdtempSync(join(tmpdir(), 'session-bouncer-config-'));
  afterAll(() => rmSync(dir, { recursive: true, force: true }));

  function put(name: string, text: string): string {
    writeFileSync(join(dir, name), text);
    return join(dir, name);
  }

  test('without a file: defaults; with one in the working directory: that one', () => {
    expect(loadConfig({ cwd: dir, env: {} }).origins.prefix.from).toBe('default');
    const path = put(CONFIG_FILE, '\uFEFF{ "prefix": "shop" }');
    expect(loadConfig({ cwd: dir, env: {} })).toMatchObject({
      config: { prefix: 'shop' },
      origins: { prefix: { from: 'file', name: path } },
    });
  });

  test('--config before SESSION_BOUNCER_CONFIG before the working directory', () => {
    put('a.json', '{ "prefix": "a" }');
    put('b.json', '{ "prefix": "b" }');
    const env = { SESSION_BOUNCER_CONFIG: 'b.json' };
    expect(loadConfig({ cwd: dir, env }).config.prefix).toBe('b');
    expect(loadConfig({ cwd: dir, env, configPath: 'a.json' }).config.prefix).toBe('a');
  });

  test.each([
    ['missing.json', null, 'there is no such file'],
    ['.', null, 'EISDIR'],
    ['bad.json', '{\n  "redisUrl": "redis://:sekret@h",\n  oops }', 'not valid JSON'],
    ['empty.json', '', 'not valid JSON'],
  ])('%s: config_unreadable', (name, text, why) => {
    if (text !== null) put(name, text);
    const error = refusal(() => loadConfig({ cwd: dir, env: {}, configPath: name }));
    expect(error.code).toBe('config_unreadable');
    expect(error.message).toContain(why);
    expect(error.message).not.toContain('sekret');
  });
});

describe('the command line of a worker', () => {
  test('has a flag for each setting', () => {
    const given = parseFlags(['--mode', 'observe', '--redis=redis://h', '--config', 'c.json']);
    expect(given).toMatchObject({ flags: { mode: 'observe', redisUrl: 'redis://h' }, configPath: 'c.json' });
  });

  test.each([
    [['--modee', 'observe'], '--modee is not a flag: did you mean --mode?'],
    [['--passwrd=sekret'], '--passwrd is not a flag: known are'],
    [['sekret'], 'an argument is not a flag'],
    [['--mode'], '--mode: give a value'],
  ])('%j is refused', (argv, message) => {
    const error = refusal(() => parseFlags(argv));
    expect(error.code).toBe('config_invalid');
    expect(error.message).toContain(message);
    expect(error.message).not.toContain('sekret');
  });
});

test.each([
  [{}, { noColor: false, columns: null }],
  [
    { NO_COLOR: '1', COLUMNS: '80' },
    { noColor: true, columns: 80 },
  ],
  [
    { NO_COLOR: '', COLUMNS: 'wide' },
    { noColor: false, columns: null },
  ],
  [
    { TERM: 'dumb', COLUMNS: '-1' },
    { noColor: true, columns: null },
  ],
])('a terminal with %j', (env, expected) => {
  expect(loadTerminal(env)).toEqual(expected);
});
