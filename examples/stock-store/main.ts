/** `node dist/examples/stock-store/main.js`, beside a worker (`npm run worker`) on the same Redis. */
import { randomBytes } from 'node:crypto';
import { createClient, type RedisClientType } from 'redis';
import { createBouncer } from '../../src/index.ts';
import { createApp } from './app.ts';

const redis = process.env.REDIS_URL ?? 'redis://localhost:6379';
const client = createClient({ url: redis });
client.on('error', (error: Error) => console.error(error.message));
await client.connect();
const bouncer = createBouncer({ redis, trustProxy: ['loopback'] });
const app = createApp(bouncer, client as RedisClientType, randomBytes(32).toString('hex'));
const server = app.listen(3000, '127.0.0.1', () => console.log('http://localhost:3000'));

process.once('SIGTERM', () => {
  server.close(() => {
    void bouncer.close().then(() => client.destroy());
  });
});
