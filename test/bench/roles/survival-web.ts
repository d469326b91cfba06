/** A web app of the `survival` bench: one of three frameworks, with our store or a stock one, the same routes on each. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { createBouncer, type LoginResult } from '../../../src/index.ts';
import { sessionHandle } from '../../../src/web/handle.ts';
import { serve } from '../support/child.ts';
import { OPENERS, type Turn, type Web } from '../support/survival-apps.ts';
import type { FrameworkName, Kind, Side } from '../survival.ts';
import type { Target } from './survival-worker.ts';

export interface SurvivalWebApi {
  listen(side: Side, framework: FrameworkName, url: string): Promise<string>;
  stop(): Promise<void>;
  /** What the worker needs to end this user's newest session. */
  target(user: string): Target;
  /** Waits until this user's held request is in its handler. */
  entered(user: string): Promise<void>;
  /** Lets it go on. */
  go(user: string): void;
}

type Login = (turn: Turn, user: string) => Promise<Target>;

const closers: (() => unknown)[] = [];
const targets = new Map<string, Target>();
const held = new Map<string, Gate>();

class Gate {
  enter = () => {};
  go = () => {};
  readonly entered = new Promise<void>((resolve) => {
    this.enter = resolve;
  });
  readonly gone = new Promise<void>((resolve) => {
    this.go = resolve;
  });
}

function gateOf(user: string): Gate {
  const gate = held.get(user) ?? new Gate();
  held.set(user, gate);
  return gate;
}

/** What a login does after it has told of itself; and longer, where a busy machine's worker is not done by then. */
const WORK_MS = 20;

/** The first login of a user is from home and soon over: only the thief's works on. */
const worksOn = (turn: Turn) => turn.query('kind') !== '';

async function route(turn: Turn, login: Login): Promise<{ user: string | null }> {
  const user = turn.query('user');
  if (turn.path === '/login') {
    targets.set(user, await login(turn, user));
    if (worksOn(turn)) {
      await sleep(WORK_MS);
      await hold(turn, 'changes', gateOf(user)); // the login request's own automatic save
    }
  }
  if (turn.path === '/held') await hold(turn, turn.query('kind') as Kind, gateOf(user));
  return { user: turn.user() };
}

async function hold(turn: Turn, kind: Kind, gate: Gate): Promise<void> {
  turn.user();
  gate.enter();
  await gate.gone;
  if (kind === 'changes') turn.change();
  if (kind === 'regenerate') await turn.regenerate();
  if (kind !== 'save') return;
  turn.change();
  await turn.save();
}

function ours(url: string): { web: Web; login: Login } {
  const bouncer = createBouncer({ redis: url, trustProxy: ['loopback'], enqueueTimeoutMs: 10_000 });
  closers.push(() => bouncer.close());
  const login: Login = async (turn, user) => {
    const { lid, status }: LoginResult = await bouncer.login(turn.request, { userId: user, data: { userId: user } });
    if (status !== 'queued') throw new Error(`a login was not queued: ${status}`);
    return { lid, handle: sessionHandle(turn.id()) };
  };
  return { web: { side: 'ours', bouncer }, login };
}

/** What many would write: log in, save, queue; the worker does DEL. */
function stock(url: string): { web: Web; login: Login } {
  const redis = new Redis(url, { maxRetriesPerRequest: null, replyMapping: 'legacy' });
  const queue = new Queue<Target>('peer', { connection: redis });
  closers.push(async () => {
    await queue.close();
    redis.disconnect();
  });
  const login: Login = async (turn, user) => {
    turn.begin(user);
    await turn.save();
    const target = { lid: '', handle: `sess:${turn.id()}` };
    if (worksOn(turn)) await queue.add('login', target, { removeOnComplete: true });
    return target;
  };
  return { web: { side: 'stock', redis }, login };
}

serve<SurvivalWebApi>(
  {
    async listen(side, framework, url) {
      const { web, login } = side === 'ours' ? ours(url) : stock(url);
      const running = await OPENERS[framework](web, (turn) => route(turn, login));
      closers.push(running.close);
      return running.url;
    },
    async stop() {
      for (let close = closers.pop(); close !== undefined; close = closers.pop()) await close();
    },
    target: (user) => targets.get(user) ?? { lid: '', handle: '' },
    entered: (user) => gateOf(user).entered,
    go: (user) => gateOf(user).go(),
  },
  async () => {
    for (const close of closers.reverse()) await close();
  },
);
