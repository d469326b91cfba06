/** Each page of the review desk in a real browser: its picture, its width on a telephone, the keyboard, axe-core, hostile text. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from '@jest/globals';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { CHROMIUM, newPerson, openChromium, type Person, tabTo, tooWide, violations } from '../support/chromium.ts';
import { addHostile, HOSTILE } from '../support/hostile.ts';
import { connect } from '../support/index.ts';
import {
  type Account,
  logIn,
  morning,
  openReviewStage,
  PASSWORD,
  type ReviewStage,
  signIn,
  untilBounced,
  WINDOWS,
} from '../support/review-stage.ts';
import { projectRoot } from '../support/spawn.ts';

/** The paths of the desk's pages by the names of their pictures. */
const pagesOf = (caseId: string): Readonly<Record<string, string>> => ({
  overview: '/',
  incidents: '/incidents?status=all',
  incident: `/incidents/${caseId}`,
  user: '/user?id=alice',
  address: '/address?address=102.89.34.7',
  network: '/network?network=102.89.34.0%2F24',
  lists: '/lists',
  notifications: '/notifications',
  privacy: '/privacy?user=alice',
  audit: '/audit',
});

const UPDATE = process.env.UPDATE_IMAGES === '1';
const [WIDTH, HEIGHT] = [1280, 800];
/** What would be cut in the middle of its map. */
const TALL: Readonly<Record<string, number>> = { overview: 1120 };

