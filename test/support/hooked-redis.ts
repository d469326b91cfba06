/**
 * A Redis connection on which a test can stop single commands: give it to `createBouncer` (or a worker) in place of a
 * URL, and the real code runs, on every connection that is made from it. A stopped command goes out when the test says
 * so; those behind it do not wait.
 */
import type { Command, Redis, RedisOptions } from 'ioredis';
import { loadScript } from '../../src/redis/script.ts';

/** A command as it is about to leave: its name in lower case, a script's own name in place of its digest or text, its keys first. */
export interface Leaving {
  readonly name: string;
  readonly args: readonly string[];
}

export type Matches = (command: Leaving) => boolean;

/** A command that was stopped. */
export interface Held {
  /** Resolves when the command has come. */
  readonly reached: Promise<Leaving>;
  /** Lets it go, or the next one through at once when it has not come yet. */
  release(): void;
}

const SCRIPTS = [
  'enter-n',
  'enroll-5',
  'save-1',
  'touch-1',
  'destroy-1',
  'logout-4',
  'move-1',
  'arrive-1',
  'used-1',
  'first-use-2',
  'revoke-1',
  'mark-1',
  'lift-3',
  'undo-1',
].map(loadScript);

export class Hooks {
  readonly #waiting: { matches: Matches; act: (command: Leaving) => Promise<void> }[] = [];
  /** Every command that left, in order. */
  readonly sent: Leaving[] = [];
  #always: (() => Promise<unknown>) | null = null;

  /** Stops the next command that matches. */
  hold(matches: Matches): Held {
    let release = () => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    const reached = new Promise<Leaving>((resolve) => {
      this.before(matches, (command) => {
        resolve(command);
        return released;
      });
    });
    return { reached, release };
  }

  /** Does something right before the next command that matches leaves. */
  before(matches: Matches, act: (command: Leaving) => Promise<void>): void {
    this.#waiting.push({ matches, act });
  }

  /** The next command that matches never leaves: it fails, as if the connection had. */
  fail(matches: Matches): void {
    this.before(matches, () => Promise.reject(new Error('Connection is closed.')));
  }

  /** Before every command from now on, until called with null. */
  always(act: (() => Promise<unknown>) | null): void {
    this.#always = act;
  }

  /** What must happen before this command leaves, or undefined. */
  meet(command: Leaving): Promise<void> | undefined {
    const index = this.#waiting.findIndex(({ matches }) => matches(command));
    if (index === -1) return this.#always?.().then(() => {});
    return this.#waiting.splice(index, 1)[0]?.act(command);
  }
}

/** For tests that count: a server that does not know a script yet is sent it with a second command. */
export async function loadAllScripts(servers: readonly Redis[]): Promise<void> {
  await Promise.all(servers.flatMap((server) => SCRIPTS.map(({ lua }) => server.script('LOAD', lua))));
}

/** Hooks up this connection and every one that is duplicated from it. */
export function hookUp(redis: Redis, hooks: Hooks): Redis {
  const met = new WeakSet<object>();
  const send = redis.sendCommand.bind(redis);
  const duplicate = redis.duplicate.bind(redis);
  redis.sendCommand = (command, stream) => {
    // A command that waits for a connection comes here again.
    if (stream !== undefined || met.has(command)) return send(command, stream);
    met.add(command);
    const leaving = leavingOf(command);
    const first = hooks.meet(leaving);
    hooks.sent.push(leaving);
    if (first === undefined) return send(command);
    void first.then(() => send(command), command.reject).catch(() => {});
    return command.promise;
  };
  // A Cluster's takes nodes and options, one server's options only.
  redis.duplicate = ((...how: [RedisOptions]) => hookUp(duplicate(...how) as Redis, hooks)) as Redis['duplicate'];
  return redis;
}

function leavingOf(command: Command): Leaving {
  const args = command.args.map(String);
  const name = command.name.toLowerCase();
  const script = SCRIPTS.find(({ sha, lua }) =>
    name === 'evalsha' ? args[0] === sha : name === 'eval' && args[0] === lua,
  );
  return script === undefined ? { name, args } : { name: script.name.replace(/-[\dn]$/, ''), args: args.slice(2) };
}
