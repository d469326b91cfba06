/** Lies with the examples because the demo needs it too. */
export {
  findRedisServer,
  freePort,
  type PrivateRedis,
  type PrivateRedisOptions,
  startRedis,
} from '../../examples/support/private-redis.ts';
