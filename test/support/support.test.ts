/** The private Redis and the other helpers do what the tests and the demo rely on. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { connect as connectTcp } from 'node:net';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import { captureLog, cleanup, connect, freePort, privateRedis, startRedis, testPrefix, until } from './index.ts';
import { release, releaseAll } from './release.ts';

/** Asked by its port: a process that has ended may stay on the list of processes until somebody collects it. */
function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connectTcp(port, '127.0.0.1', () => socket.destroy());
    socket.on('error', () => resolve(false));
    socket.on('close', () => resolve(true));
  });
}

/** Starts a private Redis in a process of its own and tells its port and directory. */
const OWNER = `
  import { startRedis } from './examples/support/private-redis.js';
  const redis = await startRedis();
  console.log(JSON.stringify({ port: redis.port, dir: redis.dir }));
`;

async function ownerProcess(then: string) {
  const dist = fileURLToPath(new URL('../../dist/', import.meta.url));
  const child = spawn(process.execPath, ['--input-type=module', '-e', OWNER + then], {
    cwd: dist,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  release(() => child.kill('SIGKILL'));
  let text = '';
  child.stdout.on('data', (data) => {
    text += data;
  });
  const line = await until(() => text.includes('\n') && text, { timeoutMs: 15_000 });
  return { child, ...(JSON.parse(line) as { port: number; dir: string }) };
}

describe('a private Redis', () => {
  test('answers at once, and is gone after stop(), with its directory', async () => {
    const server = await startRedis();
    expect(await connect(server.url).ping()).toBe('PONG');
    const { port, dir } = server;
    await server.stop();
    await server.stop();
    expect(await listens(port)).toBe(false);
    expect(existsSync(dir)).toBe(false);
  });

  test('comes back on the same port after a kill, empty; with an append-only file, full', async () => {
    const [plain, durable] = [
      await privateRedis(),
      await privateRedis({ args: ['--appendonly', 'yes', '--appendfsync', 'always'] }),
    ];
    for (const server of [plain, durable]) {
      const { port, pid } = server;
      await connect(server.url).set('a', '1');
      await server.kill();
      await server.restart();
      expect(server.port).toBe(port);
      expect(server.pid).not.toBe(pid);
      expect(await connect(server.url).get('a')).toBe(server === durable ? '1' : null);
    }
  });

  test('stands still while paused, and can be stopped even then', async () => {
    const server = await privateRedis();
    const redis = connect(server.url, { commandTimeout: 1000, retryStrategy: () => null });
    await until(() => redis.ping()); // its connection may take its time
    server.pause();
    await expect(redis.ping()).rejects.toThrow('timed out');
    server.resume();
    expect(await until(() => redis.ping())).toBe('PONG');
    server.pause();
    await server.stop();
    expect(await listens(server.port)).toBe(false);
  });

  test('says why it could not start', async () => {
    const first = await privateRedis();
    await expect(startRedis({ port: first.port })).rejects.toThrow('Address already in use');
    await expect(startRedis({ args: ['--no-such-option', '1'] })).rejects.toThrow(/ended at once[\s\S]*no-such-option/);
  });

  test('many at once take different ports', async () => {
    const servers = await Promise.all(Array.from({ length: 6 }, () => privateRedis()));
    expect(new Set(servers.map(({ port }) => port)).size).toBe(6);
  });

  test.each([
    ['is killed outright', 'setInterval(() => {}, 1e6);', 'SIGKILL'],
    ['simply comes to its end', '', null],
    ['exits with an error', 'process.exit(1);', null],
  ] as const)('does not outlive an owner that %s', async (_, then, signal) => {
    const owner = await ownerProcess(then);
    if (signal !== null) owner.child.kill(signal);
    expect(await until(async () => !existsSync(owner.dir) && (await listens(owner.port)) === false)).toBe(true);
  });
});

describe('the other helpers', () => {
  test('cleanup() deletes the keys of one prefix, in a hash tag or not', async () => {
    const redis = connect();
    const [mine, other] = [testPrefix(), testPrefix()];
    await redis.mset(`${mine}:a`, '1', `{${mine}}:b`, '1', `${other}:a`, '1');
    await cleanup(mine);
    expect(await redis.exists(`${mine}:a`, `{${mine}}:b`, `${other}:a`)).toBe(1);
  });

  test('until() returns the answer, and tells what it waited for', async () => {
    let asked = 0;
    expect(await until(() => ++asked > 2 && 'yes')).toBe('yes');
    await expect(until(() => false, { timeoutMs: 30 })).rejects.toThrow(/^Not within 30 ms: .*false/);
  });

  test('captureLog() keeps the entries', () => {
    const log = captureLog();
    log.warn({ code: 'x' }, 'Said.');
    expect(log.entries).toEqual([{ level: 'warn', fields: { code: 'x' }, message: 'Said.' }]);
    expect(log.text()).toContain('Said.');
  });

  test('freePort() gives a port that no connection is given by itself', async () => {
    const port = await freePort();
    expect(port).toBeGreaterThan(1023);
    expect(port).toBeLessThan(32_768);
  });

  test('releases run in reverse, each once, and one that fails stops none', async () => {
    const order: number[] = [];
    release(() => order.push(1));
    release(() => {
      throw new Error('on purpose');
    });
    release(() => order.push(3));
    await expect(releaseAll()).rejects.toThrow('on purpose');
    expect(order).toEqual([3, 1]);
  });
});
