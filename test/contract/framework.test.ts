import { expect, test } from '@jest/globals';
import { frameworkContract } from './framework.contract.ts';
import { expressFrameworks } from './frameworks/express.ts';
import { fastify5 } from './frameworks/fastify.ts';
import { hono } from './frameworks/hono.ts';
import { koaFrameworks } from './frameworks/koa.ts';
import { logoutContract } from './logout.contract.ts';

const all = [...expressFrameworks, fastify5, ...koaFrameworks, hono];

test('every framework is here', () => {
  expect(all.map(({ name }) => name)).toEqual(['express 4', 'express 5', 'fastify 5', 'koa 2', 'koa 3', 'hono']);
});

for (const framework of all) {
  frameworkContract(framework);
  logoutContract(framework);
}
