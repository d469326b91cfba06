import { describe, expect, test } from '@jest/globals';
import type { Redis } from 'ioredis';
import type { LoginEvent } from '../../src/domain/types.ts';
import type { Revocation, Sessions } from '../../src/ports.ts';
import { loginQueue } from '../../src/queue/login-queue.ts';
import { redisBaselines } from '../../src/redis/baselines.ts';
import { openWorkerRedis } from '../../src/redis/connection.ts';
import { redisSessions } from '../../src/redis/ender.ts';
import { redisIncidents } from '../../src/redis/incidents.ts';
import { type Keys, keysFor, LOGIN_QUEUE } from '../../src/redis/keys.ts';
import { onReplicas, ReplicaShortfall } from '../../src/redis/replicas.ts';
import {
  type CapturedLog,
  captureLog,
  connect,
  type PrivateRedis,
  privateRedis,
  release,
  testPrefix,
  until,
} from '../support/index.ts';
import { ADDRESS } from '../support/shop.ts';
import { openWorker } from '../support/worker.ts';

interface World {
  readonly master: PrivateRedis;
  readonly replicas: readonly PrivateRedis[];
  readonly redis: Redis;
  readonly prefix: string;
  readonly keys: Keys;
  readonly log: CapturedLog;
  sessions(replicas?: number, inner?: Sessions, timeoutMs?: number): Sessions;
}

async function world(replicaCount: number): Promise<World> {
  const master = await privateRedis({ args: ['--repl-diskless-sync-delay', '0'] });
  const args = ['--replicaof', '127.0.0.1', String(master.port)];
  const replicas = await Promise.all(Array.from({ length: replicaCount }, () => privateRedis({ args })));
  const probe = connect(master.url);
  const online = async () => (await probe.info('replication')).match(/state=online/g)?.length ?? 0;
  await until(async () => (await online()) === replicaCount, { timeoutMs: 15_000 });
  // "online" is not yet in step: the first acknowledgement of a fresh replica may take a second.
  await probe.set('warm-up', '1');
  const acknowledged = async () => replicaCount === 0 || (await probe.wait(replicaCount, 500)) >= replicaCount;
  await until(acknowledged, { timeoutMs: 15_000 });
  const log = captureLog();
  const redis = openWorkerRedis(master.url, log);
  release(() => redis.disconnect());
  await redis.ping(); // it has asked what it asks of a new server: one test counts that
  const prefix = testPrefix();
  const keys = keysFor(prefix);
  const inRedis = redisSessions(redis, keys, 1e7);
  const sessions = (wanted = 1, inner = inRedis, timeoutMs = 1500) =>
    onReplicas(inner, redis, { replicas: wanted, timeoutMs, log, clock: Date.now });
  return { master, replicas, redis, prefix, keys, log, sessions };
}

let serial = 0;

function revocation(): Revocation {
  serial += 1;
  const lid = `lid-${String(serial).padStart(18, '0')}`;
  return { lid, handle: lid.padEnd(43, 'h'), reason: 'country_changed', caseId: 'AAAA-BBBB-CCCC', atMs: Date.now() };
}

async function blocked(redis: Redis): Promise<number> {
  return Number(/blocked_clients:(\d+)/.exec(await redis.info('clients'))?.[1] ?? 0);
}

/** How often each command was called since the server began. */
async function calls(url: string, ...names: string[]): Promise<number[]> {
  const stats = await connect(url).info('commandstats');
  return names.map((name) => Number(new RegExp(`^cmdstat_${name}:calls=(\\d+)`, 'm').exec(stats)?.[1] ?? 0));
}

