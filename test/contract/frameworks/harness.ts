/** What the contract needs of each framework: one small app with the same routes, and a way to hold its requests. */
import type { Bouncer } from '../../../src/index.ts';
import type { Entry } from '../../../src/web/engine.ts';
import { until } from '../../support/index.ts';

export type { Entry };

export interface Running {
  readonly url: string;
  close(): Promise<void>;
}

export interface AppOptions {
  /** Life of the cookie, milliseconds; without it, until the browser closes. */
  readonly maxAgeMs?: number;
  /** Writes where the framework's session middleware would write without need (`resave`, `rolling`). */
  readonly eager?: boolean;
}

export interface Framework {
  readonly name: string;
  readonly cookie: string;
  readonly secret: string;
  /** The session id in the decoded cookie value. */
  idIn(value: string): string;
  open(bouncer: Bouncer, held: Held, options: AppOptions): Promise<Running>;
}

export const SECRET = 'a secret of the tests, forty letters long';

/** Requests wait here, one by one or all together, until the test lets them go. */
export class Held {
  /** How often the handlers of guarded routes have run. */
  handled = 0;
  #waiting: (() => void)[] = [];

  wait(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  async arrived(count: number): Promise<void> {
    await until(() => this.#waiting.length >= count);
  }

  release(): void {
    for (const go of this.#waiting.splice(0)) go();
  }
}

export interface ShopSession {
  userId?: string;
  flash?: string;
  passport?: { user?: string };
  visits?: number;
  changed?: number;
}

/** What a route does, in terms that every framework can tell. Returns the body of a JSON answer. */
export interface Turn {
  readonly request: object;
  readonly query: (name: string) => string;
  session(): ShopSession;
  save(): Promise<void>;
  /** The framework's own way, by an app that has never heard of us. */
  regenerate(): Promise<void>;
  destroy(): Promise<void>;
  /** The client has hung up. */
  isAbandoned(): boolean;
}

export type Route = (turn: Turn, bouncer: Bouncer, held: Held) => Promise<object>;

const me = ({ session }: Turn) => ({ user: session()?.userId ?? null, visits: session()?.visits ?? 0 });

export const ROUTES: Readonly<Record<string, Route>> = {
  'GET /login': async (turn) => me(turn),
  'POST /login': async (turn, bouncer) => {
    const userId = turn.query('user');
    return bouncer.login(turn.request, { userId, data: { userId } });
  },
  'GET /me': async (turn, _bouncer, held) => {
    held.handled += 1;
    return me(turn);
  },
  'GET /lid': async (turn, bouncer) => ({ lid: bouncer.lidOf(turn.request) }),
  'POST /log-out-others': async (turn, bouncer) => {
    const mine = bouncer.lidOf(turn.request);
    return bouncer.sessions.endOthers('alice', mine, { by: 'alice', why: 'lost telephone' });
  },
  'POST /change': async (turn) => {
    const session = turn.session();
    session.visits = (session.visits ?? 0) + 1;
    return me(turn);
  },
  'POST /regenerate': async (turn) => {
    await regenerateAndCopy(turn);
    return me(turn);
  },
  /** A login by an app that has never heard of us. */
  'POST /sign-in': async (turn) => {
    await turn.regenerate();
    Object.assign(turn.session(), { userId: turn.query('user'), visits: 0 });
    return me(turn);
  },
  'POST /sign-in-later': async (turn, _bouncer, held) => {
    await regenerateAndCopy(turn);
    await turn.save();
    turn.session().userId = turn.query('user');
    await turn.save();
    await held.wait();
    return me(turn);
  },
  'POST /regenerate-slowly': async (turn, _bouncer, held) => {
    const { userId, visits } = turn.session();
    await turn.regenerate();
    await held.wait();
    Object.assign(turn.session(), { userId, visits });
    return me(turn);
  },
  'POST /regenerate-abandoned': async (turn, _bouncer, held) => {
    await held.wait();
    await until(turn.isAbandoned);
    await turn.regenerate();
    return {};
  },
  'POST /logout': async (turn) => {
    await turn.destroy();
    return { bye: true };
  },
  'POST /regenerate-and-logout': async (turn) => {
    await regenerateAndCopy(turn);
    await turn.destroy();
    return { bye: true };
  },
  'POST /sign-out': async (turn, bouncer) => {
    await bouncer.logout(turn.request);
    return flashed(turn);
  },
  'POST /slow-sign-out': async (turn, bouncer, held) => {
    await held.wait();
    await bouncer.logout(turn.request);
    return flashed(turn);
  },
  'POST /regenerate-and-sign-out': async (turn, bouncer) => {
    await regenerateAndCopy(turn);
    await bouncer.logout(turn.request);
    return flashed(turn);
  },
  'POST /regenerate-only': async (turn) => {
    await turn.regenerate();
    return { bye: true };
  },
  'POST /passport-login': async (turn, bouncer) => {
    const userId = turn.query('user');
    return bouncer.login(turn.request, { userId, data: { passport: { user: userId }, visits: 1 } });
  },
  'POST /passport-logout': async (turn) => {
    await passportLogout(turn);
    return flashed(turn);
  },
  'POST /passport-sign-out': async (turn, bouncer) => {
    await passportLogout(turn);
    await bouncer.logout(turn.request);
    return flashed(turn);
  },
  'POST /slow-passport-logout': async (turn, _bouncer, held) => {
    await held.wait();
    await passportLogout(turn);
    return flashed(turn);
  },
  /** Passport signs somebody in: over another user's session, say. */
  'POST /passport-switch': async (turn) => {
    await turn.regenerate();
    turn.session().passport = { user: turn.query('user') };
    return { user: turn.session().passport?.user };
  },
  'POST /slow-read': async (turn, _bouncer, held) => {
    const before = me(turn);
    await held.wait();
    return before;
  },
  'POST /slow-change': async (turn, _bouncer, held) => {
    turn.session().changed = Math.random();
    await held.wait();
    return { text: 'x'.repeat(5000) };
  },
  'POST /slow-save': async (turn, _bouncer, held) => {
    turn.session().changed = Math.random();
    await held.wait();
    await turn.save();
    turn.session().changed = Math.random();
    return { text: 'x'.repeat(5000) };
  },
  'POST /slow-regenerate': async (turn, _bouncer, held) => {
    await held.wait();
    await regenerateAndCopy(turn);
    return { text: 'x'.repeat(5000) };
  },
  'POST /slow-login': async (turn, bouncer, held) => {
    const userId = turn.query('user');
    const { lid } = await bouncer.login(turn.request, { userId, data: { userId } });
    turn.session().changed = Math.random();
    Object.assign(held, { lid });
    await held.wait();
    return { lid };
  },
  'POST /sensitive': async (turn, bouncer, held) => {
    await held.wait();
    await bouncer.assertNotRevoked(turn.request);
    return { done: true };
  },
};

/** What `req.logout` of Passport 0.6 and later does with the session, call for call. */
async function passportLogout(turn: Turn): Promise<void> {
  const { passport } = turn.session();
  if (passport) delete passport.user;
  await turn.save();
  await turn.regenerate();
}

/** As a handler says goodbye: with a message in the new session, or without. */
function flashed(turn: Turn): object {
  if (turn.query('flash') === '1') turn.session().flash = 'bye';
  return { bye: true };
}

async function regenerateAndCopy(turn: Turn): Promise<void> {
  const { userId, visits } = turn.session();
  await turn.regenerate();
  Object.assign(turn.session(), { userId, visits });
}

/** The status and body of a route that threw. */
export function failure(error: unknown): { status: number; body: object } {
  const code = (error as { code?: unknown }).code;
  return { status: 409, body: { code: typeof code === 'string' ? code : String(error) } };
}
