/** `session-bouncer ingest` as a process: its secret, its end, the calls of the documentation, and what it takes under load. */
import { execFile, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from '@jest/globals';
import { Queue } from 'bullmq';
import { keyOf } from '../../src/ingest/signature.ts';
import { keysFor, LOGIN_QUEUE } from '../../src/redis/keys.ts';
import { signedHeaders } from '../bench/support/ingest-sign.ts';
import { connect, release, type Spawned, spawnNode, testPrefix, testRedisUrl, until } from '../support/index.ts';
import { newId, newSecret, sender } from '../support/ingest.ts';

const execute = promisify(execFile);
const dir = mkdtempSync(join(tmpdir(), 'session-bouncer-ingest-'));
release(() => rmSync(dir, { recursive: true, force: true }));

interface Started {
  readonly spawned: Spawned;
  readonly url: string;
  readonly secret: string;
  readonly queue: Queue;
}

async function startIngest(): Promise<Started> {
  const secret = newSecret();
  const prefix = testPrefix();
  const args = ['ingest', '--redis', testRedisUrl(), '--prefix', prefix, '--ingest-port', '0'];
  const spawned = spawnNode('src/cli/main.js', args, { SESSION_BOUNCER_INGEST_SECRETS: secret }, { cwd: dir });
  const [, url = ''] = await spawned.waitFor(/The ingest is at (\S+)\n/);
  const queue = new Queue(LOGIN_QUEUE, { connection: connect(), prefix: keysFor(prefix).queuePrefix });
  release(() => queue.close());
  return { spawned, url, secret, queue };
}

describe('session-bouncer ingest', () => {
  test('without a secret it does not start, and says how to make one', async () => {
    const spawned = spawnNode(
      'src/cli/main.js',
      ['ingest'],
      { SESSION_BOUNCER_INGEST_SECRETS: undefined },
      { cwd: dir },
    );
    expect(await spawned.exited).toEqual({ code: 1, signal: null });
    expect(spawned.output).toMatch(/^config_invalid: ingestSecrets: .*`session-bouncer ingest make-secret`[^\n]*\n$/);
  });

  test('make-secret prints one that it takes, another each time; `config show` hides it', async () => {
    const made = ['a', 'b'].map(() => spawnNode('src/cli/main.js', ['ingest', 'make-secret'], {}, { cwd: dir }));
    await Promise.all(made.map(({ exited }) => exited));
    const secrets = made.map(({ stdout }) => stdout.trim());
    expect(new Set(secrets).size).toBe(2);
    const env = { SESSION_BOUNCER_INGEST_SECRETS: secrets.join(',') };
    const shown = spawnNode('src/cli/main.js', ['config'], env, { cwd: dir });
    expect(await shown.exited).toMatchObject({ code: 0 });
    expect(shown.stdout).toMatch(/ingestSecrets\s+\*\*\*, \*\*\*/);
    for (const secret of secrets) {
      expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
      expect(shown.output).not.toContain(secret.slice(6, 30));
    }
  });

  test('a port that is taken: one line, exit code 1', async () => {
    const { url } = await startIngest();
    const env = { SESSION_BOUNCER_INGEST_SECRETS: newSecret() };
    const args = ['ingest', '--redis', testRedisUrl(), '--ingest-port', new URL(url).port];
    const second = spawnNode('src/cli/main.js', args, env, { cwd: dir });
    expect(await second.exited).toEqual({ code: 1, signal: null });
    expect(second.output).toMatch(/config_invalid: ingestHost, ingestPort: .*EADDRINUSE/);
  });

  test('SIGTERM: what is in hand is answered and queued; then it ends with 0, by itself', async () => {
    const { spawned, url, secret, queue } = await startIngest();
    // A connection that stays open must not keep it.
    expect((await sender(url, secret).get('/healthz')).status).toBe(200);
    const body = JSON.stringify({ userId: 'slow', address: null });
    const headers = { ...signedHeaders(keyOf(secret), newId(), body), 'content-length': Buffer.byteLength(body) };
    const inHand = request(`${url}/v1/logins`, { method: 'POST', headers });
    const answered = new Promise<number>((resolve, reject) => {
      inHand.on('response', (response) => resolve(response.resume().statusCode ?? 0));
      inHand.on('error', reject);
    });
    await new Promise<void>((resolve) => inHand.write(body.slice(0, 5), () => resolve()));
    // The server has its headers when it answers what came after them.
    await sender(url, secret).get('/healthz');
    spawned.child.kill('SIGTERM');
    await spawned.waitFor(/"event":"draining"/);
    await until(() =>
      fetch(`${url}/healthz`).then(
        () => false,
        () => true,
      ),
    );
    inHand.end(body.slice(5));
    expect(await answered).toBe(202);
    expect(await spawned.exited).toEqual({ code: 0, signal: null });
    expect(await queue.getWaitingCount()).toBe(1);
  });
});

const page = readFileSync(new URL('../../docs/ingest.md', import.meta.url), 'utf8');
const block = (language: string) => new RegExp(`\`\`\`${language}\n([\\s\\S]*?)\`\`\``).exec(page)?.[1] ?? '';
const missing = ['bash', 'curl', 'openssl', 'od'].filter((tool) => spawnSync(tool, ['--version']).error !== undefined);

describe('the calls of docs/ingest.md', () => {
  test('the one in JavaScript', async () => {
    const { url, secret, queue } = await startIngest();
    writeFileSync(join(dir, 'call.mjs'), block('js'));
    const env = { ...process.env, SECRET: secret, URL: url };
    const { stdout } = await execute(process.execPath, [join(dir, 'call.mjs')], { env });
    expect(stdout).toMatch(/^202 \{"id":"in-[\w-]+","lids":\["[\w-]+"\]\}\n$/);
    expect(await queue.getWaitingCount()).toBe(1);
  });

  const name = missing.length === 0 ? 'the one with curl' : `(not the one with curl: no ${missing.join(', ')} here)`;
  test(name, async () => {
    if (missing.length > 0) return expect(block('bash')).toContain('curl');
    const { url, secret, queue } = await startIngest();
    const env = { PATH: process.env.PATH, SECRET: secret, URL: url };
    const { stdout } = await execute('bash', ['-euo', 'pipefail', '-c', block('bash')], { env });
    expect(JSON.parse(stdout)).toEqual({ id: expect.stringMatching(/^in-/), lids: [expect.any(String)] });
    expect((await queue.getWaiting())[0]?.data).toMatchObject({ logins: [{ userId: '42', address: '81.2.69.142' }] });
  });
});

describe('npm run bench -- ingest', () => {
  // The whole one is 10 s; it fails by itself unless every login that was answered 202 was checked.
  test('two seconds of 2,000 logins a second with a real worker: nothing that was answered 202 is lost', async () => {
    const bench = spawnNode('test/bench/main.js', ['ingest', '--json', '--scale', '0.2']);
    const { code } = await bench.exited;
    expect({ code, stderr: code === 0 ? '' : bench.stderr }).toEqual({ code: 0, stderr: '' });
    const result = JSON.parse(bench.stdout.trimEnd().split('\n').at(-1) ?? '') as Record<string, number>;
    expect(result).toMatchObject({ bench: 'ingest', sent: 4000, accepted: 4000, lost: 0 });
    expect(result.incidents).toBeGreaterThan(0);
  }, 180_000);
});
