/** The settings for PHP sites, and what an incident of one says in words. */
import { randomBytes } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { parseFlags } from '../../../config/load.ts';
import { resolveConfig, shownValue } from '../../../config/resolve.ts';
import { DEFAULTS } from '../../../config/schema.ts';
import { headline } from '../../../src/console/words.ts';
import type { PhpEnd } from '../../../src/domain/incident.ts';
import { phpWords } from '../../../src/domain/php-words.ts';
import { sealsOf } from '../../../src/php/seal.ts';
import { workerOptions } from '../../../workers/run-login-worker.ts';
import { incidentOf } from '../../support/incident.ts';
import { captureLog } from '../../support/index.ts';

const [K1, K2] = [randomBytes(32).toString('base64'), randomBytes(32).toString('base64')] as [string, string];
const NOTHING = { flags: {}, env: {}, file: null, cwd: '/here' };
const fromEnv = (env: Record<string, string>) => resolveConfig({ ...NOTHING, env }).config;
const fromFile = (content: object) => resolveConfig({ ...NOTHING, file: { path: '/etc/c.json', content } }).config;

describe('phpKeys', () => {
  test('with their padding, in the environment and in the file; they open what the worker is sent', () => {
    const config = fromEnv({ SESSION_BOUNCER_PHP_KEYS: `2026-a=${K1}, old=${K2.slice(0, -1)}` });
    expect(config.phpKeys).toEqual({ '2026-a': K1, old: K2.slice(0, -1) });
    expect(fromFile({ phpKeys: { k1: K1 } }).phpKeys).toEqual({ k1: K1 });
    const sealed = sealsOf({ old: K2 }).seal('a'.repeat(26), 'lid');
    expect(sealsOf(config.phpKeys).open(sealed, 'lid')).toEqual({ id: 'a'.repeat(26) });
  });

  test.each([
    ['31 bytes', { k1: randomBytes(31).toString('base64') }],
    ['33 bytes', { k1: randomBytes(33).toString('base64') }],
    ['hex', { k1: randomBytes(32).toString('hex') }],
    ['a name that is none', { 'a b': K1 }],
    ['no name', K1],
  ])('%s is refused, and not quoted', (_, phpKeys) => {
    let message = '';
    try {
      fromFile({ phpKeys });
    } catch (error) {
      message = (error as Error).message;
    }
    expect(message).toMatch(/^phpKeys \(in \/etc\/c\.json\): give key ids/);
    for (const key of typeof phpKeys === 'string' ? [phpKeys] : Object.values(phpKeys))
      expect(message).not.toContain(key);
  });

  test('two keys of one name are refused: one of them would not open anything', () => {
    const twice = (a: string, b: string) => fromEnv({ SESSION_BOUNCER_PHP_KEYS: `k1=${a},k1=${b}` }).phpKeys;
    expect(() => twice(K1, K2)).toThrow(/^phpKeys \(SESSION_BOUNCER_PHP_KEYS\): give key ids/);
    expect(twice(K1, K1)).toEqual({ k1: K1 });
  });

  test('are neither shown nor a flag', () => {
    expect(shownValue({ ...DEFAULTS, phpKeys: { k1: K1, k2: K2 } }, 'phpKeys')).toBe('k1=***, k2=***');
    expect(() => parseFlags([`--php-keys=k1=${K1}`])).toThrow();
    const config = { ...DEFAULTS, phpRedisUrl: 'redis://:sesame@php.example' };
    expect(shownValue(config, 'phpRedisUrl')).toBe('redis://:***@php.example');
  });
});

describe('the other settings', () => {
  test.each([
    ['phpRedisUrl', 'php.example'],
    ['phpSessionPrefix', ''],
    ['phpSessionPrefix', 'a b'],
    ['phpFormat', 'igbinary'],
    ['phpField', 'a|b'],
    ['phpEnd', null],
    ['phpLocking', 'yes'],
    ['phpMaxExecutionSeconds', 0],
  ])('%s: %j is refused', (name, value) => {
    expect(() => fromFile({ [name]: value })).toThrow(new RegExp(`^${name} `));
  });

  test('without keys a worker does nothing for PHP; with keys, what phpredis does by default', () => {
    expect(workerOptions(DEFAULTS, captureLog()).php).toBeUndefined();
    const config = fromFile({ phpKeys: { k1: K1 }, redisUrl: 'redis://ours', phpField: 'uid', phpLocking: true });
    expect(workerOptions(config, captureLog()).php).toEqual({
      keys: { k1: K1 },
      redis: 'redis://ours',
      sessionPrefix: 'PHPREDIS_SESSION:',
      format: 'php',
      field: 'uid',
      end: 'null',
      locking: true,
      maxExecutionSeconds: 30,
    });
    const apart = fromFile({ phpKeys: { k1: K1 }, phpRedisUrl: 'redis://theirs' });
    expect(workerOptions(apart, captureLog()).php?.redis).toBe('redis://theirs');
  });
});

describe('in words', () => {
  test.each<[PhpEnd, string]>([
    [{ how: 'nulled' }, 'its user set to NULL'],
    [{ how: 'destroyed', why: 'igbinary' }, 'destroyed: it is in igbinary, which is not written here'],
    [
      { how: 'nulled', why: 'unknown_key', left: 2 },
      'its user set to NULL; but 2 more not ended: its id was sealed with a key that the worker does not have',
    ],
    [{ how: 'untouched', why: 'absent' }, 'not touched: there was none at that id; the re-checks look again'],
  ])('%j', (php, words) => {
    expect(phpWords(php)).toBe(words);
  });

  test('a PHP session that was not found is not said to have ended', () => {
    const php: PhpEnd = { how: 'untouched', why: 'absent' };
    expect(headline(incidentOf('alice', { outcome: 'not_found' }))).toMatch(/^Ended /);
    expect(headline(incidentOf('alice', { outcome: 'not_found', php }))).toMatch(
      /^Marked as ended \(but its PHP session was not/,
    );
    expect(headline(incidentOf('alice', { outcome: 'revoked', php: { how: 'nulled' } }))).toMatch(/^Ended because/);
    const part: PhpEnd = { how: 'nulled', why: 'busy', left: 1 };
    expect(headline(incidentOf('alice', { outcome: 'revoked', php: part }))).toMatch(/^Ended in part/);
  });
});
