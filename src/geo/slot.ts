/**
 * A place for one source, and how its file is replaced while the process runs: settled -> read whole -> checked -> one
 * reference swapped. On any failure what was there goes on; it is counted, logged once for each state of the file, and
 * tried again when the file changes; every minute too, without another word, where the file was not to blame (our clock, our
 * rights, a process at its limits). Nothing here ends the process.
 */

import { stat } from 'node:fs/promises';
import { BouncerError, errorName } from '../errors.ts';
import type { Clock, Log } from '../ports.ts';
import { mayPass } from './mmdb-file.ts';
import { dayOf, type Source, type SourceRole } from './source.ts';

/** How long after a refusal that may pass the same file is tried again. */
const RETRY_MS = 60_000;

export interface SlotOptions {
  /** What to call it while nothing is open. */
  readonly name: string;
  readonly origin: string;
  /** Files whose change means that it must be opened anew, the database itself first; none for what never changes. */
  readonly files: readonly string[];
  /** A failure to open is a message of BouncerError `database_unusable`. */
  open(previous: Source | null): Promise<Source>;
}

export interface SlotRules {
  /** How long a changed file must stand still before it is read, milliseconds. */
  readonly settleMs: number;
  readonly clock: Clock;
  readonly log: Log;
}

export class Slot {
  readonly name: string;
  readonly origin: string;
  source: Source | null = null;
  /** Why the file that lies there now is not in use. */
  problem: string | null = null;
  /** Since the start: how often a newer file was taken, and how often one was refused. */
  reloads = 0;
  failedReloads = 0;
  readonly #options: SlotOptions;
  readonly #rules: SlotRules;
  /** The state of the files that was last read, used or refused. */
  #tried = '';
  /** When that was refused for a reason that may pass without the file. */
  #refusedAtMs: number | null = null;
  #changed: { readonly state: string; readonly atMs: number } | null = null;

  constructor(options: SlotOptions, rules: SlotRules) {
    this.name = options.name;
    this.origin = options.origin;
    this.#options = options;
    this.#rules = rules;
  }

  /** The first time. True when there is a source now. */
  async open(): Promise<boolean> {
    await this.#load(await this.#state());
    return this.source !== null;
  }

  /** Looks whether the files have changed, and for how long they have stood still. True when the source was replaced. */
  async poll(): Promise<boolean> {
    if (this.#options.files.length === 0) return false;
    const state = await this.#state();
    if (state === this.#tried) {
      this.#changed = null;
      return this.#isWorthAnotherTry() ? this.#load(state) : false;
    }
    const atMs = this.#rules.clock();
    if (this.#changed?.state !== state) this.#changed = { state, atMs };
    if (atMs - this.#changed.atMs < this.#rules.settleMs) return false;
    return this.#load(state);
  }

  /** Whichever way the clock was set meanwhile. */
  #isWorthAnotherTry(): boolean {
    return this.#refusedAtMs !== null && Math.abs(this.#rules.clock() - this.#refusedAtMs) >= RETRY_MS;
  }

  async #load(state: string): Promise<boolean> {
    const { log } = this.#rules;
    const previous = this.source;
    try {
      const next = await this.#options.open(previous);
      // Written to while it was read: what we hold is neither the old nor the new one.
      if ((await this.#state()) !== state) return false;
      this.#tried = state;
      this.source = next;
      this.problem = null;
      this.#refusedAtMs = null;
      if (previous !== null) this.reloads++;
      log.info(describe(next), previous === null ? 'geo database open' : 'geo database replaced by a newer one');
      return true;
    } catch (error) {
      if (previous !== null && (await this.#state()) !== state) return false;
      const isNews = this.#tried !== state;
      this.#tried = state;
      this.#refusedAtMs = mayPass(error) ? this.#rules.clock() : null;
      const problem = error instanceof BouncerError ? error.message : errorName(error);
      if (isNews || problem !== this.problem) this.#refuse(error, problem, previous);
      return false;
    }
  }

  #refuse(error: unknown, problem: string, previous: Source | null): void {
    const { log } = this.#rules;
    this.problem = problem;
    const fields = { code: errorName(error), origin: this.origin, problem };
    if (previous === null) return log.warn(fields, 'geo database not usable');
    this.failedReloads++;
    log.error(
      { ...fields, inUse: dayOf(previous.builtAtMs) },
      'geo database was changed and is not usable: the old one stays',
    );
  }

  /** Files that are replaced differ in inode, those written in place in size or a time; another owner or mode is a change too. */
  async #state(): Promise<string> {
    return (await Promise.all(this.#options.files.map(stateOf))).join(' ');
  }
}

async function stateOf(path: string): Promise<string> {
  try {
    const { dev, ino, size, mtimeMs, ctimeMs } = await stat(path);
    return `${dev}:${ino}:${size}:${mtimeMs}:${ctimeMs}`;
  } catch (error) {
    return errorName(error);
  }
}

function describe({ name, origin, builtAtMs, vendor, role }: Source) {
  return { database: name, origin, builtOn: dayOf(builtAtMs), vendor, role: role satisfies SourceRole };
}
