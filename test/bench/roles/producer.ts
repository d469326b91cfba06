/** The web tier of the `worker` bench: reports logins the way an app does, many of them in flight. */
import { randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';
import { type Bouncer, createBouncer } from '../../../src/index.ts';
import type { GuardedSessions } from '../../../src/ports.ts';
import { keysFor } from '../../../src/redis/keys.ts';
import { guardedSessions } from '../../../src/redis/sessions.ts';
import { sessionHandle } from '../../../src/web/handle.ts';
import { serve } from '../support/child.ts';
import { type BenchLogin, Crowd, type Places } from '../support/logins.ts';

export interface ProducerSetup {
  readonly url: string;
  readonly prefix: string;
  readonly places: Places;
  readonly users: number;
  readonly awayShare: number;
}

export interface Reported {
  /** Handles of the sessions that must end. */
  readonly away: readonly string[];
  readonly perSecond: number;
}

export interface ProducerApi {
  setup(options: ProducerSetup): void;
  /** Every user's first login: what they are known by. */
  firstLogins(inFlight: number): Promise<Reported>;
  logins(count: number, inFlight: number): Promise<Reported>;
}

const token = () => randomBytes(16).toString('base64url');

let bouncer: Bouncer | null = null;
let sessions: GuardedSessions | null = null;
let redis: Redis | null = null;
let crowd: Crowd | null = null;
let users = 0;

/** Those who are to lose their session have one: the tombstone must take the place of something. */
async function openSession(sessionId: string, lid: string, login: BenchLogin): Promise<void> {
  const nowMs = Date.now();
  const head = { renewedAtMs: nowMs, endsAtMs: nowMs + 86_400_000, birth: token(), lid, movedFrom: '' };
  const data = { cookie: { path: '/', httpOnly: true }, userId: login.userId };
  const outcome = await sessions?.save(sessionHandle(sessionId), true, head, data, 86_400_000);
  if (outcome !== 'live') throw new Error(`the session was not stored: ${outcome}`);
}

async function reportOne(login: BenchLogin, away: string[]): Promise<void> {
  const { userId, address, userAgent } = login;
  const sessionId = token();
  const lid = token();
  if (login.away) {
    await openSession(sessionId, lid, login);
    away.push(sessionHandle(sessionId));
  }
  const result = await bouncer?.reportLogin({ userId, address, userAgent, sessionId, lid });
  if (result?.status !== 'queued') throw new Error(`a login was not queued: ${result?.status}`);
}

async function report(count: number, inFlight: number, login: (index: number) => BenchLogin): Promise<Reported> {
  const away: string[] = [];
  let next = 0;
  const one = async () => {
    while (next < count) await reportOne(login(next++), away);
  };
  const startMs = performance.now();
  await Promise.all(Array.from({ length: inFlight }, one));
  return { away, perSecond: (1000 * count) / (performance.now() - startMs) };
}

serve<ProducerApi>(
  {
    setup({ url, prefix, places, users: count, awayShare }) {
      users = count;
      crowd = new Crowd(places, count, awayShare, 1);
      redis = new Redis(url, { replyMapping: 'legacy' });
      sessions = guardedSessions(redis, keysFor(prefix));
      // The time limit is for apps; here every login must be known to be queued, however busy the machine is.
      bouncer = createBouncer({ redis: url, prefix, enqueueTimeoutMs: 60_000 });
    },
    firstLogins: (inFlight) => {
      const from = crowd as Crowd;
      return report(users, inFlight, (index) => from.login(index, false));
    },
    logins: (count, inFlight) => {
      const from = crowd as Crowd;
      return report(count, inFlight, () => from.next());
    },
  },
  async () => {
    await bouncer?.close();
    redis?.disconnect();
  },
);
