/**
 * An Express app that keeps its stock connect-redis: the four marked lines are all that session-bouncer adds. For
 * connect-redis 7 and 8 with ioredis, `client` is an ioredis client; the rest is the same.
 */
import { RedisStore } from 'connect-redis';
import express, { type Express } from 'express';
import session from 'express-session';
import type { RedisClientType } from 'redis';
import type { Bouncer } from '../../src/index.ts';

export function createApp(bouncer: Bouncer, client: RedisClientType, secret: string): Express {
  const app = express();
  const store = new RedisStore({ client: bouncer.guardClient(client) }); // 1: the store's client, guarded
  app.use(bouncer.context()); // 2: which calls of the store belong to one request; right before session()
  app.use(session({ store, secret, resave: false, saveUninitialized: false }));
  app.use(bouncer.gate()); // 3: the gate, and the gotcha page

  app.post('/login', async (req, res) => {
    const userId = String(req.query.user); // your own check of the password comes here
    await bouncer.login(req, { userId, data: { userId } }); // 4: a new session id, and the login's way to the worker
    res.redirect(303, '/');
  });
  app.get('/', (req, res) => {
    const { userId = null } = req.session as { userId?: string };
    res.json({ user: userId });
  });
  app.post('/logout', (req, res) => req.session.destroy(() => res.redirect(303, '/')));
  return app;
}
