/** A session cookie with a path of its own: a request elsewhere has no session, and nothing is wrong. */
import { createServer } from 'node:http';
import { expect, test } from '@jest/globals';
import express from 'express';
import session from 'express-session';
import { createBouncer } from '../../src/index.ts';
import { listening } from '../contract/frameworks/express.ts';
import { captureLog, release, testPrefix, testRedisUrl } from '../support/index.ts';

const OPTIONS = {
  secret: 'not a secret in a test',
  resave: false,
  saveUninitialized: false,
  cookie: { path: '/account' },
};

type How = 'express' | 'gate' | 'foreign store';

/** The levels of what the gate has told after two requests outside the cookie's path, and one inside. */
async function toldBy(how: How): Promise<string[]> {
  const log = captureLog();
  const bouncer = createBouncer({ redis: testRedisUrl(), prefix: testPrefix(), log });
  const app = express();
  if (how !== 'express') app.use(session(how === 'gate' ? { ...OPTIONS, store: bouncer.store(session) } : OPTIONS));
  app.use(how === 'gate' ? bouncer.gate() : bouncer.express(session, OPTIONS));
  app.use((_req, res) => void res.end('ok'));
  const { url, close } = await listening(createServer(app));
  release(close);
  release(() => bouncer.close());
  for (const path of ['/', '/', '/account']) expect(await (await fetch(url + path)).text()).toBe('ok');
  const told = log.entries.filter(({ fields }) => (fields as { event?: string }).event === 'gate_without_store');
  return told.map(({ level }) => level);
}

test.each<[How, string[]]>([
  ['express', []],
  ['gate', ['warn']],
  ['foreign store', ['error']],
])('%s tells %j', async (how, levels) => {
  expect(await toldBy(how)).toEqual(levels);
});
