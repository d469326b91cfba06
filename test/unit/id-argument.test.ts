/** Ids of ours are random letters, dashes among them, and people paste them. */
import { describe, expect, test } from '@jest/globals';
import { Argument } from 'commander';
import { CommandWithIds, IdArgument } from '../../src/cli/id-argument.ts';

const HANDLE = `-${'a-b_'.repeat(10)}Z1`;
const LID = `--${'Q'.repeat(36)}`;

/** What a command makes of these words: its arguments and options, or the error. */
function parsed(words: readonly string[], argument: Argument = new IdArgument('<id>')) {
  const command = new CommandWithIds('end').addArgument(argument).option('--by <who>').option('--json');
  command
    .option('--tombstone-ttl-days <days>')
    .exitOverride()
    .configureOutput({ writeErr: () => {} });
  try {
    command.parse(words, { from: 'user' });
    return { args: command.args, options: command.opts() };
  } catch (error) {
    return (error as { code?: string }).code;
  }
}

describe('an id that begins with a dash', () => {
  test.each<[string, string[], string, Record<string, unknown>]>([
    ['stands alone', [HANDLE], HANDLE, {}],
    ['comes before the options', [HANDLE, '--by', 'ann', '--json'], HANDLE, { by: 'ann', json: true }],
    ['comes after the options', ['--by', 'ann', '--json', LID], LID, { by: 'ann', json: true }],
    ['beside an option whose value begins with a dash too', ['--by', LID, HANDLE], HANDLE, { by: LID }],
    ['beside a long option', ['--tombstone-ttl-days', '3', LID], LID, { tombstoneTtlDays: '3' }],
    ['beside an option with an equals sign', [LID, '--tombstone-ttl-days=3'], LID, { tombstoneTtlDays: '3' }],
    ['behind the dashes that everybody can write', ['--by', 'ann', '--', HANDLE], HANDLE, { by: 'ann' }],
  ])('%s', (_name, words, id, options) => {
    expect(parsed(words)).toEqual({ args: [id], options });
  });

  test('an option that is not there is told all the same', () => {
    expect(parsed([HANDLE, '--jsn'])).toBe('commander.unknownOption');
    expect(parsed(['--jsn', HANDLE])).toBe('commander.unknownOption');
    expect(parsed(['--by', 'ann', '--tombstone-ttl-dayz=3', 'x'])).toBe('commander.unknownOption');
  });

  test('other arguments are as commander has them', () => {
    expect(parsed([HANDLE], new Argument('<user>'))).toBe('commander.unknownOption');
  });
});
