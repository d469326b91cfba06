import { expressWith } from './express.ts';
import { fastifyWith } from './fastify.ts';
import type { Framework } from './harness.ts';
import { koaWith } from './koa.ts';

const both = [false, true];

/** Each framework, with each of its settings that changes what is written when. */
export const FRAMEWORKS: readonly Framework[] = [
  ...both.flatMap((resave) => both.map((rolling) => expressWith({ resave, rolling }))),
  ...both.map((rolling) => fastifyWith({ rolling })),
  ...both.map((rolling) => koaWith({ rolling })),
];
