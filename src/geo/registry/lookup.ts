/**
 * What a registry says of an address, at the least cost to it: from the cache, from a question that is under way, and only then
 * by asking, within its budget. One question at a time for each /24 or /48, over all processes that share the cache.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { networkOf, parseAddress, type ValidAddress } from '../../domain/address.ts';
import type { Registry, RegistryWord } from '../../domain/registry.ts';
import type { Clock, Log, RegistryCache, RegistryEntry, RegistryLookup, RegistryOutcome } from '../../ports.ts';
import { registryOf } from './bootstrap.ts';
import { Budget, budgetsFor, DEFAULT_RATES, type Rate } from './budget.ts';
import { fetchFeed, matchFeed } from './geofeed.ts';
import { clippedTo, holds, parseRange, rangeText, sizeOf } from './range.ts';
import { askRdap, type Replied } from './rdap.ts';
import type { OkReply, RateLimited } from './reply.ts';
import { deadline, internet, type Transport } from './transport.ts';
import { askWhois } from './whois.ts';

export interface LookupOptions {
  readonly cache: RegistryCache;
  readonly log: Log;
  readonly clock: Clock;
  /** Tests give their own. */
  readonly transport?: Transport | undefined;
  readonly rates?: Readonly<Record<Registry, Rate>> | undefined;
  /** 0 to below 1; for the jitter. */
  readonly random?: (() => number) | undefined;
}

/** Over everything that one question takes: names, connections, redirects, the answer, and whois after it. */
const QUESTION_MS = 5000;
/** The geofeed is another host's, and larger: it has a time of its own. */
const FEED_MS = 5000;
const CLAIM_MS = QUESTION_MS + FEED_MS + 2000;
const CLAIM_POLL_MS = 100;

const GOOD_MS = 7 * 86_400_000;
/** Nothing found, or a geofeed that could not be read: may be different soon. */
const NONE_MS = 3_600_000;
/** After a failure the same is not asked again sooner. */
const RETRY_MS = 60_000;
const LEAST_RETRY_MS = 1000;

/** A feed is fetched once for each /24 that it is asked about; its host shall not notice. */
const FEED_RATE: Rate = { burst: 20, perMinute: 20 };
const MAX_FEED_HOSTS = 256;

interface Question {
  readonly address: ValidAddress;
  readonly network: string;
  readonly registry: Registry;
}

/** What a question came to: an entry for all whom it covers, or why there is none, for all who waited. */
type Result = { readonly entry: RegistryEntry } | { readonly later: RegistryOutcome & { kind: 'later' } };

/** Thrown inside where a budget is used up. */
class BudgetSpent extends Error {
  readonly afterMs: number;

  constructor(afterMs: number) {
    super('budget spent');
    this.afterMs = afterMs;
  }
}

export class RegistryClient implements RegistryLookup {
  readonly #options: LookupOptions;
  readonly #transport: Transport;
  readonly #budgets: Readonly<Record<Registry, Budget>>;
  readonly #feedBudgets = new Map<string, Budget>();
  readonly #flights = new Map<string, Promise<Result>>();

  constructor(options: LookupOptions) {
    this.#options = options;
    this.#transport = options.transport ?? internet;
    this.#budgets = budgetsFor(options.rates ?? DEFAULT_RATES, options.clock);
  }

  async lookup(text: string): Promise<RegistryOutcome> {
    const address = parseAddress(text);
    if (!address.ok || address.kind !== 'global') return { kind: 'nobody' };
    const registry = registryOf(address.ip, address.family);
    if (registry === null) return { kind: 'nobody' };
    const question = { address, registry, network: networkOf(address.ip, address.family) };
    for (;;) {
      const cached = this.#flights.has(question.network) ? null : await this.#known(question);
      if (cached !== null) return { kind: 'word', word: wordFor(cached, address), cached: true };
      const joined = this.#flights.get(question.network);
      const result = await (joined ?? this.#start(question));
      if ('later' in result) return result.later;
      // One who waited may lie in another, smaller object: then it is a question of its own.
      if (covers(result.entry, address)) {
        return { kind: 'word', word: wordFor(result.entry, address), cached: joined !== undefined };
      }
    }
  }

  #start(question: Question): Promise<Result> {
    const flight = this.#claimAndAsk(question).finally(() => this.#flights.delete(question.network));
    this.#flights.set(question.network, flight);
    return flight;
  }

  /** The entry with the smallest range that holds the address: a smaller object knows better. */
  async #known({ network, address }: Question): Promise<RegistryEntry | null> {
    const nowMs = this.#options.clock();
    const fitting = (await this.#options.cache.read(network))
      .filter((entry) => entry.expiresAtMs > nowMs && covers(entry, address))
      .map((entry) => ({ entry, size: sizeOfText(entry.range) }))
      .sort((a, b) => (a.size < b.size ? -1 : 1));
    return fitting[0]?.entry ?? null;
  }

