#!/usr/bin/env node
/**
 * What the compiler leaves behind: scripts, pages and tables go to the same place under dist/, the command becomes
 * executable, and a stamp says when the sources were read. `node scripts/copy-assets.mjs [out]`.
 */
import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

const ASSETS = [
  { dir: 'src', pattern: /\.(lua|html|css|svg|json)$/ },
  { dir: 'src/console/assets', pattern: /\.js$/ },
  { dir: 'config', pattern: /\.json$/ },
  { dir: 'examples', pattern: /\.(html|css|svg|json)$/ },
  { dir: 'test/support', pattern: /\.json$/ },
];

export function copyAssets(out) {
  for (const { dir, pattern } of ASSETS) {
    for (const file of filesBelow(dir)) {
      if (!pattern.test(file)) continue;
      mkdirSync(dirname(join(out, file)), { recursive: true });
      copyFileSync(join(root, file), join(out, file));
    }
  }
  const command = join(out, 'src/cli/main.js');
  if (existsSync(command)) chmodSync(command, 0o755);
}

/** The stamp's time is when the sources were read: what changes during a build is newer and built next time. */
export function writeStamp(out, readAtMs) {
  const stamp = join(out, '.stamp');
  writeFileSync(stamp, `sources as of ${new Date(readAtMs).toISOString()}\n`);
  utimesSync(stamp, readAtMs / 1000, readAtMs / 1000);
}

function filesBelow(dir) {
  if (!existsSync(join(root, dir))) return [];
  return readdirSync(join(root, dir), { withFileTypes: true }).flatMap((entry) => {
    const path = join(dir, entry.name);
    return entry.isDirectory() ? filesBelow(path) : [path];
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const startedMs = Date.now();
  const out = resolve(root, process.argv[2] ?? 'dist');
  copyAssets(out);
  writeStamp(out, startedMs);
}
