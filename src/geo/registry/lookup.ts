/**
 * What a registry says of an address, at the least cost to it: from the cache, from a question that is under way, and only then
 * by asking, within its budget. One question at a time for each /24 or /48, over all processes that share the cache.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { networkOf, parseAddress, type ValidAddress } from '../../domain/address.ts';
import type { Registry, RegistryWord } from '../../domain/registry.ts';
import type { RegistryCache, RegistryEntry, RegistryLookup, RegistryOutcome } from '../../ports.ts';
import { registryOf } from './bootstrap.ts';
import { matchFeed } from './geofeed.ts';
import { clippedTo, holds, parseRange, rangeText, sizeOf } from './range.ts';
import type { OkReply } from './reply.ts';
import { FEED_MS, NotNow, QUESTION_MS, type Told, Upstream, type UpstreamOptions } from './upstream.ts';

export interface LookupOptions extends UpstreamOptions {
  readonly cache: RegistryCache;
  /** 0 to below 1; for the jitter. */
  readonly random?: (() => number) | undefined;
}

const CLAIM_MS = QUESTION_MS + FEED_MS + 2000;
const CLAIM_POLL_MS = 100;

const GOOD_MS = 7 * 86_400_000;
/** Nothing found, or a geofeed that could not be read: may be different soon. */
const NONE_MS = 3_600_000;
const LEAST_RETRY_MS = 1000;

interface Question {
  readonly address: ValidAddress;
  readonly network: string;
  readonly registry: Registry;
}

/** What a question came to: an entry for all whom it covers, or why there is none, for all who waited. */
type Result = { readonly entry: RegistryEntry } | { readonly later: RegistryOutcome & { kind: 'later' } };

export class RegistryClient implements RegistryLookup {
  readonly #options: LookupOptions;
  readonly #upstream: Upstream;
  readonly #flights = new Map<string, Promise<Result>>();

  constructor(options: LookupOptions) {
    this.#options = options;
    this.#upstream = new Upstream(options);
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
      const told = await this.#upstream.ask(question.address, question.registry);
      const entry =
        told.reply.status === 'ok'
          ? await this.#answerEntry(question, told, told.reply)
          : this.#noneEntry(question, told);
      await this.#options.cache.write(question.network, entry);
      return { entry };
    } catch (error) {
      // Refusals and failures are no answer about the address, and never kept.
      if (error instanceof NotNow) return later(error.afterMs, error.why);
      throw error;
    }
  }

  async #answerEntry({ address }: Question, told: Told, reply: OkReply): Promise<RegistryEntry> {
    const feed = reply.geofeed === null ? null : await this.#upstream.feed(reply.geofeed, address, reply);
    return {
      range: rangeText(clippedTo(reply.range, address.ip, address.family)),
      word: { ...this.#word(told, 'ok'), range: rangeText(reply.range), country: reply.country, ...noteOf(reply) },
      feed,
      expiresAtMs: this.#expiry(feed?.problem === undefined ? GOOD_MS : NONE_MS),
    };
  }

  /** Nothing, for this address alone: what lies beside it may well have an entry. */
  #noneEntry({ address: { ip, family } }: Question, told: Told): RegistryEntry {
    const isPlaceholder = told.reply.status === 'not-authoritative';
    return {
      range: `${ip}/${family === 4 ? 32 : 128}`,
      word: { ...this.#word(told, 'none'), ...(isPlaceholder ? { note: 'not_authoritative' } : {}) },
      feed: null,
      expiresAtMs: this.#expiry(NONE_MS),
    };
  }

  #word({ registry, host, via }: Told, status: RegistryWord['status']): RegistryWord {
    const atMs = this.#options.clock();
    return { registry, status, via, server: host, range: null, country: null, geofeed: null, atMs };
  }

  /** A tenth earlier or later, so that what was asked together does not end together. */
  #expiry(ms: number): number {
    const random = this.#options.random ?? Math.random;
    return Math.round(this.#options.clock() + ms * (0.9 + 0.2 * random()));
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
