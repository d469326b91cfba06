/** The benches run and say what they measured; what they measured is not judged here. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { COUNTRIES } from '../../src/domain/country.ts';
import { release, spawnNode } from '../support/index.ts';

interface Result {
  readonly bench: string;
  readonly ours: number;
  readonly peer: number;
  readonly ratio: number;
  readonly rounds: readonly (readonly [number, number])[];
}

async function bench(...args: readonly string[]) {
  const run = spawnNode('test/bench/main.js', args);
  const { code } = await run.exited;
  return { code, lastLine: run.stdout.trimEnd().split('\n').at(-1) ?? '', stderr: run.stderr };
}

describe('npm run bench', () => {
  test('enqueue: the last line is the result, with every round', async () => {
    const { code, lastLine } = await bench('enqueue', '--json', '--rounds', '2', '--scale', '0.01');
    expect(code).toBe(0);
    const result = JSON.parse(lastLine) as Result;
    expect(result).toMatchObject({ bench: 'enqueue', inFlight: 64, machine: { node: process.version } });
    for (const figure of [result.ours, result.peer, result.ratio]) expect(figure).toBeGreaterThan(0);
    expect(result.rounds).toHaveLength(2);
  });

  test('worker: a small one finds every effect in Redis', async () => {
    const { code, lastLine, stderr } = await bench('worker', '--json', '--rounds', '1', '--scale', '0.02');
    expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });
    expect(JSON.parse(lastLine)).toMatchObject({ bench: 'worker', effects: { logins: 2000 }, loginsPerRound: 2000 });
  });

  /** Runs on a feed of these lines. */
  async function accuracyOf(text: string, scale = '0.01') {
    const csv = join(mkdtempSync(join(tmpdir(), 'bench-accuracy-')), 'feed.csv');
    release(() => rmSync(dirname(csv), { recursive: true }));
    writeFileSync(csv, text);
    const { code, lastLine, stderr } = await bench('accuracy', '--json', '--scale', scale, '--csv', csv);
    expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });
    return JSON.parse(lastLine);
  }

  test('accuracy: rates of the pairs of a feed, drawn both ways, and what the missed ones have in common', async () => {
    const rows = ['81.2.68.0/22,GB', '131.111.0.0/16,GB', '90.0.0.0/16,FR', '90.1.0.0/16,FR', '79.192.0.0/16,DE'];
    const result = await accuracyOf(`# a feed\n${rows.join(',,,\n')},,,\n2a00:23c4::/32,GB,,,\nnonsense\n`);
    const certain = {
      flag: { falsePercent: 0, detectedPercent: 100 },
      revoke: { falsePercent: 0, detectedPercent: 100 },
    };
    expect(result).toMatchObject({
      ...certain,
      byPrefix: { ...certain, missed: {} },
      missed: {},
      prefixes: { v4: 5, all: 6, skipped: 1 },
      sources: [expect.stringContaining('geolite2'), expect.stringContaining('dbip')],
    });
  });

  test('accuracy: rows with quotes and comments count; a feed of one country has no two different ones', async () => {
    const rows = ['"81.2.68.0/22","GB",,,', '131.111.0.0/16,GB # a university', '"90.0.0.0/16","" # withheld'];
    expect(await accuracyOf(`\uFEFF${rows.join('\r\n')}`)).toMatchObject({
      flag: { falsePercent: 0, detectedPercent: null },
      revoke: { falsePercent: 0, detectedPercent: null },
      byPrefix: { flag: { falsePercent: 0, detectedPercent: null } },
      prefixes: { v4: 2, all: 2, skipped: 1 },
    });
  });

  test('accuracy: a feed of 100,000 rows and 200 countries is drawn from as one of ten', async () => {
    const codes = [...COUNTRIES].slice(0, 200);
    const row = (i: number) => `${1 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}.0/24,${codes[(i * 7919) % 200]}`;
    const text = Array.from({ length: 100_000 }, (_, i) => row(i)).join('\n');
    // Drawing by copies and filters of the rows took minutes and gigabytes: the test's own time limit ends it.
    expect(await accuracyOf(text)).toMatchObject({
      prefixes: { all: 100_000, skipped: 0 },
      pairs: { same: 400, different: 400 },
    });
  });

  test('review: a small one asks every question of both sides', async () => {
    const { code, lastLine, stderr } = await bench('review', '--json', '--rounds', '1', '--scale', '0.002');
    expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });
    const result = JSON.parse(lastLine) as Result & { byUser: { ratio: number } };
    expect(result).toMatchObject({ bench: 'review', few: 1000, many: 2000 });
    for (const figure of [result.ratio, result.byUser.ratio]) expect(figure).toBeGreaterThan(0);
  });

  test('an unknown name is refused with the names there are', async () => {
    const { code, stderr } = await bench('speed');
    expect(code).toBe(1);
    expect(stderr).toMatch(/worker, enqueue, gate, bounce/);
  });
});
