/** Once after all tests. A Redis named by REDIS_URL is not ours to stop. */
export default async function teardown() {
  await globalThis.__sharedRedis?.stop();
}
