/** Asking the registries, and the geofeeds that they link, within what each allows. Nothing is remembered but how it went. */

import type { ValidAddress } from '../../domain/address.ts';
import type { Registry } from '../../domain/registry.ts';
import type { Clock, Log, RegistryEntry } from '../../ports.ts';
import { Budget, budgetsFor, DEFAULT_RATES, type Rate } from './budget.ts';
import { fetchFeed } from './geofeed.ts';
import type { IpRange } from './range.ts';
import { askRdap, type Replied } from './rdap.ts';
import type { RateLimited } from './reply.ts';
import { deadline, internet, type Transport } from './transport.ts';
import { askWhois } from './whois.ts';

export interface UpstreamOptions {
  readonly log: Log;
  readonly clock: Clock;
  /** Tests give their own. */
  readonly transport?: Transport | undefined;
  readonly rates?: Readonly<Record<Registry, Rate>> | undefined;
}

/** Over everything that one question takes: names, connections, redirects, the answer, and whois after it. Milliseconds. */
export const QUESTION_MS = 5000;
/** The geofeed is another host's, and larger: it has a time of its own. */
export const FEED_MS = 5000;

/** After a failure the same is not asked again sooner. */
const RETRY_MS = 60_000;

/** A feed is fetched once for each /24 that it is asked about; its host shall not notice. */
const FEED_RATE: Rate = { burst: 20, perMinute: 20 };
const MAX_FEED_HOSTS = 256;

/** A reply, who gave it, and how. */
export type Told = Replied & { readonly via: 'rdap' | 'whois' };

/** Thrown where nothing can be learned now: `afterMs` says when to try again, `why` is a fixed word. */
export class NotNow extends Error {
  readonly afterMs: number;
  readonly why: string;

  constructor(afterMs: number, why: string) {
    super(why);
    this.name = 'NotNow';
    this.afterMs = afterMs;
    this.why = why;
  }
}

export class Upstream {
  readonly #options: UpstreamOptions;
  readonly #transport: Transport;
  readonly #budgets: Readonly<Record<Registry, Budget>>;
  readonly #feedBudgets = new Map<string, Budget>();

  constructor(options: UpstreamOptions) {
    this.#options = options;
    this.#transport = options.transport ?? internet;
    this.#budgets = budgetsFor(options.rates ?? DEFAULT_RATES, options.clock);
  }

  /** The reply is `ok`, `none` or `not-authoritative`; for all else it throws NotNow. */
  async ask(address: ValidAddress, registry: Registry): Promise<Told> {
    this.#take(registry);
    const told = await this.#question(address, registry);
    const { reply } = told;
    const budget = this.#budgets[told.registry];
    switch (reply.status) {
      case 'ok':
      case 'none':
      case 'not-authoritative':
        budget.succeeded();
        return told;
      case 'rate-limited':
        throw this.#refused(told.registry, reply);
      default: {
        const pauseMs = budget.failed();
        if (pauseMs > 0) this.#warnPause(told.registry, pauseMs, reply.status);
        throw new NotNow(Math.max(RETRY_MS, pauseMs), reply.status);
      }
    }
  }

  /** Never throws for what its host does; NotNow where it was asked too often. */
  async feed(url: string, address: ValidAddress, range: IpRange): Promise<NonNullable<RegistryEntry['feed']>> {
    const waitMs = this.#feedBudget(new URL(url).hostname).take();
    if (waitMs > 0) throw new NotNow(waitMs, 'budget');
    const { signal, done } = deadline(FEED_MS);
    try {
      return { url, ...(await fetchFeed(url, address, range, { transport: this.#transport, signal })) };
    } finally {
      done();
    }
  }

  #take(registry: Registry): void {
    const waitMs = this.#budgets[registry].take();
    if (waitMs > 0) throw new NotNow(waitMs, 'budget');
  }

  /** RDAP; where it gives nothing usable, whois with what is left of the time. A refusal is not gone around. */
  async #question(address: ValidAddress, registry: Registry): Promise<Told> {
    const { signal, done } = deadline(QUESTION_MS);
    const admit = (next: Registry) => this.#take(next);
    const asking = { transport: this.#transport, signal, nowMs: this.#options.clock(), admit };
    try {
      const first = await askRdap(address, registry, asking);
      this.#tell('rdap', first);
      const isUsable = !['error', 'bad-answer', 'blocked-referral'].includes(first.reply.status);
      if (isUsable || signal.aborted) return { ...first, via: 'rdap' };
      const second = await askWhois(address, first.registry, asking);
      this.#tell('whois', second);
      return { ...second, via: 'whois' };
    } finally {
      done();
    }
  }

  #tell(via: string, { reply, registry, host }: Replied): void {
    const reason = 'reason' in reply ? reply.reason : undefined;
    const fields = { event: 'registry_asked', via, registry, host, status: reply.status, reason };
    this.#options.log.debug(fields, 'A registry was asked');
  }

  #refused(registry: Registry, reply: RateLimited): NotNow {
    if (!reply.openCircuit) return new NotNow(reply.retryAfterMs ?? RETRY_MS, reply.status);
    const pauseMs = this.#budgets[registry].refused(reply.retryAfterMs, !reply.retry);
    this.#warnPause(registry, pauseMs, reply.status);
    return new NotNow(pauseMs, reply.status);
  }

  #warnPause(registry: Registry, pauseMs: number, status: string): void {
    this.#options.log.warn(
      { event: 'registry_paused', registry, pauseMs, status },
      'A registry refuses or fails; it is not asked for a while',
    );
  }

  #feedBudget(host: string): Budget {
    const known = this.#feedBudgets.get(host);
    if (known !== undefined) return known;
    const [oldest] = this.#feedBudgets.keys();
    if (this.#feedBudgets.size >= MAX_FEED_HOSTS && oldest !== undefined) this.#feedBudgets.delete(oldest);
    const budget = new Budget(FEED_RATE, this.#options.clock);
    this.#feedBudgets.set(host, budget);
    return budget;
  }
}