describe('WAIT', () => {
  test('a revocation that is done is on the replica', async () => {
    const { replicas, keys, sessions } = await world(1);
    const onReplica = connect(replicas[0]?.url);
    // A replica that has only just synchronised may be slow to acknowledge.
    await until(async () => !((await sessions().revoke([revocation()]))[0] instanceof Error), { timeoutMs: 15_000 });
    for (let i = 0; i < 20; i++) {
      const one = revocation();
      // Half a second may be too short on a busy machine; a revocation that says it is done must be there all the same.
      await until(async () => !((await sessions().revoke([one]))[0] instanceof Error), { timeoutMs: 15_000 });
      expect(await onReplica.get(keys.session(one.handle))).toContain('"k":"revoked"');
      expect(await onReplica.exists(keys.loginEnd(one.lid))).toBe(1);
    }
  });

  test('a paused replica: the logins of the batch are not done; ended all the same; done when it is back', async () => {
    const { replicas, redis, keys, log, sessions } = await world(1);
    replicas[0]?.pause();
    const batch = [revocation(), revocation()];
    const waiting = sessions();
    const results = await waiting.revoke(batch);
    expect(results).toEqual([expect.any(ReplicaShortfall), expect.any(ReplicaShortfall)]);
    expect(results[0]).toMatchObject({ code: 'REPLICAS_0_OF_1' });
    expect(log.entries).toMatchObject([{ level: 'warn', fields: { event: 'replicas_short', wanted: 1 } }]);
    for (const { handle } of batch) expect(await redis.get(keys.session(handle))).toContain('"k":"revoked"');
    replicas[0]?.resume();
    const done = await until(
      async () => {
        const again = await waiting.revoke(batch);
        return again.every((one) => !(one instanceof Error)) && again;
      },
      { timeoutMs: 15_000 },
    );
    expect(done).toMatchObject([{ atMs: batch[0]?.atMs }, { atMs: batch[1]?.atMs }]);
  });

  test('of two replicas one is enough by default, and both are asked for when configured', async () => {
    const { replicas, sessions } = await world(2);
    replicas[1]?.pause();
    expect(await sessions(1).revoke([revocation()])).toMatchObject([{ outcome: 'not_found' }]);
    expect(await sessions(2).revoke([revocation()])).toMatchObject([{ code: 'REPLICAS_1_OF_2' }]);
    replicas[1]?.resume();
    await until(async () => (await sessions(9).revoke([revocation()])).every((one) => !(one instanceof Error)), {
      timeoutMs: 15_000,
    });
  });

  test('a replica that has gone is not waited for once the master has noticed', async () => {
    const { master, replicas, sessions } = await world(1);
    await replicas[0]?.kill();
    const before = await calls(master.url, 'wait');
    const probe = connect(master.url);
    await until(async () => (await probe.info('replication')).includes('connected_slaves:0'));
    expect(await sessions().revoke([revocation()])).toMatchObject([{ outcome: 'not_found' }]);
    expect(await calls(master.url, 'wait')).toEqual(before);
  });

  test('costs: nothing without revocations or when turned off, one INFO in five seconds, no WAIT without replicas', async () => {
    const { master, sessions } = await world(0);
    const waiting = sessions();
    const before = await calls(master.url, 'wait', 'info');
    await waiting.revoke([]);
    await sessions(0).revoke([revocation()]);
    const own = 1; // `calls` itself
    expect(await calls(master.url, 'wait', 'info')).toEqual([0, (before[1] ?? 0) + own + 1]);
    for (let i = 0; i < 10; i++) await waiting.revoke([revocation()]);
    const [waits = 0, infos = 0] = await calls(master.url, 'wait', 'info');
    expect(waits).toBe(0);
    expect(infos - (before[1] ?? 0)).toBeLessThanOrEqual(1 + 2 * (own + 1) + own);
  });

  test('a connection that broke between the revoke and its WAIT has acknowledged nothing', async () => {
    const { redis, sessions } = await world(1);
    await redis.ping();
    const inner: Sessions = {
      async revoke() {
        const again = new Promise((resolve) => redis.once('ready', resolve));
        redis.stream.destroy();
        await again;
        return [{ outcome: 'revoked', atMs: 1 }];
      },
    };
    expect(await sessions(1, inner).revoke([revocation()])).toEqual([expect.any(ReplicaShortfall)]);
  });

  test('a server that unblocks the WAIT because its role changes has acknowledged nothing', async () => {
    const { master, replicas, redis, sessions } = await world(1);
    replicas[0]?.pause();
    const id = await redis.client('ID');
    // It must not have given up before it is unblocked.
    const revoked = sessions(1, undefined, 20_000).revoke([revocation()]);
    revoked.catch(() => {}); // awaited below
    const admin = connect(master.url);
    await until(async () => (await blocked(admin)) === 1);
    await admin.client('UNBLOCK', id, 'ERROR');
    await expect(revoked).rejects.toThrow(/UNBLOCKED/);
  });

  test('of a Cluster each master is asked for its own replicas', async () => {
    const [one, two] = await Promise.all([world(1), world(1)]);
    const cluster = { nodes: () => [one.redis, two.redis] } as unknown as Redis;
    const inner = redisSessions(two.redis, two.keys, 1e7); // the slots of these keys are the second one's
    const log = captureLog();
    const waiting = onReplicas(inner, cluster, { replicas: 1, timeoutMs: 1500, log, clock: Date.now });
    expect(await waiting.revoke([revocation()])).toMatchObject([{ outcome: 'not_found' }]);
    two.replicas[0]?.pause();
    expect(await waiting.revoke([revocation()])).toMatchObject([{ code: 'REPLICAS_0_OF_1' }]);
  });

  test('a user who may not ask for replicas still ends sessions; that is told once', async () => {
    const { master, log } = await world(0);
    const admin = connect(master.url);
    await admin.call('ACL', 'SETUSER', 'plain', 'on', '>pw', '~*', '&*', '+@all', '-info', '-wait');
    const redis = openWorkerRedis(
      { port: master.port, username: 'plain', password: 'pw', enableReadyCheck: false },
      log,
    );
    release(() => redis.disconnect());
    const inner = redisSessions(redis, keysFor(testPrefix()), 1e7);
    const waiting = onReplicas(inner, redis, { replicas: 1, timeoutMs: 300, log, clock: () => serial * 10_000 });
    for (let i = 0; i < 3; i++) expect(await waiting.revoke([revocation()])).toMatchObject([{ outcome: 'not_found' }]);
    expect(log.text().match(/replicas_unknown/g)).toHaveLength(1);
  });
});

