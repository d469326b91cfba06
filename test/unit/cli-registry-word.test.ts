/** What `locate --registry` makes of a registry's answer. */
import { expect, test } from '@jest/globals';
import { registryAnswer, registryLines } from '../../src/cli/registry-word.ts';
import { terminal } from '../../src/cli/terminal.ts';
import type { RegistryOutcome } from '../../src/ports.ts';

const PLAIN = terminal(Number.POSITIVE_INFINITY, false);
const lines = async (outcome: RegistryOutcome) =>
  registryLines(await registryAnswer('8.8.8.8', { lookup: async () => outcome }), PLAIN);

test('a word: a line for the registry, a line for its geofeed', async () => {
  const geofeed = { host: 'geo.example.net', prefix: '8.8.8.0/24', country: 'GB' };
  const word = {
    registry: 'arin',
    status: 'ok',
    via: 'rdap',
    server: 'rdap.arin.net',
    range: '8.8.0.0/16',
    country: 'US',
    geofeed,
    atMs: Date.UTC(2026, 0, 31),
  } as const;
  const text = await lines({ kind: 'word', word, cached: false });
  expect(text).toMatch(/^arin rdap +2026-01-31 +US +8\.8\.0\.0\/16 +holder$/m);
  expect(text).toMatch(/^geofeed geo\.example\.net +2026-01-31 +GB +8\.8\.8\.0\/24 +recorded$/m);
});

test.each([
  [
    { kind: 'later', afterMs: 90_000, why: 'rate_limited' },
    'registry: no answer now (rate_limited); try again in 1 min',
  ],
  [{ kind: 'nobody' }, 'registry: there is none to ask about this address'],
] as const)('%j', async (outcome, text) => {
  expect(await lines(outcome)).toBe(text);
});
