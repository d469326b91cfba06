/**
 * The story without a hand: alice logs in from London, and again from a café in London; a thief logs in as alice from
 * another country, is bounced, and looks at the gotcha page; alice notices nothing. Two cookie jars, real HTTP.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { IncidentRecord } from '../../src/domain/incident.ts';
import { Browser } from './browser.ts';
import { type City, cityById } from './cities.ts';
import type { ReviewState } from './review.ts';

export interface Step {
  /** Since the story began. */
  readonly ms: number;
  readonly who: 'alice' | 'thief' | 'worker' | 'review';
  readonly what: string;
}

export interface StoryOutcome {
  /** All of it held. */
  readonly ok: boolean;
  readonly bounced: boolean;
  readonly ownerStillIn: boolean;
  /** From the thief's login to the tombstone at his session. */
  readonly msToRevoke: number | null;
  /** From the thief's login to the first answer that refused him. */
  readonly msToBounce: number | null;
  /** Pages of alice's that the thief got to see before. */
  readonly pagesServedToThief: number;
  /** What did not hold, in words. */
  readonly failed: readonly string[];
  readonly incident: IncidentRecord | null;
  readonly timeline: readonly Step[];
}

export function failedStory(why: string): StoryOutcome {
  const nothing = { bounced: false, ownerStillIn: false, msToRevoke: null, msToBounce: null, pagesServedToThief: 0 };
  return { ok: false, ...nothing, failed: [why], incident: null, timeline: [] };
}

const HOME: City = place('london');
const CAFE: City = place('london-cafe');
const ABROAD: City = place('lagos');

function place(id: string): City {
  const city = cityById(id);
  if (city === undefined) throw new Error(`no such city: ${id}`);
  return city;
}

const ALICE_UA =
  'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Safari/605.1.15';
const THIEF_UA = 'Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0';
const POLL_MS = 5;

export async function playStory(url: string, signal: AbortSignal, onStep: (step: Step) => void): Promise<StoryOutcome> {
  const story = new Story(url, signal, onStep);
  await story.aliceAtHome();
  await story.thiefAbroad();
  await story.afterwards();
  return story.outcome();
}

class Story {
  readonly #signal: AbortSignal;
  readonly #onStep: (step: Step) => void;
  readonly #alice: Browser;
  readonly #thief: Browser;
  readonly #startMs = performance.now();
  readonly #timeline: Step[] = [];
  readonly #failed: string[] = [];
  #bouncedAtMs: number | null = null;
  #served = 0;
  #ownerStillIn = false;
  #gotcha = '';
  #incident: IncidentRecord | null = null;

  constructor(url: string, signal: AbortSignal, onStep: (step: Step) => void) {
    this.#signal = signal;
    this.#onStep = onStep;
    this.#alice = new Browser(url, ALICE_UA, signal);
    this.#thief = new Browser(url, THIEF_UA, signal);
  }

  async aliceAtHome(): Promise<void> {
    for (const city of [HOME, CAFE]) {
      const answer = await this.#alice.logIn('alice', city.id);
      this.#expect(answer.status === 303 && answer.location === '/', `alice can log in from ${city.name}`);
      this.#step('alice', `logs in from ${city.name} (${city.address}, ${city.country})`);
    }
    this.#expect(await this.#isIn(this.#alice, CAFE), 'alice is in');
    const state = await this.#review((now) => (now.counters.logins ?? 0) >= 2, 'both logins of alice are checked');
    this.#expect(state?.incidents.length === 0, 'two networks of one country are no incident');
    this.#step('worker', 'checked both: the same country, nothing to do');
  }

