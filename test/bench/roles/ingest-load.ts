/** Signed logins at a given rate, whatever the answers take: what a crowd of PHP processes would send. */
import { randomBytes } from 'node:crypto';
import { Agent, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { keyOf } from '../../../src/ingest/signature.ts';
import { serve } from '../support/child.ts';
import { signedHeaders } from '../support/ingest-sign.ts';
import { Crowd, type Places } from '../support/logins.ts';

export interface IngestLoadSetup {
  readonly port: number;
  readonly secret: string;
  readonly places: Places;
  readonly users: number;
  readonly awayShare: number;
}

export interface IngestLoadRun {
  readonly sent: number;
  /** Logins that were answered 202. */
  readonly accepted: number;
  /** Of them, the ids of those that must have an incident. */
  readonly away: readonly string[];
  /** How many answers of each status, those to repeats included; 0: none came. */
  readonly statuses: Readonly<Record<string, number>>;
  readonly millis: number;
  readonly latenciesMs: readonly number[];
}

export interface IngestLoadApi {
  setup(options: IngestLoadSetup): void;
  /** Every user's first login, 100 a request. */
  firstLogins(): Promise<IngestLoadRun>;
  /** One login a request. */
  run(perSecond: number, seconds: number): Promise<IngestLoadRun>;
}

const agent = new Agent({ keepAlive: true, maxSockets: 64 });
const TICK_MS = 10;
/** Beyond this the server cannot follow, and waiting costs nobody anything. */
const MOST_IN_FLIGHT = 1000;
/** No answer, too much, or Redis did not take it in time: on a busy machine. */
const AGAIN: ReadonlySet<number> = new Set([0, 429, 503]);
const ATTEMPTS = 60;
const AGAIN_MS = 250;

let setup: IngestLoadSetup | null = null;
let crowd: Crowd | null = null;

interface Sent {
  readonly userId: string;
  readonly address: string;
  readonly userAgent: string;
  readonly lid: string;
}

function post(id: string, body: string): Promise<number> {
  const { port = 0, secret = '' } = setup ?? {};
  const headers = { ...signedHeaders(keyOf(secret), id, body), 'content-length': Buffer.byteLength(body) };
  return new Promise((resolve) => {
    const sent = request(
      { host: '127.0.0.1', port, path: '/v1/logins', method: 'POST', agent, headers },
      (response) => {
        response.resume();
        response.on('end', () => resolve(response.statusCode ?? 0));
        response.on('error', () => resolve(0));
      },
    );
    sent.on('error', () => resolve(0));
    sent.end(body);
  });
}

class Tally {
  sent = 0;
  accepted = 0;
  inFlight = 0;
  readonly away: string[] = [];
  readonly statuses: Record<string, number> = {};
  readonly latenciesMs: number[] = [];
  readonly #startMs = performance.now();

  async send(logins: readonly Sent[], away: readonly string[]): Promise<void> {
    this.sent += 1;
    this.inFlight += 1;
    const startMs = performance.now();
    const status = await this.#untilTaken(JSON.stringify(logins.length === 1 ? logins[0] : { logins }));
    this.inFlight -= 1;
    this.latenciesMs.push(performance.now() - startMs);
    if (status !== 202) return;
    this.accepted += logins.length;
    this.away.push(...away);
  }

  /** As a sender should: the same again, under the same id. What was taken twice would be counted twice. */
  async #untilTaken(body: string): Promise<number> {
    const id = `bench_${randomBytes(16).toString('base64url')}`;
    for (let attempt = 1; ; attempt++) {
      const status = await post(id, body);
      this.statuses[status] = (this.statuses[status] ?? 0) + 1;
      if (!AGAIN.has(status) || attempt === ATTEMPTS) return status;
      await sleep(AGAIN_MS);
    }
  }

  done(): IngestLoadRun {
    const { sent, accepted, away, statuses, latenciesMs } = this;
    return { sent, accepted, away, statuses, latenciesMs, millis: performance.now() - this.#startMs };
  }
}

const lid = () => randomBytes(28).toString('base64url');

serve<IngestLoadApi>(
  {
    setup(options) {
      setup = options;
      crowd = new Crowd(options.places, options.users, options.awayShare, 5);
    },
    async firstLogins() {
      const tally = new Tally();
      const from = crowd as Crowd;
      const users = setup?.users ?? 0;
      for (let first = 0; first < users; first += 100) {
        const some = Array.from({ length: Math.min(100, users - first) }, (_, i) => from.login(first + i, false));
        await tally.send(
          some.map(({ away: _, ...login }) => ({ ...login, lid: lid() })),
          [],
        );
      }
      return tally.done();
    },
    async run(perSecond, seconds) {
      const tally = new Tally();
      const from = crowd as Crowd;
      const total = Math.round(perSecond * seconds);
      const startMs = performance.now();
      const all: Promise<void>[] = [];
      while (tally.sent < total) {
        const due = Math.min(total, Math.ceil(((performance.now() - startMs) * perSecond) / 1000));
        while (tally.sent < due && tally.inFlight < MOST_IN_FLIGHT) {
          const { away, ...login } = from.next();
          const one = { ...login, lid: lid() };
          all.push(tally.send([one], away ? [one.lid] : []));
        }
        await sleep(TICK_MS);
      }
      await Promise.all(all);
      return tally.done();
    },
  },
  async () => agent.destroy(),
);
