/** Prints what importing a module adds to this process: resident memory, and whether geo code came with it. */
import { createRequire } from 'node:module';

await import('bullmq');
await import('ioredis');
const gc = (globalThis as { gc?: () => void }).gc;

function residentMegabytes(): number {
  gc?.();
  gc?.();
  return process.memoryUsage().rss / 1e6;
}

const before = residentMegabytes();
const target = process.argv[2];
if (target !== undefined) await import(new URL(target, import.meta.url).href);
const addedMegabytes = residentMegabytes() - before;
// CommonJS packages that got loaded; maxmind and geoip-lite are such.
const loaded = Object.keys(createRequire(import.meta.url).cache);
console.log(JSON.stringify({ addedMegabytes, geo: loaded.filter((path) => /maxmind|mmdb|geoip/.test(path)) }));