  async #claimAndAsk(question: Question): Promise<Result> {
    const { cache } = this.#options;
    const untilMs = Date.now() + CLAIM_MS;
    while (!(await cache.claim(question.network, CLAIM_MS))) {
      if (Date.now() > untilMs) return later(LEAST_RETRY_MS, 'asked_elsewhere');
      await sleep(CLAIM_POLL_MS);
    }
    try {
      // Whoever held the claim before may have brought what we want.
      const known = await this.#known(question);
      return known === null ? await this.#ask(question) : { entry: known };
    } finally {
      // If Redis is away now, the claim ends by itself.
      await cache.release(question.network).catch(() => {});
    }
  }

  async #ask(question: Question): Promise<Result> {
    try {
      this.#take(question.registry);
      const replied = await this.#question(question);
      return await this.#judge(question, replied);
    } catch (error) {
      if (error instanceof BudgetSpent) return later(error.afterMs, 'budget');
      throw error;
    }
  }

  #take(registry: Registry): void {
    const waitMs = this.#budgets[registry].take();
    if (waitMs > 0) throw new BudgetSpent(waitMs);
  }

  /** RDAP; where it gives nothing usable, whois with what is left of the time. A refusal is not gone around. */
  async #question({ address, registry }: Question): Promise<Replied & { via: 'rdap' | 'whois' }> {
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
    this.#options.log.debug(
      { event: 'registry_asked', via, registry, host, status: reply.status, reason },
      'A registry was asked',
    );
  }

  async #judge(question: Question, replied: Replied & { via: 'rdap' | 'whois' }): Promise<Result> {
    const { reply, registry } = replied;
    const budget = this.#budgets[registry];
    switch (reply.status) {
      case 'ok':
        budget.succeeded();
        return this.#keepAnswer(question, replied, reply);
      case 'none':
      case 'not-authoritative':
        budget.succeeded();
        return this.#keepNone(question, replied);
      case 'rate-limited':
        return this.#onRefusal(registry, reply);
      default: {
        const pauseMs = budget.failed();
        if (pauseMs > 0) this.#warnPause(registry, pauseMs, reply.status);
        return later(Math.max(RETRY_MS, pauseMs), reply.status);
      }
    }
  }

  /** Never cached: it is no answer about the address. */
  #onRefusal(registry: Registry, reply: RateLimited): Result {
    if (!reply.openCircuit) return later(reply.retryAfterMs ?? RETRY_MS, 'rate-limited');
    const pauseMs = this.#budgets[registry].refused(reply.retryAfterMs, !reply.retry);
    this.#warnPause(registry, pauseMs, reply.status);
    return later(pauseMs, 'rate-limited');
  }

  #warnPause(registry: Registry, pauseMs: number, status: string): void {
    this.#options.log.warn(
      { event: 'registry_paused', registry, pauseMs, status },
      'A registry refuses or fails; it is not asked for a while',
    );
  }

  async #keepAnswer(question: Question, replied: Replied & { via: 'rdap' | 'whois' }, reply: OkReply): Promise<Result> {
    const { address } = question;
    const feed = reply.geofeed === null ? null : await this.#feed(reply.geofeed, address, reply);
    const entry: RegistryEntry = {
      range: rangeText(clippedTo(reply.range, address.ip, address.family)),
      word: { ...this.#word(replied, 'ok'), range: rangeText(reply.range), country: reply.country, ...noteOf(reply) },
      feed,
      expiresAtMs: this.#expiry(feed?.problem === undefined ? GOOD_MS : NONE_MS),
    };
    await this.#options.cache.write(question.network, entry);
    return { entry };
  }

  /** Nothing, for this address alone: what lies beside it may well have an entry. */
  async #keepNone(question: Question, replied: Replied & { via: 'rdap' | 'whois' }): Promise<Result> {
    const { ip, family } = question.address;
    const isPlaceholder = replied.reply.status === 'not-authoritative';
    const entry: RegistryEntry = {
      range: `${ip}/${family === 4 ? 32 : 128}`,
      word: { ...this.#word(replied, 'none'), ...(isPlaceholder ? { note: 'not_authoritative' } : {}) },
      feed: null,
      expiresAtMs: this.#expiry(NONE_MS),
    };
    await this.#options.cache.write(question.network, entry);
    return { entry };
  }

  #word({ registry, host, via }: Replied & { via: 'rdap' | 'whois' }, status: RegistryWord['status']): RegistryWord {
    const atMs = this.#options.clock();
    return { registry, status, via, server: host, range: null, country: null, geofeed: null, atMs };
  }

  /** A tenth earlier or later, so that what was asked together does not end together. */
  #expiry(ms: number): number {
    const random = this.#options.random ?? Math.random;
    return Math.round(this.#options.clock() + ms * (0.9 + 0.2 * random()));
  }

  async #feed(url: string, address: ValidAddress, { range }: OkReply): Promise<RegistryEntry['feed']> {
    const waitMs = this.#feedBudget(new URL(url).hostname).take();
    if (waitMs > 0) throw new BudgetSpent(waitMs);
    const { signal, done } = deadline(FEED_MS);
    try {
      return { url, ...(await fetchFeed(url, address, range, { transport: this.#transport, signal })) };
    } finally {
      done();
    }
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

function later(afterMs: number, why: string): Result {
  return { later: { kind: 'later', afterMs: Math.max(LEAST_RETRY_MS, afterMs), why } };
}

const noteOf = ({ note }: OkReply): { note?: string } => (note === undefined ? {} : { note });

function covers(entry: RegistryEntry, address: ValidAddress): boolean {
  const range = parseRange(entry.range);
  return range !== null && holds(range, address.ip, address.family);
}

function sizeOfText(text: string): bigint {
  const range = parseRange(text);
  return range === null ? 0n : sizeOf(range);
}

/** The entry's word for this very address: rows of a geofeed may be smaller than the entry. */
function wordFor({ word, feed }: RegistryEntry, address: ValidAddress): RegistryWord {
  return feed === null ? word : { ...word, geofeed: matchFeed(feed.url, feed, address) };
}
