/**
 * `gate`: what an established session costs per request. An express app with our store and gate, against the same app
 * with express-session and stock connect-redis on node-redis; each in its own process, one at a time under load from a
 * third. Requests per second say little on a shared machine, so the figure is the server's own CPU time per request.
 */
import { Redis } from 'ioredis';
import { startRedis } from '../../examples/support/private-redis.ts';
import type { GateServerApi } from './roles/gate-server.ts';
import { type Child, start } from './support/child.ts';
import { type Load, openLoad } from './support/load.ts';
import { redisVersion, redisWork, workSince } from './support/redis-stats.ts';
import { type BenchOptions, type BenchResult, machine } from './support/report.ts';
import { alternate, median, medians, pick, raw, short } from './support/stats.ts';

const ROUNDS = 12;
const SECONDS = 3;
const WARM_UP_ROUNDS = 2;

interface Rig {
  readonly redis: Redis;
  readonly load: Load;
  readonly seconds: number;
}

interface Server {
  readonly child: Child<GateServerApi>;
  readonly port: number;
  readonly cookie: string;
}

interface Round {
  readonly cpuMicros: number;
  readonly commands: number;
  readonly redisMicros: number;
  readonly requests: number;
  readonly calls: Readonly<Record<string, number>>;
}

export async function gate(options: BenchOptions): Promise<BenchResult> {
  const server = await startRedis();
  const redis = new Redis(server.url, { replyMapping: 'legacy' });
  const rig: Rig = { redis, load: openLoad(server.dir), seconds: Math.max(1, Math.round(SECONDS * options.scale)) };
  const children = [
    start<GateServerApi>('gate-server', server.dir, 'gate-ours'),
    start<GateServerApi>('gate-server', server.dir, 'gate-stock'),
  ] as const;
  try {
    const ours = await logIn(children[0], 'ours', server.url);
    const stock = await logIn(children[1], 'stock', server.url);
    return await measure(rig, ours, stock, options);
  } finally {
    await Promise.all([...children.map((child) => child.stop()), rig.load.stop()]);
    redis.disconnect();
    await server.stop();
  }
}

async function logIn(child: Child<GateServerApi>, kind: 'ours' | 'stock', url: string): Promise<Server> {
  const port = await child.call('listen', kind, url);
  const response = await fetch(`http://127.0.0.1:${port}/login`, { method: 'POST' });
  const cookie = response.headers.getSetCookie()[0]?.split(';')[0];
  if (!response.ok || cookie === undefined) throw new Error(`${kind}: the login failed (${response.status})`);
  return { child, port, cookie };
}

async function measure(rig: Rig, ours: Server, stock: Server, options: BenchOptions): Promise<BenchResult> {
  const run = (server: Server, name: string) => async (round: number) => {
    const result = await oneRound(rig, server);
    options.say(
      `round ${round + 1}: ${name} ${result.cpuMicros.toFixed(1)} µs CPU, ${result.commands.toFixed(2)} commands`,
    );
    return result;
  };
  options.say('warming up both ...');
  await alternate(WARM_UP_ROUNDS, run(ours, 'ours'), run(stock, 'stock'));
  const pairs = await alternate(options.rounds ?? ROUNDS, run(ours, 'ours'), run(stock, 'stock'));
  const cpu = pick(pairs, (round) => round.cpuMicros);
  const commands = medians(pick(pairs, (round) => round.commands));
  const redisMicros = medians(pick(pairs, (round) => round.redisMicros));
  return {
    bench: 'gate',
    ours: short(medians(cpu).ours),
    peer: short(medians(cpu).peer),
    ratio: short(median(cpu.map((pair) => pair.peer / pair.ours))),
    unit: 'µs of server CPU per request, median',
    commandsPerRequest: short(commands.ours),
    peerCommandsPerRequest: short(commands.peer),
    redisMicrosPerRequest: short(redisMicros.ours),
    peerRedisMicrosPerRequest: short(redisMicros.peer),
    commands: { ours: pairs.at(-1)?.ours.calls, peer: pairs.at(-1)?.peer.calls },
    session: 'established and logged in; read and not modified; resave: false, saveUninitialized: false',
    peerIs: 'express-session + connect-redis 9 on node-redis 5',
    load: `${rig.load.tool}, ${rig.seconds} s a round`,
    requestsPerRound: Math.round(median(pairs.flatMap((pair) => [pair.ours.requests, pair.peer.requests]))),
    rounds: raw(cpu),
    machine: machine(await redisVersion(rig.redis)),
  };
}

async function oneRound({ redis, load, seconds }: Rig, { child, port, cookie }: Server): Promise<Round> {
  await stillLoggedIn(port, cookie);
  const workBefore = await redisWork(redis);
  const before = await child.call('usage');
  await load.run(port, cookie, seconds);
  const after = await child.call('usage');
  const { commands, micros, calls } = workSince(workBefore, await redisWork(redis));
  await stillLoggedIn(port, cookie);
  const requests = after.requests - before.requests;
  return {
    cpuMicros: (after.cpuMicros - before.cpuMicros) / requests,
    commands: commands / requests,
    redisMicros: micros / requests,
    requests,
    calls,
  };
}

async function stillLoggedIn(port: number, cookie: string): Promise<void> {
  const response = await fetch(`http://127.0.0.1:${port}/`, { headers: { cookie } });
  const body = (await response.json()) as { user?: unknown };
  if (response.status !== 200 || body.user !== 'user-4711') throw new Error(`not logged in: ${response.status}`);
}
