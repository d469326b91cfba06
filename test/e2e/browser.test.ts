/** The review desk in a real browser: what one person does there, another one's browser feels. With and without JavaScript. */
import { beforeAll, describe, expect, test } from '@jest/globals';
import type { Browser } from 'playwright-core';
import { openConsole } from '../../src/console.ts';
import { CHROMIUM, newPerson, openChromium, type Person } from '../support/chromium.ts';
import { captureLog, release, until } from '../support/index.ts';
import {
  ACCOUNTS,
  checkedLogins,
  logIn,
  openPage,
  openReviewStage,
  PASSWORD,
  type ReviewStage,
  signIn,
  untilBounced,
} from '../support/review-stage.ts';

/** Where the demo's café in London is. */
const CAFE = '86.140.12.34';

/** The same desk, eleven minutes from now: whoever signed in a moment ago has to say again who they are. */
async function laterDesk({ redisUrl, prefix }: ReviewStage): Promise<string> {
  const elevenMinutesMs = 11 * 60_000;
  const server = await openConsole({
    redis: redisUrl,
    prefix,
    accounts: ACCOUNTS,
    port: 0,
    log: captureLog(),
    clock: () => Date.now() + elevenMinutesMs,
  });
  release(() => server.close());
  return server.url;
}

function browserTests(): void {
  let browser: Browser;
  let stage: ReviewStage;
  let later: string;
  const people: Person[] = [];

  beforeAll(async () => {
    [browser, stage] = await Promise.all([openChromium(), openReviewStage()]);
    later = await laterDesk(stage);
  }, 60_000);

  async function person(scripts: boolean): Promise<Person> {
    const one = await newPerson(browser, { javaScriptEnabled: scripts });
    people.push(one);
    return one;
  }

  /** Owner in London, thief in Lagos, until the thief is on the gotcha page. */
  async function stolen(user: string, scripts: boolean) {
    const [owner, thief] = [await person(scripts), await person(scripts)];
    const before = await checkedLogins(stage.shop);
    await logIn(owner.page, stage.shop, user, 'london');
    await until(async () => (await checkedLogins(stage.shop)) > before);
    await logIn(thief.page, stage.shop, user, 'lagos');
    await untilBounced(thief.page, scripts);
    return { owner, thief, caseId: new URL(thief.page.url()).searchParams.get('case') ?? '' };
  }

  describe.each([
    ['with JavaScript', true, 'alice'],
    ['without JavaScript', false, 'bob'],
  ])('%s', (_, scripts, user) => {
    test('a thief is bounced, an analyst looks and answers safe, and the same browser is in again', async () => {
      const { owner, thief, caseId } = await stolen(user, scripts);
      expect(await thief.page.textContent('h1')).toBe('You have been signed out');
      expect(await thief.page.textContent('dd')).toBe(caseId);

      const anna = await person(scripts);
      await signIn(anna.page, stage, 'anna', '/incidents');
      await anna.page.click(`a:text-is("${caseId}")`);
      const shown = await anna.page.textContent('main');
      expect(shown).toContain('logs in from United Kingdom (GB) and this login came from Nigeria (NG)');
      expect(await anna.page.textContent('section.scroll[aria-label*="tried" i]')).toMatch(/GET \/[\s\S]*\/gotcha/);

      // Much later the desk wants to know again who she is, before a session is given back.
      await anna.page.goto(`${later}/incidents/${caseId}`);
      await anna.page.click('text=confirm it is you');
      await anna.page.fill('input[name=password]', PASSWORD);
      await anna.page.click('main button[type=submit]');
      await anna.page.waitForURL(`${later}/incidents/${caseId}`);
      await anna.page.check('input[name=disposition][value=safe]');
      await anna.page.fill('textarea[name=note]', 'on a journey, called back');
      await anna.page.click('#answer button:text-is("Answer")');
      expect(await anna.page.textContent('[role=status]')).toContain('The session lives again');

      await thief.page.reload();
      await thief.page.waitForURL(`${stage.shop}/`);
      expect(await thief.page.textContent('h1')).toBe(`Good to see you, ${user}`);
      await openPage(owner.page, `${stage.shop}/`);
      expect(await owner.page.textContent('h1')).toBe(`Good to see you, ${user}`);
    }, 60_000);

    test('an admin ends one session on the page of its user, and that browser is out; the other one is not', async () => {
      const [stays, goes] = [await person(scripts), await person(scripts)];
      await logIn(stays.page, stage.shop, 'carol', 'london');
      await logIn(goes.page, stage.shop, 'carol', 'london-cafe');
      const otto = await person(scripts);
      await signIn(otto.page, stage, 'otto', '/user?id=carol');
      await otto.page.check(`tr:has-text("${CAFE}") input[name=lid]`);
      await otto.page.fill('#end-why', 'a lost telephone');
      await otto.page.click('button:text-is("End the picked one")');
      expect(await otto.page.textContent('[role=status]')).toMatch(/ended/i);
      await openPage(goes.page, `${stage.shop}/`);
      // Not the gotcha page: that is for thieves.
      expect(new URL(goes.page.url()).pathname).toBe('/login');
      await openPage(stays.page, `${stage.shop}/`);
      expect(await stays.page.textContent('h1')).toBe('Good to see you, carol');
    }, 60_000);
  });

  test('nobody met a dialog, an error, or something that the policies of the pages refused', () => {
    expect(people.length).toBeGreaterThan(0);
    expect(people.flatMap(({ troubles }) => troubles)).toEqual([]);
  });
}

if (CHROMIUM !== null) describe('in a real browser', browserTests);
else
  test('NOT RUN, because no Chromium is installed here: the review desk in a real browser', () => {
    console.warn('No chromium, chromium-browser or google-chrome was found: nothing was looked at in a browser.');
    expect(CHROMIUM).toBeNull();
  });