function pageTests(): void {
  let browser: Browser;
  let stage: ReviewStage;
  let stolen: { caseId: string; thief: Person };
  let paths: readonly string[];
  /** Those of the stand-alone desk, and what else people see. */
  let urls: readonly string[];
  const people: Person[] = [];

  async function signedIn(name: Account, options: BrowserContextOptions = {}): Promise<Page> {
    const one = await newPerson(browser, options);
    people.push(one);
    await signIn(one.page, stage, name);
    return one.page;
  }

  beforeAll(async () => {
    [browser, stage] = await Promise.all([openChromium(), openReviewStage()]);
    await morning(stage);
    const thief = await newPerson(browser, { userAgent: WINDOWS });
    people.push(thief);
    await logIn(thief.page, stage.shop, 'alice', 'lagos');
    await untilBounced(thief.page, true);
    stolen = { thief, caseId: new URL(thief.page.url()).searchParams.get('case') ?? '' };
  }, 90_000);

  test('each has its picture', async () => {
    const otto = await signedIn('otto');
    await otto.goto(`${stage.desk}/address?address=177.33.20.10`);
    await otto.selectOption('#entry-list', 'block');
    await otto.fill('#entry-why', 'three accounts in one night');
    await otto.click('main button:text-is("Add")');
    const taken = new Map<string, Buffer>();
    for (const [name, path] of Object.entries(pagesOf(stolen.caseId))) {
      await otto.setViewportSize({ width: WIDTH, height: TALL[name] ?? HEIGHT });
      await otto.goto(stage.desk + path);
      taken.set(name, await otto.screenshot());
    }
    taken.set('gotcha', await stolen.thief.page.screenshot());
    const dark = await signedIn('anna', { colorScheme: 'dark' });
    await dark.goto(`${stage.desk}/incidents`);
    taken.set('incidents-dark', await dark.screenshot());
    for (const [name, png] of taken) {
      expect([name, png.readUInt32BE(16), png.readUInt32BE(20)]).toEqual([name, WIDTH, TALL[name] ?? HEIGHT]);
      // An empty page of this size has 5 kB.
      expect(png.length).toBeGreaterThan(12_000);
      // 200 kB are kept at most; elsewhere other fonts may make it more.
      expect(png.length).toBeLessThan(UPDATE ? 200_000 : 400_000);
      if (UPDATE) writeFileSync(join(projectRoot, 'docs/images', `${name}.png`), png);
    }
  });

  test('on a telephone a row of a table is a few lines high, whatever browser it names', async () => {
    const otto = await signedIn('otto', { viewport: { width: 390, height: 844 } });
    const heights: Record<string, number> = {};
    for (const path of [`/incidents/${stolen.caseId}`, '/user?id=alice']) {
      await otto.goto(stage.desk + path);
      const rows = otto.locator('tbody tr:has(bdi)');
      const each = await rows.evaluateAll((all) => all.map((row) => row.getBoundingClientRect().height));
      heights[path] = Math.max(0, ...each);
    }
    // Five lines have 110 pixels or so; squeezed into what a screen leaves it, a browser's name has fourteen.
    expect(Object.values(heights).filter((pixels) => pixels === 0 || pixels > 190)).toEqual([]);
  });

  test.each([true, false])('the keyboard is enough, with JavaScript: %s', async (scripts) => {
    const one = await newPerson(browser, { javaScriptEnabled: scripts });
    people.push(one);
    const { page } = one;
    await page.goto(`${stage.desk}/`);
    await tabTo(page, 'input[name=name]');
    await page.keyboard.type('anna');
    await tabTo(page, 'input[name=password]');
    await page.keyboard.type(PASSWORD);
    await page.keyboard.press('Enter');
    await page.waitForURL(`${stage.desk}/`);
    await tabTo(page, 'nav a[href="/incidents"]');
    await page.keyboard.press('Enter');
    await page.waitForURL(`${stage.desk}/incidents`);
    // The last one: not that whose picture is taken.
    const caseId = await page.locator('tbody tr').last().locator('a.code').first().textContent();
    await tabTo(page, `a[href="/incidents/${caseId}"]`);
    await page.keyboard.press('Enter');
    await page.waitForURL(/\/incidents\/[0-9A-Z-]+$/);
    await tabTo(page, 'input[name=disposition]');
    await page.keyboard.press('Space');
    for (const _ of ['safe', 'dismissed']) await page.keyboard.press('ArrowDown');
    await tabTo(page, 'textarea[name=note]');
    await page.keyboard.type('looked at without a mouse');
    await tabTo(page, '#answer button[type=submit]');
    await page.keyboard.press('Enter');
    await page.waitForSelector('.flash');
    expect(await page.textContent('.flash')).toContain('Answered: dismissed.');
    expect(await page.textContent('#answer')).toContain('looked at without a mouse');
  });

  test('a viewer reads all of it and finds no form that writes, but the one to sign out', async () => {
    const vera = await signedIn('vera');
    for (const path of Object.values(pagesOf(stolen.caseId))) {
      expect([path, (await vera.goto(stage.desk + path))?.status()]).toEqual([path, 200]);
      expect([path, await vera.locator('main form[method=post]').count()]).toEqual([path, 0]);
    }
  });

  describe('with hostile text in every field that an outsider may fill', () => {
    beforeAll(async () => {
      const { caseId, user } = await addHostile(connect(stage.redisUrl), stage.prefix);
      const query = new URLSearchParams({ id: user }).toString();
      const others = [`/incidents/${caseId}`, `/user?${query}`, '/confirm?back=/', '/nowhere'];
      const hostileFilter = `/incidents?${new URLSearchParams({ user: HOSTILE, country: HOSTILE })}`;
      paths = [...Object.values(pagesOf(stolen.caseId)), ...others, hostileFilter];
      const elsewhere = ['/gotcha', '/desk/', '/login'].map((path) => stage.shop + path);
      urls = [...paths.map((path) => stage.desk + path), ...elsewhere];
    });

    test('axe-core finds nothing serious, in light and in dark', async () => {
      const otto = await signedIn('otto');
      const found: Record<string, string[]> = {};
      for (const url of urls) {
        await otto.goto(url);
        const bad = await violations(otto);
        if (bad.length > 0) found[url.slice(0, 80)] = bad;
      }
      await otto.context().clearCookies();
      await otto.goto(`${stage.desk}/sign-in`);
      expect({ ...found, signIn: await violations(otto) }).toEqual({ signIn: [] });
      // It does find what is wrong.
      await otto.evaluate('document.documentElement.lang = ""; document.querySelector("h1").style.color = "#eee"');
      expect((await violations(otto)).join()).toMatch(/color-contrast[\s\S]*html-has-lang/);
    }, 90_000);

    test.each([true, false])('nothing is wider than a telephone, with JavaScript: %s', async (javaScriptEnabled) => {
      const viewport = { width: 390, height: 844 };
      const otto = await signedIn('otto', { viewport, javaScriptEnabled });
      const wide: Record<string, number> = {};
      for (const url of urls) {
        await otto.goto(url);
        const pixels = await tooWide(otto);
        if (pixels > 0) wide[url.slice(0, 80)] = pixels;
      }
      await otto.context().clearCookies();
      await otto.goto(`${stage.desk}/sign-in`);
      expect([wide, await tooWide(otto)]).toEqual([{}, 0]);
    });

    test('it is shown as text, and nothing of it becomes part of a page', async () => {
      const otto = await signedIn('otto');
      let shown = 0;
      for (const path of paths) {
        await otto.goto(stage.desk + path);
        const text = (await otto.textContent('body')) ?? '';
        if (text.includes('<script>alert(1)</script>')) shown += 1;
        const strange =
          'main script, main img, main [onerror], main [onmouseover], main [onload], a[href^="javascript:"]';
        expect([path, await otto.locator(strange).count()]).toEqual([path, 0]);
      }
      // The queue, both its own pages, lists and audit.
      expect(shown).toBeGreaterThanOrEqual(5);
    });
  });

  test('nobody met a dialog, an error, or something that the policies of the pages refused', () => {
    expect(people.length).toBeGreaterThan(5);
    expect(people.flatMap(({ troubles }) => troubles)).toEqual([]);
  });
}

if (CHROMIUM !== null) describe('in a real browser', pageTests);
else
  test('NOT RUN, because no Chromium is installed here: the pages of the review desk in a real browser', () => {
    console.warn('No chromium, chromium-browser or google-chrome was found: nothing was looked at in a browser.');
    expect(CHROMIUM).toBeNull();
  });
