/** PHP as it is installed here, or not: what needs it says so, and fixtures of its output stand for it. */
import { spawnSync } from 'node:child_process';

export interface Php {
  readonly version: string;
  readonly hasRedis: boolean;
  readonly hasIgbinary: boolean;
}

let found: Php | null | undefined;

/** Null where there is none (or one without sessions). Asked once. */
export function findPhp(): Php | null {
  found ??= ask();
  return found;
}

function ask(): Php | null {
  const code =
    'echo json_encode(["version" => PHP_VERSION, "hasRedis" => extension_loaded("redis"), "hasIgbinary" => extension_loaded("igbinary"), "sessions" => extension_loaded("session")]);';
  const { status, stdout } = spawnSync('php', ['-r', code], { encoding: 'utf8' });
  if (status !== 0) return null;
  const facts = JSON.parse(stdout) as Php & { readonly sessions: boolean };
  return facts.sessions ? facts : null;
}

/** Runs a script of test/support/php; its standard output. Throws what it says when it fails. */
export function runPhp(script: string, args: readonly string[], input = ''): string {
  const file = new URL(`php/${script}`, import.meta.url).pathname;
  const { status, stdout, stderr } = spawnSync('php', [file, ...args], {
    encoding: 'utf8',
    input,
    maxBuffer: 256 * 1024 * 1024,
  });
  if (status !== 0) throw new Error(`${script} ended with ${status}: ${stderr.slice(0, 500)}${stdout.slice(0, 500)}`);
  return stdout;
}
