/** Ids of ours on the command line: random letters, and one in sixty-four begins with a dash. */

import { Argument, Command } from 'commander';

/** An argument that takes a login's id, a session's handle or the id of a list's entry. */
export class IdArgument extends Argument {}

/** What our ids look like where they begin like an option: base64url of 12 bytes or more. */
const DASHED_ID = /^-[\w-]{15,}$/;

/**
 * A command whose IdArgument may begin with a dash. People paste ids, and "unknown option" is no answer to one: such a
 * word is put behind `--` for them, where commander reads every word as it is. An option of the command stays one, and so
 * does the value of an option (`--except <lid>`).
 */
export class CommandWithIds extends Command {
  override parseOptions(args: string[]): { operands: string[]; unknown: string[] } {
    if (!this.registeredArguments.some((each) => each instanceof IdArgument)) return super.parseOptions(args);
    const end = args.includes('--') ? args.indexOf('--') : args.length;
    const isId = (word: string, at: number) => at < end && DASHED_ID.test(word) && !this.#isOption(word, args[at - 1]);
    const ids = args.filter(isId);
    if (ids.length === 0) return super.parseOptions(args);
    const others = args.slice(0, end).filter((word, at) => !isId(word, at));
    return super.parseOptions([...others, '--', ...ids, ...args.slice(end + 1)]);
  }

  /** Whether it is an option of the command, or the value of the one before it. */
  #isOption(word: string, before: string | undefined): boolean {
    const named = (given: string | undefined) =>
      this.options.find(({ short, long }) => given !== undefined && (given === short || given === long));
    return named(word) !== undefined || named(before)?.required === true;
  }
}
