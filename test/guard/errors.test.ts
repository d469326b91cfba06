/** Every code that a person may meet has a line in docs/errors.md that says what it means and what to do; no stale ones. */
import { describe, expect, test } from '@jest/globals';
import { read, unionOf } from './source.ts';

const SETS = [
  { heading: 'Error codes', file: 'src/errors.ts', type: 'ErrorCode' },
  { heading: 'Reasons', file: 'src/domain/reasons.ts', type: 'Reason' },
  { heading: 'Why an address has no country', file: 'src/domain/types.ts', type: 'UnlocatableWhy' },
  { heading: 'Registry evidence', file: 'src/domain/registry.ts', type: 'Settlement' },
  { heading: 'PHP sessions', file: 'src/domain/incident.ts', type: 'PhpWhy' },
  { heading: 'Ingest codes', file: 'src/ingest/answers.ts', type: 'IngestCode' },
  { heading: 'Set-aside codes', file: 'src/ports.ts', type: 'SetAsideCode' },
] as const;

/** The rows below a heading: code -> the other cells. */
function table(heading: string): Map<string, string[]> {
  const section =
    read('docs/errors.md')
      .split(/^## /m)
      .find((part) => part.startsWith(`${heading}\n`)) ?? '';
  const rows = [...section.matchAll(/^\|\s*`([^`]+)`\s*\|(.*)\|$/gm)];
  return new Map(rows.map(([, code = '', rest = '']) => [code, rest.split('|').map((cell) => cell.trim())]));
}

describe('docs/errors.md', () => {
  test.each(SETS)('$heading: one line for each $type, and none that is stale', ({ heading, file, type }) => {
    const codes = unionOf(file, type);
    expect(codes.length).toBeGreaterThan(1);
    expect([...table(heading).keys()].sort()).toEqual([...codes].sort());
  });

  test.each(SETS)('$heading: each line has a meaning and a remedy', ({ heading }) => {
    const bare = [...table(heading)].filter(
      ([, cells]) => cells.length !== 2 || cells.some((cell) => cell.length < 15),
    );
    expect(bare).toEqual([]);
  });
});
