/** `session-bouncer console`: the review desk as a server, and the hashes of its passwords. */

import { type Command, Option } from 'commander';
import { BouncerError } from '../errors.ts';
import { defaultLog } from '../log.ts';
import { command, configOf, type Options } from './context.ts';

const DAY_MS = 86_400_000;

const HELP = `
Accounts stand in the configuration: "consoleAccounts": {"anna": "admin:<what hash-password prints>"}; roles are viewer (reads),
analyst (answers, lists, trust) and admin (ends sessions, forgets users, resets the brake). SIGTERM or SIGINT (Ctrl-C) stops it.`;

export function consoleCommand(): Command {
  const what = 'serve the review desk until told to stop';
  const made = command('console', what, ['consoleHost', 'consolePort', 'consoleUrl', 'consoleTrustProxy', 'logLevel']);
  made.addHelpText('after', HELP).action(serve);
  made
    .command('hash-password')
    .description('read a password from the terminal (or standard input) and print its hash for the configuration')
    .addOption(new Option('--role <role>', 'put it before the hash').choices(['viewer', 'analyst', 'admin']))
    .action(printHash);
  return made;
}

async function serve(options: Options): Promise<void> {
  const { config } = configOf(options);
  // Loaded here, because no other command needs it.
  const { openConsole } = await import('../console.ts');
  const stopped = stopSignal();
  const server = await openConsole({
    redis: config.redisUrl,
    prefix: config.prefix,
    accounts: config.consoleAccounts,
    host: config.consoleHost,
    port: config.consolePort,
    publicUrl: config.consoleUrl,
    trustProxy: config.consoleTrustProxy,
    kept: {
      baselineTtlMs: config.baselineTtlDays * DAY_MS,
      tombstoneTtlMs: config.tombstoneTtlDays * DAY_MS,
    },
    log: defaultLog(config.logLevel),
  });
  process.stdout.write(`The review desk is at ${server.url}\n`);
  await stopped;
  await server.close();
}

function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve());
  });
}

async function printHash(options: Options): Promise<void> {
  const { hashPassword } = await import('../console.ts');
  const password = process.stdin.isTTY ? await typedTwice() : await piped();
  const hash = await hashPassword(password);
  process.stdout.write(`${typeof options.role === 'string' ? `${options.role}:` : ''}${hash}\n`);
}

/** The first line, without its end. */
async function piped(): Promise<string> {
  let text = '';
  for await (const chunk of process.stdin.setEncoding('utf8')) {
    text += String(chunk);
    if (text.length > 10_000) break;
  }
  return text.replace(/\r?\n[\s\S]*$/, '');
}

async function typedTwice(): Promise<string> {
  const first = await hidden('Password: ');
  if ((await hidden('Once more: ')) === first) return first;
  throw new BouncerError('option_invalid', 'password: the two were not the same; nothing was made');
}

/** Nothing of it is echoed. */
function hidden(prompt: string): Promise<string> {
  const { stdin, stderr } = process;
  stderr.write(prompt);
  stdin.setRawMode(true).setEncoding('utf8').resume();
  return new Promise((resolve, reject) => {
    let text = '';
    const end = (settle: () => void) => {
      stdin.off('data', onData).setRawMode(false).pause();
      stderr.write('\n');
      settle();
    };
    const onData = (chunk: string) => {
      for (const letter of chunk) {
        if (letter === '\r' || letter === '\n') return end(() => resolve(text));
        if (letter === '\u0003' || letter === '\u0004')
          return end(() => reject(new BouncerError('option_invalid', 'password: none was given')));
        text = letter === '\u007f' || letter === '\b' ? [...text].slice(0, -1).join('') : text + letter;
      }
    };
    stdin.on('data', onData as never);
  });
}
