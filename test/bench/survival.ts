/**
 * `survival`: a thief's session is ended by a worker in another process while a request of it is in flight. How many of
 * 200 are still logged in afterwards? Real servers of three frameworks, writing where they can (`resave`, `rolling`); our
 * store against a stock one with DEL.
 */
import { startRedis } from '../../examples/support/private-redis.ts';
import type { SurvivalWebApi } from './roles/survival-web.ts';
import type { SurvivalWorkerApi } from './roles/survival-worker.ts';
import { type Child, start } from './support/child.ts';
import { type BenchOptions, type Report, scaled } from './support/report.ts';

const TRIALS = 200;
const ABREAST = 10;

export const FRAMEWORKS = ['express', 'fastify', 'koa'] as const;
export type FrameworkName = (typeof FRAMEWORKS)[number];
export type Side = 'ours' | 'stock';

/** What the request in flight does when it goes on. */
export const KINDS = ['reads', 'changes', 'save', 'regenerate'] as const;
export type Kind = (typeof KINDS)[number];

const HOME = '81.2.69.142';
const ABROAD = '105.112.10.20';

type Cells = Record<string, number>;

export async function survival(options: BenchOptions): Promise<Report> {
  const server = await startRedis();
  const trials = scaled(TRIALS, options);
  const children: { stop(): Promise<void> }[] = [];
  const all: Record<Side, Cells> = { ours: {}, stock: {} };
  try {
    for (const side of ['ours', 'stock'] as const) {
      const worker = start<SurvivalWorkerApi>('survival-worker', server.dir, `worker-${side}`);
      children.push(worker);
      await worker.call('start', side, server.url);
      for (const framework of FRAMEWORKS) {
        const web = start<SurvivalWebApi>('survival-web', server.dir, `${framework}-${side}`);
        children.push(web);
        const url = await web.call('listen', side, framework, server.url);
        Object.assign(all[side], await cells({ url, web, worker, framework, trials }));
        await web.call('stop');
        options.say(`${side}, ${framework}: ${JSON.stringify(all[side])}`);
      }
    }
    return { bench: 'survival', ...all, trials, unit: 'sessions still logged in after the worker had ended them' };
  } finally {
    await Promise.all(children.map((child) => child.stop()));
    await server.stop();
  }
}

interface Stage {
  readonly url: string;
  readonly web: Child<SurvivalWebApi>;
  readonly worker: Child<SurvivalWorkerApi>;
  readonly framework: FrameworkName;
  readonly trials: number;
}

async function cells(stage: Stage): Promise<Cells> {
  const found: Cells = {};
  for (const kind of KINDS) {
    found[`${stage.framework} ${kind}`] = await count(stage.trials, (i) => inFlight(stage, kind, `${kind}-${i}`));
  }
  found[`${stage.framework} login`] = await count(stage.trials, (i) => duringLogin(stage, `login-${i}`));
  return found;
}

/** How many of the trials end with a session that is still logged in. */
async function count(trials: number, trial: (index: number) => Promise<boolean>): Promise<number> {
  let alive = 0;
  let next = 0;
  const lane = async () => {
    for (let i = next++; i < trials; i = next++) if (await trial(i)) alive += 1;
  };
  await Promise.all(Array.from({ length: Math.min(ABREAST, trials) }, lane));
  return alive;
}

async function inFlight({ url, web, worker, framework }: Stage, kind: Kind, name: string): Promise<boolean> {
  const user = `${framework}-${name}`;
  const browser = new Browser(url, HOME);
  await browser.get(`/login?user=${user}`);
  if (!(await browser.isLoggedIn())) throw new Error(`${user}: the login did not work`);
  const answer = browser.get(`/held?kind=${kind}&user=${user}`);
  await web.call('entered', user);
  await worker.call('end', await web.call('target', user));
  await web.call('go', user);
  await answer;
  return browser.isLoggedIn();
}

/** The worker hears of this one from the queue, while the login request itself works on: for 20 ms, and until the worker is done. */
async function duringLogin({ url, web, worker, framework }: Stage, name: string): Promise<boolean> {
  const user = `${framework}-${name}`;
  await new Browser(url, HOME).get(`/login?user=${user}`);
  await worker.call('learned', user);
  const browser = new Browser(url, ABROAD);
  const answer = browser.get(`/login?user=${user}&kind=changes`);
  await web.call('entered', user);
  await worker.call('ended', await web.call('target', user));
  await web.call('go', user);
  await answer;
  return browser.isLoggedIn();
}

/** Keeps every cookie it was ever given: a thief tries all of them. */
class Browser {
  readonly #url: string;
  readonly #address: string;
  #cookies = new Map<string, string>();
  readonly #all = new Set<string>();

  constructor(url: string, address: string) {
    this.#url = url;
    this.#address = address;
  }

  async get(path: string, cookie?: string): Promise<Response> {
    const headers = { 'x-forwarded-for': this.#address, cookie: cookie ?? this.#now() };
    const response = await fetch(this.#url + path, { redirect: 'manual', headers });
    if (cookie === undefined) this.#take(response.headers.getSetCookie());
    return response;
  }

  async isLoggedIn(): Promise<boolean> {
    for (const cookie of this.#all) {
      const response = await this.get('/me', cookie);
      const text = await response.text();
      if (response.status === 200 && (JSON.parse(text) as { user: unknown }).user !== null) return true;
    }
    return false;
  }

  #now(): string {
    return [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; ');
  }

  #take(lines: readonly string[]): void {
    for (const line of lines) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      if (name !== undefined && value) this.#cookies.set(name, value);
    }
    if (this.#cookies.size > 0) this.#all.add(this.#now());
  }
}
