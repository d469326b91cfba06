/** A real browser, where the machine has one: Debian's Chromium, driven over its own protocol. Nothing is downloaded. */
import { spawnSync } from 'node:child_process';
import axe from 'axe-core';
import { type Browser, type BrowserContext, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { release } from './index.ts';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome'];

/** The first that starts (of Ubuntu's there may be a stub that only says how to install it); null: none. */
export const CHROMIUM: string | null =
  NAMES.find((name) => spawnSync(name, ['--version'], { timeout: 20_000 }).status === 0) ?? null;

export async function openChromium(): Promise<Browser> {
  const found = spawnSync('sh', ['-c', `command -v ${CHROMIUM}`], { encoding: 'utf8' }).stdout.trim();
  // Without its sandbox, which needs more rights than a container gives: it sees pages of this project only.
  const browser = await chromium.launch({ executablePath: found, chromiumSandbox: false });
  release(() => browser.close());
  return browser;
}

const WINDOW = { width: 1280, height: 800 };

/** A person at a browser of their own: no cookie is shared with anybody. */
export interface Person {
  readonly page: Page;
  readonly context: BrowserContext;
  /** What must not happen: dialogs, script errors, what the pages' policy refused, requests to elsewhere. */
  readonly troubles: readonly string[];
}

export async function newPerson(browser: Browser, options: BrowserContextOptions = {}): Promise<Person> {
  const context = await browser.newContext({ viewport: WINDOW, reducedMotion: 'reduce', ...options });
  context.setDefaultTimeout(15_000);
  const page = await context.newPage();
  const troubles: string[] = [];
  page.on('dialog', (dialog) => {
    troubles.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on('pageerror', (error) => troubles.push(`error: ${error.message}`));
  page.on('console', (said) => {
    // That a page was answered with 401 or 409 is no trouble of the page.
    if (said.type() === 'error' && !said.text().startsWith('Failed to load resource')) troubles.push(said.text());
  });
  page.on('request', (request) => {
    if (!/^(http:\/\/127\.0\.0\.1:|data:)/.test(request.url())) troubles.push(`elsewhere: ${request.url()}`);
  });
  return { page, context, troubles };
}

/**
 * What axe-core calls serious or critical, one line each: all its rules in light, and those about colours again in dark.
 * Needs a page on which scripts run.
 */
export async function violations(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  const light = await axeRun(page, { resultTypes: ['violations'] });
  await page.emulateMedia({ colorScheme: 'dark' });
  const dark = await axeRun(page, { resultTypes: ['violations'], runOnly: ['color-contrast', 'link-in-text-block'] });
  await page.emulateMedia({ colorScheme: 'light' });
  return [...light, ...dark.map((line) => `dark: ${line}`)];
}

async function axeRun(page: Page, options: axe.RunOptions): Promise<string[]> {
  const { violations: found } = (await page.evaluate(`axe.run(${JSON.stringify(options)})`)) as axe.AxeResults;
  return found
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .flatMap(({ id, nodes }) => nodes.slice(0, 3).map(({ html }) => `${id}: ${html.slice(0, 160)}`));
}

/** By how many pixels the page is wider than its window; 0: nothing is to be scrolled sideways. */
export async function tooWide(page: Page): Promise<number> {
  const [width, window] = (await page.evaluate('[document.documentElement.scrollWidth, innerWidth]')) as number[];
  return Math.max(0, (width ?? 0) - (window ?? 0));
}

/** Tab by Tab until the focus is there, as who has no mouse; where it is must be seen. */
export async function tabTo(page: Page, selector: string): Promise<void> {
  const where = `(() => { const at = document.activeElement; const { outlineStyle, boxShadow } = getComputedStyle(at);
    return at.matches(${JSON.stringify(selector)}) ? outlineStyle + boxShadow : null; })()`;
  for (let presses = 0; presses < 80; presses += 1) {
    await page.keyboard.press('Tab');
    const shown = await page.evaluate(where);
    if (shown === 'nonenone') throw new Error(`The focus cannot be seen at ${selector}`);
    if (shown !== null) return;
  }
  throw new Error(`The keyboard does not reach ${selector}`);
}
