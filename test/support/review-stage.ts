/**
 * The whole house for a real browser: the demo as a process (its app with the gate and a mounted desk, its proxy, its
 * worker), and beside it `session-bouncer console` with three accounts, over the same Redis and prefix.
 */
import { scryptSync } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { privateRedis, release, spawnNode, until } from './index.ts';

export const PASSWORD = 'correct horse battery';
const SALT = Buffer.alloc(16, 7);
/** Of the lowest cost that is taken: these tests sign in often. */
const KEY = scryptSync(PASSWORD, SALT, 32, { N: 2 ** 13, r: 8, p: 1 });
const HASH = `scrypt$13$8$1$${SALT.toString('base64url')}$${KEY.toString('base64url')}`;

export const ACCOUNTS = { vera: `viewer:${HASH}`, anna: `analyst:${HASH}`, otto: `admin:${HASH}` } as const;
export type Account = keyof typeof ACCOUNTS;

export interface ReviewStage {
  /** The app, behind its proxy; its own desk is below `/desk`. */
  readonly shop: string;
  /** The stand-alone console. */
  readonly desk: string;
  /** Of the Redis that only this stage uses. */
  readonly redisUrl: string;
  readonly prefix: string;
}

export async function openReviewStage(): Promise<ReviewStage> {
  const cwd = mkdtempSync(join(tmpdir(), 'session-bouncer-browser-'));
  release(() => rmSync(cwd, { recursive: true, force: true }));
  const { url: redisUrl } = await privateRedis();
  const env = { REDIS_URL: redisUrl, NO_COLOR: '1' };
  const demo = spawnNode('examples/demo/main.js', ['--port', '0'], env, { cwd });
  // It deletes its keys when it ends by a signal.
  release(async () => void (await demo.kill('SIGTERM')));
  const [, shop = ''] = await demo.waitFor(/Open (http:\/\/\S+)/, 30_000);
  const [, prefix = ''] = await demo.waitFor(/prefix (demo-\w+)/);
  const accounts = Object.entries(ACCOUNTS).map(([name, text]) => `${name}=${text}`);
  const settings = { SESSION_BOUNCER_PREFIX: prefix, SESSION_BOUNCER_CONSOLE_ACCOUNTS: accounts.join(',') };
  const served = spawnNode('src/cli/main.js', ['console', '--console-port', '0'], { ...env, ...settings }, { cwd });
  const [, desk = ''] = await served.waitFor(/The review desk is at (http:\S+)\n/, 30_000);
  return { shop, desk, redisUrl, prefix };
}

/** Logs in by the shop's own form, as a person would. */
export async function logIn(page: Page, shop: string, user: string, city: string): Promise<void> {
  await page.goto(`${shop}/login`);
  // The label: the input itself lies below a picture.
  await page.click(`label:has(input[name=user][value=${user}])`);
  await page.click(`label:has(input[name=city][value=${city}])`);
  await page.click('button.go');
}

/** A login without a browser, for those whom nobody watches: returns when the worker is done with it. */
export async function loginByHand({ shop }: ReviewStage, user: string, city: string, userAgent: string): Promise<void> {
  const before = await checkedLogins(shop);
  const body = new URLSearchParams({ user, city });
  const headers = { 'user-agent': userAgent };
  await fetch(`${shop}/login`, { method: 'POST', body, redirect: 'manual', headers });
  await until(async () => (await checkedLogins(shop)) > before);
}

const FIREFOX = 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0';
export const WINDOWS = 'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/141.0 Safari/537.36';

/** An ordinary morning: users at home, one on a journey, thieves, and a network that the databases do not agree on. */
export async function morning(stage: ReviewStage): Promise<void> {
  for (const [user, city] of [
    ['alice', 'london'],
    ['bob', 'paris'],
    ['carol', 'new-york'],
    ['alice', 'london-cafe'],
    ['bob', 'paris'],
  ] as const) {
    await loginByHand(stage, user, city, FIREFOX);
  }
  for (const [user, city] of [
    ['carol', 'sao-paulo'],
    ['bob', 'tokyo'],
    ['carol', 'cloud'],
    ['alice', 'sydney'],
  ] as const) {
    await loginByHand(stage, user, city, WINDOWS);
  }
}

export async function checkedLogins(shop: string): Promise<number> {
  const { counters } = (await (await fetch(`${shop}/incidents.json`)).json()) as { counters: Record<string, number> };
  return counters.logins ?? 0;
}

/**
 * Until the shop has bounced this page. Its own script notices; without scripts a person opens the page again, but not once
 * more after the bounce: by then nothing is left that could be bounced.
 */
export async function untilBounced(page: Page, scripts: boolean): Promise<void> {
  await until(
    async () => {
      if (/\/gotcha\?case=/.test(page.url())) return true;
      if (!scripts) await page.reload();
      return false;
    },
    { timeoutMs: 15_000, everyMs: 50 },
  );
  await page.waitForLoadState();
}

/** Where the page loads itself anew at the same moment, the browser gives up one of the two. */
export async function openPage(page: Page, url: string): Promise<void> {
  await until(async () => (await page.goto(url)) !== null, { timeoutMs: 15_000, everyMs: 50 });
}

export async function signIn(page: Page, { desk }: ReviewStage, name: Account, path = '/'): Promise<void> {
  await page.goto(desk + path);
  await page.fill('input[name=name]', name);
  await page.fill('input[name=password]', PASSWORD);
  await page.click('main button[type=submit]');
  await page.waitForURL(desk + path);
}
