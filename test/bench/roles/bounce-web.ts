/** One of the two web apps of the `bounce` bench: it reports the logins of the plan, and serves the thieves' requests. */
import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Queue } from 'bullmq';
import { RedisStore } from 'connect-redis';
import express, { type Express } from 'express';
import session, { type Store } from 'express-session';
import { Redis } from 'ioredis';
import { createClient } from 'redis';
import { createBouncer } from '../../../src/index.ts';
import { serve } from '../support/child.ts';
import { type BenchLogin, Crowd, type Places } from '../support/logins.ts';
import { monotonicMs, type Plan, reportedAtMs, sleepUntil, thieves } from '../support/schedule.ts';

export interface Reported {
  readonly sessionId: string;
  /** When `reportLogin` was called, monotonic milliseconds. */
  readonly atMs: number;
}

/** How the last run went for the web process itself: far from zero, the machine was too busy to say much. */
export interface Strain {
  /** How late a login was reported at worst, milliseconds. */
  readonly worstDelayMs: number;
  /** Reports that were still in memory when their time limit was over. */
  readonly pending: number;
}

export interface BounceWebApi {
  listen(kind: 'ours' | 'peer', url: string, places: Places, users: number): Promise<number>;
  /** Reports the first login of all users: what they are known by. Not timed. */
  firstLogins(): Promise<void>;
  /** Reports the plan's logins; what it reported of thieves, in their order. */
  run(plan: Plan): Promise<Reported[]>;
  strain(): Strain;
}

type Report = (login: BenchLogin, sessionId: string) => Promise<unknown>;

const closers: (() => unknown)[] = [];
/** By thief: their session's id, as the app knows it. */
const held: string[] = [];
let report: Report = async () => {};
let crowd: Crowd | null = null;
let users = 0;
let worstMs = 0;
let pendingCount = 0;

function app(store: Store, gate: express.RequestHandler | null): Express {
  const web = express();
  const cookie = { httpOnly: true, sameSite: 'lax' } as const;
  web.use(session({ store, secret: 'bench', name: 'sid', resave: false, saveUninitialized: false, cookie }));
  if (gate !== null) web.use(gate);
  web.post('/thief/:index', (req, res) => {
    held[Number(req.params.index)] = req.sessionID;
    Object.assign(req.session, { userId: `thief-${req.params.index}` });
    res.json({ ok: true });
  });
  web.get('/', (req, res) => {
    const { userId } = req.session as { userId?: string };
    if (userId === undefined) res.status(401).json({ code: 'login_needed' });
    else res.json({ user: userId });
  });
  return web;
}

function ours(url: string): Express {
  const bouncer = createBouncer({ redis: url });
  closers.push(() => bouncer.close());
  report = async ({ userId, address, userAgent }, sessionId) => {
    const { status } = await bouncer.reportLogin({ userId, address, userAgent, sessionId });
    if (status === 'pending') pendingCount += 1;
    else if (status !== 'queued') throw new Error(`a login was not queued: ${status}`);
  };
  return app(bouncer.store(session), bouncer.gate());
}

async function peer(url: string): Promise<Express> {
  const client = createClient({ url });
  await client.connect();
  const redis = new Redis(url, { maxRetriesPerRequest: null });
  const queue = new Queue('peer', { connection: redis });
  closers.push(() => {
    client.destroy();
    redis.disconnect();
  });
  const options = { removeOnComplete: true, removeOnFail: true };
  report = ({ userId, address, userAgent }, sessionId) =>
    queue.add('login', { userId, address, userAgent, sessionId }, options);
  return app(new RedisStore({ client }), null);
}

async function run(plan: Plan): Promise<Reported[]> {
  const from = crowd as Crowd;
  const pending: Promise<unknown>[] = [];
  const reported: Reported[] = [];
  const endMs = plan.startMs + 1000 * plan.seconds;
  const thiefAt = Array.from({ length: thieves(plan) }, (_, index) => reportedAtMs(plan, index));
  let sent = 0;
  worstMs = 0;
  pendingCount = 0;
  await sleepUntil(plan.startMs);
  for (let nowMs = monotonicMs(); nowMs < endMs; nowMs = monotonicMs()) {
    for (; reported.length < thiefAt.length && (thiefAt[reported.length] ?? 0) <= nowMs; sent++) {
      const index = reported.length;
      const login = from.login(users + index, true);
      const sessionId = held[index] ?? '';
      reported.push({ sessionId, atMs: monotonicMs() });
      pending.push(report(login, sessionId));
    }
    for (; plan.startMs + (1000 * sent) / plan.perSecond <= nowMs; sent++) {
      worstMs = Math.max(worstMs, nowMs - plan.startMs - (1000 * sent) / plan.perSecond);
      pending.push(report(from.login(Math.floor(Math.random() * users), false), token()));
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await Promise.all(pending);
  return reported;
}

async function firstLogins(): Promise<void> {
  const from = crowd as Crowd;
  const next = Array.from({ length: users + 1000 }, (_, user) => user).values();
  const one = async () => {
    for (const user of next) await report(from.login(user, false), token());
  };
  await Promise.all(Array.from({ length: 100 }, one));
}

function token(): string {
  return randomBytes(16).toString('base64url');
}

serve<BounceWebApi>(
  {
    async listen(kind, url, places, count) {
      users = count;
      crowd = new Crowd(places, count, 0, 4);
      const server = createServer(await (kind === 'ours' ? ours(url) : peer(url)));
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      closers.push(() => server.closeAllConnections());
      return (server.address() as AddressInfo).port;
    },
    firstLogins,
    run,
    strain: () => ({ worstDelayMs: worstMs, pending: pendingCount }),
  },
  async () => {
    for (const close of closers.reverse()) await close();
  },
);
