/**
 * Once before all tests: one Redis for the whole run, private unless REDIS_URL names one. Jest does not transform this
 * file, so the helper's types are stripped here; that way a test file can be run without a build.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { transformFileSync } from '@swc/core';

export default async function setup() {
  const given = process.env.REDIS_URL;
  if (given) {
    process.env.TEST_REDIS_URL = given;
    // Somebody's own: the tests remove their keys from it.
    process.env.TEST_REDIS_BORROWED = '1';
    return;
  }
  const { startRedis } = await loadHelper();
  const redis = await startRedis();
  process.env.TEST_REDIS_URL = redis.url;
  globalThis.__sharedRedis = redis;
}

async function loadHelper() {
  const file = fileURLToPath(new URL('../../examples/support/private-redis.ts', import.meta.url));
  const options = {
    jsc: { target: 'es2022', parser: { syntax: 'typescript' } },
    module: { type: 'es6' },
    swcrc: false,
  };
  const { code } = transformFileSync(file, options);
  const out = new URL(`../../.cache/private-redis-${process.pid}.mjs`, import.meta.url);
  mkdirSync(new URL('.', out), { recursive: true });
  writeFileSync(out, code);
  try {
    return await import(out.href);
  } finally {
    rmSync(out);
  }
}
