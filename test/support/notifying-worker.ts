/** A process that delivers to one receiver, for a test to kill. See notifications.test.ts. */
import { Redis } from 'ioredis';
import { startNotifications } from '../../src/notify-worker.ts';
import { redisIncidents } from '../../src/redis/incidents.ts';
import { keysFor } from '../../src/redis/keys.ts';

const [url = '', prefix = '', receiver = '', secret = ''] = process.argv.slice(2);
const redis = new Redis(url, { maxRetriesPerRequest: null, replyMapping: 'legacy' });
const keys = keysFor(prefix);
const quiet = { debug() {}, info() {}, warn() {}, error() {} };
const options = { webhooks: [{ url: receiver, secret }], timeoutMs: 60_000, lockDurationMs: 500 };
const deps = { incidents: redisIncidents(redis, keys, 1e9), log: quiet, clock: Date.now };
startNotifications(redis, keys, options, deps);
