/** From the theft to the owner's answer: shop, worker, the app's mailer behind a webhook, the link, the page, the desk. */

import { describe, expect, test } from '@jest/globals';
import express from 'express';
import { redisIncidents } from '../../src/redis/incidents.ts';
import { keysFor } from '../../src/redis/keys.ts';
import type { UserAnswersOptions } from '../../src/user-answers.ts';
import { connect, testPrefix, until } from '../support/index.ts';
import { openReceiver, SECRET } from '../support/receiver.ts';
import { ADDRESS, openShop } from '../support/shop.ts';
import { openWorker } from '../support/worker.ts';

const SECRETS = ['a'.repeat(32)];
const PATH = '/was-this-you';

async function theft(answers: Partial<UserAnswersOptions> = {}) {
  const prefix = testPrefix();
  const shop = await openShop(prefix, {
    bouncer: { openPaths: [PATH] },
    routes: (app, bouncer) => {
      // As many apps have it: the form has been read before we see it.
      app.use(express.urlencoded({ extended: false }));
      app.use(PATH, bouncer.userAnswers({ secrets: SECRETS, ...answers }).express());
    },
  });
  const [mailer, siem] = [await openReceiver(), await openReceiver()];
  await openWorker(prefix, {
    webhooks: [
      { url: mailer.url, secret: SECRET, events: ['user.question'] },
      { url: siem.url, secret: SECRET },
    ],
    userLinks: { url: shop.url + PATH, secrets: SECRETS },
  });
  const incidents = redisIncidents(connect(), keysFor(prefix), 1e9);
  const alice = shop.browser(ADDRESS.london);
  await alice.login('alice');
  const thief = shop.browser(ADDRESS.lagos);
  // Until the first login has been learned, the other one would be the first.
  await until(async () =>
    (await shop.bouncer.sessions.list('alice')).some(({ countries }) => countries.includes('GB')),
  );
  await thief.login('alice');
  // A bounced browser gets a new session: what counts is what becomes of the old one.
  const cookie = await thief.jar.getCookieString(shop.url);
  const stolen = async () => {
    const headers = { cookie, 'x-forwarded-for': ADDRESS.lagos, accept: 'text/html' };
    const response = await fetch(`${shop.url}/me`, { headers, redirect: 'manual' });
    return response.status === 200 ? ((await response.json()) as { user: unknown }).user : `status ${response.status}`;
  };
  await until(async () => (await stolen()) === 'status 303');
  await until(() => mailer.received.length === 1);
  const { link = '', text = '' } = (mailer.received[0]?.data ?? {}) as Record<string, string>;
  const press = (answer: string) => {
    const t = new URL(link).searchParams.get('t') ?? '';
    return fetch(shop.url + PATH, { method: 'POST', body: new URLSearchParams({ t, answer }) });
  };
  const stored = async () => (await incidents.list({ userId: 'alice' }, 1)).incidents[0];
  return { shop, siem, alice, thief, stolen, link, text, press, stored };
}

describe('"Was this you?"', () => {
  test('yes: the case is safe and the place is learned; the ended session stays ended', async () => {
    const { shop, siem, thief, stolen, link, text, press, stored } = await theft();
    expect(text).toContain(link);
    const scanner = await fetch(link);
    expect([scanner.status, (await scanner.text()).includes('Nigeria')]).toEqual([200, true]);
    expect(await stored()).toMatchObject({ status: 'open' });
    expect((await press('yes')).status).toBe(200);
    expect(await stored()).toMatchObject({ status: 'safe', resolvedBy: 'user' });
    expect(await stolen()).toBe('status 303');
    await until(() => siem.received.some(({ type }) => type === 'incident.answered'));
    expect(siem.received.find(({ type }) => type === 'incident.answered')?.data).toMatchObject({
      userId: 'alice',
      answer: 'safe',
      by: 'user',
    });
    expect(await shop.bouncer.audit.list(5)).toMatchObject([
      { what: 'answer', by: 'user', outcome: 'safe, taught' },
      { what: 'answer', by: 'user', outcome: 'safe' },
    ]);
    expect((await press('no')).status).toBe(410);
    // The gate lets whoever was bounced see the page as well.
    expect((await thief.get(`${PATH}?t=x`)).status).toBe(410);

    const again = shop.browser(ADDRESS.lagos);
    await again.login('alice');
    await until(async () => {
      const found = await shop.bouncer.sessions.list('alice');
      return found.filter(({ countries }) => countries.includes('NG')).length === 1;
    });
    expect(await again.user()).toBe('alice');
  });

  test('no: the case is confirmed; the owner stays signed in', async () => {
    const { alice, stolen, press, stored } = await theft();
    expect((await press('no')).status).toBe(200);
    expect(await stored()).toMatchObject({ status: 'confirmed', resolvedBy: 'user' });
    expect(await stolen()).toBe('status 303');
    expect(await alice.user()).toBe('alice');
  });

  test('with giveBack, a yes makes the same session live again', async () => {
    const { stolen, press } = await theft({ giveBack: true });
    expect((await press('yes')).status).toBe(200);
    expect(await stolen()).toBe('alice');
  });
});
