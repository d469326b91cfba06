/**
 * What a registry says of an address, at the least cost to it: from the cache (known.ts says whom an entry speaks for), from a
 * question that is under way, and only then by asking, within its budget. One question at a time for each /24 or /48, over
 * all processes that share the cache.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { networkOf, parseAddress, type ValidAddress } from '../../domain/address.ts';
import type { Registry, RegistryWord } from '../../domain/registry.ts';
import type { RegistryCache, RegistryEntry, RegistryLookup, RegistryOutcome } from '../../ports.ts';
import { registryOf } from './bootstrap.ts';
import { matchFeed } from './geofeed.ts';
import { askedWith, bestOf, isDue, isOwnOf, NOT_ASKED, speaksFor } from './known.ts';
import { clippedTo, parseRange, rangeText } from './range.ts';
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
  /** Milliseconds since the epoch. */
  readonly startedAtMs: number;
  /** Whoever asks has waited since then: what was answered later counts for it. Null: it has not waited. */
  readonly sinceMs: number | null;
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

  async lookup(text: string, waitingSinceMs?: number): Promise<RegistryOutcome> {
    const address = parseAddress(text);
    if (!address.ok || address.kind !== 'global') return { kind: 'nobody' };
    const registry = registryOf(address.ip, address.family);
    if (registry === null) return { kind: 'nobody' };
    const network = networkOf(address.ip, address.family);
    const startedAtMs = this.#options.clock();
    const sinceMs = waitingSinceMs === undefined ? null : Math.min(waitingSinceMs, startedAtMs);
    const question: Question = { address, registry, network, startedAtMs, sinceMs };
    for (;;) {
      const known = this.#flights.has(network) ? null : await this.#known(question, false);
      if (known !== null && !isDue(known, this.#options.clock()))
        return { kind: 'word', word: wordFor(known, address, startedAtMs), cached: true };
      const joined = this.#flights.get(network);
      const result = await (joined ?? this.#start(question));
      if ('later' in result) return result.later;
      const { entry } = result;
      // One who waited may lie in another, smaller object, or the entry be an old one: then it is a question of its own.
      if (joined === undefined || speaksFor(entry, address, startedAtMs, sinceMs ?? startedAtMs))
        return { kind: 'word', word: wordFor(entry, address, startedAtMs), cached: joined !== undefined };
    }
  }

  #start(question: Question): Promise<Result> {
    const flight = this.#claimAndAsk(question).finally(() => this.#flights.delete(question.network));
    this.#flights.set(question.network, flight);
    return flight;
  }

  /** `hasWaited`: what was answered since the question was put is an answer to it. */
  async #known(question: Question, hasWaited: boolean): Promise<RegistryEntry | null> {
    const { network, address, startedAtMs, sinceMs } = question;
    const { cache, clock } = this.#options;
    const fromMs = sinceMs ?? (hasWaited ? startedAtMs : Number.POSITIVE_INFINITY);
    return bestOf(await cache.read(network), address, clock(), fromMs);
  }

  async #claimAndAsk(question: Question): Promise<Result> {
    const { cache } = this.#options;
    const untilMs = Date.now() + CLAIM_MS;
    let hasWaited = false;
    while (!(await cache.claim(question.network, CLAIM_MS))) {
      if (Date.now() > untilMs) return later(LEAST_RETRY_MS, 'asked_elsewhere');
      hasWaited = true;
      await sleep(CLAIM_POLL_MS);
    }
    try {
      // Whoever held the claim before may have brought what we want.
      const known = await this.#known(question, hasWaited);
      return await this.#withFeed(question, known ?? (await this.#ask(question)));
    } catch (error) {
      // Refusals and failures are no answer about the address, and never kept.
      if (error instanceof NotNow) return later(error.afterMs, error.why);
      throw error;
    } finally {
      // If Redis is away now, the claim ends by itself.
      await cache.release(question.network).catch(() => {});
    }
  }

  /** The answer is kept before its geofeed is asked for: a question to a registry is never paid for twice. */
  async #ask(question: Question): Promise<RegistryEntry> {
    const { cache, clock } = this.#options;
    const told = await this.#upstream.ask(question.address, question.registry);
    const { reply } = told;
    if (reply.status !== 'ok') return this.#keep(question, this.#noneEntry(question, told));
    const fresh = this.#answerEntry(question, told, reply);
    const before = await cache.read(question.network);
    return this.#keep(question, askedWith(fresh, before, question.address, clock()));
  }

  async #keep({ network }: Question, entry: RegistryEntry): Promise<RegistryEntry> {
    await this.#options.cache.write(network, entry);
    return entry;
  }

  /** Throws NotNow where the geofeed's host was asked too often: then this alone is tried again. */
  async #withFeed(question: Question, entry: RegistryEntry): Promise<Result> {
    const range = entry.word.range === null ? null : parseRange(entry.word.range);
    if (!isDue(entry, this.#options.clock()) || entry.feed === null || range === null) return { entry };
    const read = await this.#upstream.feed(entry.feed.url, question.address, range);
    const feed = read.problem === undefined ? read : { ...read, retryAtMs: this.#expiry(NONE_MS) };
    return { entry: await this.#keep(question, { ...entry, feed }) };
  }

  #answerEntry({ address }: Question, told: Told, reply: OkReply): RegistryEntry {
    return {
      range: rangeText(clippedTo(reply.range, address.ip, address.family)),
      word: { ...this.#word(told, 'ok'), range: rangeText(reply.range), country: reply.country, ...noteOf(reply) },
      feed: reply.geofeed === null ? null : { url: reply.geofeed, rows: [], problem: NOT_ASKED },
      expiresAtMs: this.#expiry(GOOD_MS),
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

/** The entry's word for this very address: rows of a geofeed may be smaller than the entry. */
function wordFor(entry: RegistryEntry, address: ValidAddress, nowMs: number): RegistryWord {
  const { word, feed } = entry;
  const geofeed = feed === null ? word.geofeed : matchFeed(feed.url, feed, address);
  return { ...word, geofeed, ...(isOwnOf(entry, address, nowMs) ? {} : { isNeighbours: true }) };
}