test('a worker with a paused replica: the login goes back, and is done once the replica is there again', async () => {
  const { master, replicas, redis, prefix, keys } = await world(1);
  const place = { countries: ['GB'], agreed: true, firstSeenMs: Date.now() - 9e8, lastSeenMs: Date.now() - 9e8 };
  const baseline = { v4: { places: [place], networks: [] }, v6: { places: [], networks: [] } };
  await redisBaselines(redis, keys, 1e10, captureLog()).save([{ userId: 'alice', revision: 0, baseline }]);
  const worker = await openWorker(prefix, { redis: master.url, waitReplicasTimeoutMs: 500 });
  replicas[0]?.pause();
  const { lid, handle } = revocation();
  const login: LoginEvent = { lid, handle, userId: 'alice', address: ADDRESS.lagos, loginAtMs: Date.now() - 1000 };
  const queue = loginQueue(redis, { queue: LOGIN_QUEUE, prefix: keys.queuePrefix }, captureLog());
  release(() => queue.close());
  await queue.add('job-1', [login]);
  const incidents = redisIncidents(redis, keys, 1e9);
  await until(() => worker.log.text().includes('replicas_short'));
  expect((await incidents.list({}, 10)).incidents).toEqual([]); // not done
  expect(await redis.get(keys.session(handle))).toContain('"k":"revoked"'); // but ended
  replicas[0]?.resume();
  await until(async () => (await incidents.list({}, 10)).incidents.length === 1, { timeoutMs: 15_000 });
  expect((await incidents.list({}, 10)).incidents).toMatchObject([{ lid, reason: 'country_changed' }]);
});
