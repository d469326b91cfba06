/** The thieves of the `bounce` bench: each polls over a keep-alive connection, one request after the other. */
import { Agent, request as send } from 'node:http';
import { serve } from '../support/child.ts';
import { monotonicMs, type Plan, reportedAtMs, sleepUntil } from '../support/schedule.ts';

/** What one thief saw. Monotonic milliseconds. */
export interface Polled {
  /** End of the first refused request; null when none was refused. */
  readonly firstRefusedMs: number | null;
  /** When the requests that were served began; only the last ones before and all after the first refusal. */
  readonly servedBeganMs: readonly number[];
  readonly requests: number;
}

export interface PollerApi {
  /** Every thief gets a session. */
  open(port: number, count: number): Promise<void>;
  run(plan: Plan): Promise<Polled[]>;
}

/** They poll from before their login is reported until after they were first refused, to see whether it stays so. */
const BEFORE_MS = 60;
const AFTER_MS = 150;
const LIMIT_MS = 3000;
const PAUSE_MS = 1;
const KEPT = 200;

const agent = new Agent({ keepAlive: true });
let cookies: string[] = [];
let port = 0;

interface Answer {
  readonly status: number;
  readonly cookie: string;
}

function request(method: string, path: string, cookie: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const headers = { cookie, accept: 'application/json' };
    const sent = send({ host: '127.0.0.1', port, method, path, agent, headers }, (response) => {
      response.resume();
      const set = response.headers['set-cookie']?.[0]?.split(';')[0] ?? '';
      response.on('end', () => resolve({ status: response.statusCode ?? 0, cookie: set }));
    });
    sent.on('error', reject);
    sent.end();
  });
}

async function poll(cookie: string, reportedMs: number): Promise<Polled> {
  await sleepUntil(reportedMs - BEFORE_MS);
  const served: number[] = [];
  let firstRefusedMs: number | null = null;
  let requests = 0;
  let endMs = reportedMs + LIMIT_MS;
  while (monotonicMs() < endMs) {
    const beganMs = monotonicMs();
    const { status } = await request('GET', '/', cookie);
    requests += 1;
    if (status === 200) served.push(beganMs);
    else if (status !== 401) throw new Error(`a request was answered with ${status}`);
    else if (firstRefusedMs === null) {
      firstRefusedMs = monotonicMs();
      endMs = firstRefusedMs + AFTER_MS;
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
  return { firstRefusedMs, servedBeganMs: served.slice(-KEPT), requests };
}

serve<PollerApi>(
  {
    async open(at, count) {
      port = at;
      cookies = [];
      for (let index = 0; index < count; index++) {
        const { cookie } = await request('POST', `/thief/${index}`, '');
        if (cookie === '') throw new Error('the app set no cookie');
        cookies.push(cookie);
      }
    },
    run: (plan) => Promise.all(cookies.map((cookie, index) => poll(cookie, reportedAtMs(plan, index)))),
  },
  async () => agent.destroy(),
);
