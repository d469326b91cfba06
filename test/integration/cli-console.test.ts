/** `session-bouncer console` as an operator runs it. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { release, spawnNode, testPrefix, testRedisUrl } from '../support/index.ts';
import { projectRoot } from '../support/spawn.ts';

const PASSWORD = 'correct horse battery';
const emptyDir = mkdtempSync(join(tmpdir(), 'session-bouncer-console-'));
release(() => rmSync(emptyDir, { recursive: true, force: true }));

function hashPassword(input: string, ...args: string[]) {
  const command = [join(projectRoot, 'dist/src/cli/main.js'), 'console', 'hash-password', ...args];
  return spawnSync(process.execPath, command, { input, encoding: 'utf8', cwd: emptyDir });
}

const start = (env: Record<string, string>, ...args: string[]) =>
  spawnNode('src/cli/main.js', ['console', ...args], { REDIS_URL: testRedisUrl(), ...env }, { cwd: emptyDir });

test('hashes a password, serves the desk with it, and ends when it is told to', async () => {
  const hashed = hashPassword(`${PASSWORD}\n`, '--role', 'admin');
  expect([hashed.status, hashed.stderr]).toEqual([0, '']);
  expect(hashed.stdout).toMatch(/^admin:scrypt\$15\$8\$3\$\S+\n$/);
  expect(hashed.stdout).not.toContain('horse');
  const env = {
    SESSION_BOUNCER_CONSOLE_ACCOUNTS: `anna=${hashed.stdout.trim()}`,
    SESSION_BOUNCER_PREFIX: testPrefix(),
  };
  const served = start(env, '--console-port', '0');
  const [, url = ''] = await served.waitFor(/The review desk is at (http:\/\/127\.0\.0\.1:\d+)\n/);
  const page = await fetch(`${url}/sign-in`);
  const csrf = /name="csrf" value="([\w-]+)"/.exec(await page.text())?.[1] ?? '';
  const done = await fetch(`${url}/sign-in`, {
    method: 'POST',
    redirect: 'manual',
    headers: { cookie: page.headers.getSetCookie()[0]?.split(';')[0] ?? '', 'sec-fetch-site': 'same-origin' },
    body: new URLSearchParams({ csrf, name: 'anna', password: PASSWORD }),
  });
  expect(done.status).toBe(303);
  expect(await served.kill('SIGTERM')).toEqual({ code: 0, signal: null });
});

test('says what to do where nobody could sign in, and keeps hashes out of sight', async () => {
  const nobody = start({});
  expect(await nobody.exited).toEqual({ code: 1, signal: null });
  expect(nobody.stderr).toMatch(/^config_invalid: consoleAccounts: .*hash-password/);

  const wrong = start({ SESSION_BOUNCER_CONSOLE_ACCOUNTS: 'anna=admin:in plain text' });
  expect(await wrong.exited).toEqual({ code: 1, signal: null });
  expect(wrong.stderr).toMatch(/^config_invalid: consoleAccounts/);
  expect(wrong.stderr).not.toContain('plain text');

  const hash = `scrypt$15$8$3$${'A'.repeat(22)}$${'B'.repeat(43)}`;
  const env = { SESSION_BOUNCER_CONSOLE_ACCOUNTS: `anna=admin:${hash}` };
  for (const args of [['config'], ['config', '--json']]) {
    const shown = spawnNode('src/cli/main.js', args, env, { cwd: emptyDir });
    await shown.exited;
    expect(shown.stdout).toContain('anna=admin:***');
    expect(shown.output).not.toContain('AAAA');
  }
});

test.each(['', 'short\n', `${'x'.repeat(300)}\n`])('refuses the password %j', (input) => {
  const refused = hashPassword(input);
  expect([refused.status, refused.stdout]).toEqual([1, '']);
  expect(refused.stderr).toMatch(/^option_invalid: password: give 12 to 256 characters/);
});
