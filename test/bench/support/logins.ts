/**
 * The logins that the benches report. Users live in one country each and use one address family; they log in from
 * changing networks of their country (so that most logins have something to teach), a few from another country. The
 * addresses are real: found with the project's own databases, and kept only where both databases agree.
 */
import { openChain } from '../../../src/geo/chain.ts';
import type { Locator } from '../../../src/ports.ts';
import { random } from './stats.ts';

const COUNTRIES = ['AU', 'BR', 'DE', 'FR', 'GB', 'IN', 'JP', 'NL', 'PL', 'US'] as const;
type Home = (typeof COUNTRIES)[number];

/** Addresses by country and family, each of a network of its own. */
export type Places = Readonly<Record<string, { readonly v4: readonly string[]; readonly v6: readonly string[] }>>;

const SEED = 20_260_601;
const PER_FAMILY = 300;
const TRIES = 400_000;
/** Where the registries hand out most of IPv6: first groups, in hexadecimal. */
const V6_STARTS = [0x2400, 0x2404, 0x2409, 0x2600, 0x2601, 0x2607, 0x2800, 0x2804, 0x2a00, 0x2a01, 0x2a02, 0x2a03];

const BROWSERS = [
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36',
  'Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1',
  'Mozilla/5.0 (X11; Linux x86_64; rv:141.0) Gecko/20100101 Firefox/141.0',
];

export async function findPlaces(): Promise<Places> {
  const log = { debug() {}, info() {}, warn() {}, error() {} };
  const locator = await openChain({ log, clock: Date.now });
  const next = random(SEED);
  const v4 = collect(locator, () => [next, next, next, next].map((r) => Math.floor(r() * 256)).join('.'));
  const v6 = collect(locator, () => {
    const start = V6_STARTS[Math.floor(next() * V6_STARTS.length)] ?? 0x2a00;
    const groups = [start, ...[next, next, next].map((r) => Math.floor(r() * 65_536))];
    return `${groups.map((group) => group.toString(16)).join(':')}::1`;
  });
  return Object.fromEntries(COUNTRIES.map((home) => [home, { v4: v4[home], v6: v6[home] }]));
}

function collect(locator: Locator, draw: () => string): Record<Home, string[]> {
  const found = Object.fromEntries(COUNTRIES.map((home) => [home, [] as string[]])) as Record<Home, string[]>;
  const networks = new Set<string>();
  let missing = COUNTRIES.length;
  for (let i = 0; i < TRIES && missing > 0; i++) {
    const sighting = locator.locate(draw());
    if (sighting.kind !== 'located' || !sighting.agreed || networks.has(sighting.network)) continue;
    const list = found[sighting.candidates[0] as Home];
    if (list === undefined || list.length === PER_FAMILY) continue;
    networks.add(sighting.network);
    if (list.push(sighting.address) === PER_FAMILY) missing--;
  }
  const poor = COUNTRIES.filter((home) => found[home].length < 20);
  if (poor.length > 0) throw new Error(`The databases know too few addresses on which both agree in: ${poor}`);
  return found;
}

export interface BenchLogin {
  readonly userId: string;
  readonly address: string;
  readonly userAgent: string;
  /** From another country than the user's: to be revoked. */
  readonly away: boolean;
}

export class Crowd {
  readonly #places: Places;
  readonly #random: () => number;
  readonly #users: number;
  readonly #awayShare: number;

  constructor(places: Places, users: number, awayShare: number, seed: number) {
    this.#places = places;
    this.#users = users;
    this.#awayShare = awayShare;
    this.#random = random(SEED + seed);
  }

  /** A random user, mostly at home. */
  next(): BenchLogin {
    return this.login(this.#below(this.#users), this.#random() < this.#awayShare);
  }

  /** The same user always lives in the same country. */
  login(user: number, away: boolean): BenchLogin {
    const home = user % COUNTRIES.length;
    const country = COUNTRIES[away ? (home + 1 + this.#below(COUNTRIES.length - 1)) % COUNTRIES.length : home] ?? 'GB';
    // Three of ten are IPv6 users. The families are compared apart, so nobody changes it here.
    const family = Math.floor(user / COUNTRIES.length) % 10 < 7 ? 'v4' : 'v6';
    const addresses = this.#places[country]?.[family] ?? [];
    return {
      userId: `user-${user}`,
      address: addresses[this.#below(addresses.length)] ?? '',
      userAgent: BROWSERS[user % BROWSERS.length] ?? '',
      away,
    };
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }
}