  async thiefAbroad(): Promise<void> {
    const answer = await this.#thief.logIn('alice', ABROAD.id);
    this.#expect(answer.status === 303 && answer.location === '/', 'the thief can log in');
    const stolen = await this.#thief.cookies();
    this.#step('thief', `logs in as alice from ${ABROAD.name} (${ABROAD.address}, ${ABROAD.country})`);
    const bounced = await this.#poll(async () => {
      const page = await this.#thief.ask('/');
      if (page.status === 200) this.#served += 1;
      return page.location.startsWith('/gotcha') ? page : null;
    });
    this.#expect(bounced !== null, 'the thief is bounced');
    if (bounced === null) return;
    this.#bouncedAtMs = Date.now();
    this.#gotcha = bounced.location;
    this.#step('thief', `is bounced to ${bounced.location}, after ${this.#served} page(s) of alice's`);
    await this.#thiefStays(stolen);
  }

  /** He follows the redirect, and then tries his old cookie by hand. */
  async #thiefStays(stolen: string): Promise<void> {
    const jar = await this.#thief.cookies();
    this.#expect(stolen.includes('harbour.sid=') && !jar.includes('harbour.sid='), 'his session cookie is cleared');
    const page = await this.#thief.ask(this.#gotcha);
    const id = this.#caseNumber();
    this.#expect(page.status === 200 && id !== '' && page.body.includes(id), 'the gotcha page shows the case number');
    this.#step('thief', 'follows, and sees the gotcha page');
    const replay = await this.#thief.ask('/api/me', { api: true, cookie: stolen });
    this.#expect(replay.status === 401 && replay.body.includes('session_ended'), 'his old cookie stays dead');
    this.#step('thief', `sends the old cookie again: ${replay.status} ${replay.body}`);
  }

  async afterwards(): Promise<void> {
    this.#ownerStillIn = await this.#isIn(this.#alice, CAFE);
    this.#expect(this.#ownerStillIn, 'alice is still in');
    if (this.#ownerStillIn) this.#step('alice', 'opens her page: still signed in, noticed nothing');
    const id = this.#caseNumber();
    const kinds = (one: IncidentRecord) => new Set(one.visits.map(({ kind }) => kind)).size;
    const find = (now: ReviewState) => now.incidents.find((one) => one.id === id && one.visitCount >= 3) ?? null;
    const state = await this.#review((now) => find(now) !== null, 'the incident is on record with three visits');
    this.#incident = (state && find(state)) ?? null;
    const one = this.#incident;
    if (one === null) return;
    this.#expect(state?.incidents.length === 1, 'there is one incident');
    this.#expect(one.userId === 'alice' && one.sighting.address === ABROAD.address, 'it names alice and the address');
    this.#expect(one.reason === 'country_changed' && one.outcome === 'revoked', 'it says what was done, and why');
    this.#expect(
      one.visits.every(({ address }) => address === ABROAD.address),
      'each visit has its address',
    );
    this.#expect(kinds(one) === 2, 'both kinds of visit are on it');
    const shown = await this.#alice.ask(`/desk/incidents/${id}`);
    this.#expect(shown.status === 200 && shown.body.includes(id), 'the review desk shows it');
    this.#step('review', `case ${id}: ${one.reason}, ${one.visitCount} visits from ${one.sighting.address}`);
  }

  outcome(): StoryOutcome {
    const one = this.#incident;
    const since = (ms: number | null | undefined) => (one && ms ? ms - one.loginAtMs : null);
    const msToRevoke = since(one?.revokedAtMs);
    this.#expect(msToRevoke !== null, 'the time of the tombstone is on record');
    return {
      ok: this.#failed.length === 0,
      bounced: this.#bouncedAtMs !== null,
      ownerStillIn: this.#ownerStillIn,
      msToRevoke,
      msToBounce: since(this.#bouncedAtMs),
      pagesServedToThief: this.#served,
      failed: this.#failed,
      incident: one,
      timeline: this.#timeline,
    };
  }

  #caseNumber(): string {
    return new URLSearchParams(this.#gotcha.split('?')[1]).get('case') ?? '';
  }

  async #isIn(browser: Browser, city: City): Promise<boolean> {
    const me = await browser.ask('/api/me', { api: true });
    return me.status === 200 && me.body === JSON.stringify({ user: 'alice', address: city.address });
  }

  /** The state of the review, as soon as it is as expected. */
  async #review(isSo: (state: ReviewState) => boolean, what: string): Promise<ReviewState | null> {
    const found = await this.#poll(async () => {
      const state = JSON.parse((await this.#alice.ask('/incidents.json', { api: true })).body) as ReviewState;
      return isSo(state) ? state : null;
    });
    this.#expect(found !== null, what);
    return found;
  }

  /** Null when it did not happen within 15 seconds. */
  async #poll<T>(look: () => Promise<T | null>): Promise<T | null> {
    const endMs = performance.now() + 15_000;
    for (;;) {
      const found = await look();
      if (found !== null || performance.now() > endMs) return found;
      await sleep(POLL_MS, undefined, { signal: this.#signal });
    }
  }

  #expect(held: boolean, what: string): void {
    if (!held) this.#failed.push(`did not hold: ${what}`);
  }

  #step(who: Step['who'], what: string): void {
    const step: Step = { ms: Math.round((performance.now() - this.#startMs) * 10) / 10, who, what };
    this.#timeline.push(step);
    this.#onStep(step);
  }
}
