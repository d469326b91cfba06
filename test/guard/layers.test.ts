/** The layers of docs/architecture.md: who may import whom, types included, and no cycles anywhere. */
import { builtinModules } from 'node:module';
import { describe, expect, test } from '@jest/globals';
import { importsOf, isOurs, resolveImport, type Source, sources } from './source.ts';

interface Layer {
  readonly name: string;
  readonly files: RegExp;
  /** Our own files that it may import. */
  readonly ours: RegExp;
  /** Packages and Node modules that it may import; all of them when left out. */
  readonly packages?: RegExp;
}

const NONE = /^(?!)/;
const adapter = (room: string): Layer => ({
  name: `src/${room}`,
  files: new RegExp(`^src/${room}/`),
  ours: new RegExp(`^src/(${room}/|ports\\.ts$|desk-ports\\.ts$|domain/|errors\\.ts$)`),
});

/** Small tools without an I/O of ours: for the roots and the entries, not for adapters (which are given a Log). */
const TOOLS = 'log\\.ts|release\\.ts|case-of\\.ts';
const WORDS = 'ports\\.ts|desk-ports\\.ts|domain\\/|errors\\.ts';
const ROOTS = 'bouncer\\.ts|desk\\.ts|console\\.ts|index\\.ts|worker\\.ts|sweep\\.ts|registry-worker\\.ts|ingest\\.ts';
const under = (...rooms: readonly string[]) => new RegExp(`^src/(${rooms.join('|')})`);

/** The first one that fits counts. */
const LAYERS: readonly Layer[] = [
  { name: 'errors', files: /^src\/errors\.ts$/, ours: NONE, packages: NONE },
  { name: 'domain', files: /^src\/domain\//, ours: /^src\/(domain\/|errors\.ts$)/, packages: NONE },
  { name: 'ports', files: /^src\/(desk-)?ports\.ts$/, ours: /^src\/(domain\/|ports\.ts$)/, packages: NONE },
  {
    name: 'effects',
    files: /^src\/(detect|tally|recheck|asker|evidence)\.ts$/,
    ours: /^src\/(ports\.ts|desk-ports\.ts|tally\.ts|domain\/|errors\.ts)/,
    packages: /^node:/,
  },
  {
    name: 'notification effects',
    files: /^src\/notify-(send|mail)\.ts$/,
    ours: under(WORDS),
    packages: /^(node:|standardwebhooks$)/,
  },
  {
    name: 'notification roots',
    files: /^src\/notify(-worker|-question)?\.ts$/,
    ours: under('notify-(send|mail|question)\\.ts', 'redis/', 'queue/', 'web/user-link\\.ts', TOOLS, WORDS),
  },
  ...['geo', 'redis', 'queue', 'web', 'console', 'ingest', 'php'].map(adapter),
  { name: 'tools', files: /^src\/(log|release|case-of)\.ts$/, ours: under(WORDS) },
  {
    name: 'web composition root',
    files: /^src\/(bouncer|index)\.ts$/,
    ours: under(
      'bouncer\\.ts',
      'session-admin\\.ts',
      'web/',
      'console/',
      'console\\.ts',
      'desk\\.ts',
      'user-answers\\.ts',
      'notify\\.ts',
      'review',
      'redis/',
      'queue/',
      'detect\\.ts',
      TOOLS,
      WORDS,
    ),
  },
  {
    name: 'worker composition root',
    files: /^src\/(worker|worker-desk|worker-php|sweep|registry-worker)\.ts$/,
    ours: under(
      'worker-desk\\.ts',
      'worker-php\\.ts',
      'php/',
      'geo/',
      'redis/',
      'queue/',
      'detect\\.ts',
      'recheck\\.ts',
      'asker\\.ts',
      'evidence\\.ts',
      'notify',
      TOOLS,
      WORDS,
    ),
  },
  {
    name: 'ingest composition root',
    files: /^src\/ingest\.ts$/,
    ours: under('ingest/', 'redis/', 'queue/', TOOLS, WORDS),
  },
  {
    name: 'review',
    files: /^src\/(review\.ts$|review\/|session-admin\.ts$)/,
    ours: under('review\\.ts', 'review\\/', 'session-admin\\.ts', WORDS),
    packages: /^node:/,
  },
  {
    name: 'desk composition root',
    files: /^src\/(desk|desk-privacy|console|user-answers)\.ts$/,
    ours: under(
      'desk\\.ts',
      'desk-privacy\\.ts',
      'review',
      'notify\\.ts',
      'session-admin\\.ts',
      'console/',
      'redis/',
      'queue/',
      'web/',
      'bouncer\\.ts',
      TOOLS,
      WORDS,
    ),
  },
  {
    name: 'cli',
    files: /^src\/cli\//,
    ours: new RegExp(
      `^(src/(cli/|geo/|redis/|queue/|review\\.ts|notify\\.ts|session-admin\\.ts|${ROOTS}|${TOOLS}|${WORDS})|config/|workers/)`,
    ),
  },
  { name: 'workers', files: /^workers\//, ours: new RegExp(`^(workers/|src/(${ROOTS}|${TOOLS}|${WORDS})|config/)`) },
  { name: 'config', files: /^config\//, ours: /^(config\/|src\/(errors\.ts$|domain\/))/ },
];

const GEO_AND_WORKER =
  /^(src\/geo\/|src\/(registry-)?worker\.ts|src\/ingest|src\/cli\/|workers\/|maxmind|mmdb-lib|geoip-lite|@ip-location-db\/)/;
const FRAMEWORKS = /^(express|express-session|fastify|@fastify\/.*|koa|koa-.*|hono|@hono\/.*)(\/|$)/;

const all = sources('src', 'workers', 'config');
const byFile = new Map(all.map((each) => [each.file, each]));

function targets(from: Source, lazy = true): string[] {
  const imports = importsOf(from).filter((each) => lazy || each.lazy !== true);
  return imports.map(({ specifier }) => resolveImport(from.file, specifier));
}

function breaks(from: Source): string[] {
  const layer = LAYERS.find((each) => each.files.test(from.file));
  if (layer === undefined) return [`${from.file} is in no layer: give it one in this test and in docs/architecture.md`];
  const allowed = (target: string) => {
    if (isOurs(target)) return layer.ours.test(target);
    // Only geo code may choose a package at run time (the optional databases); a web process never reaches it.
    if (target === '(computed)') return layer.name === 'src/geo';
    return layer.packages?.test(target) ?? true;
  };
  return targets(from)
    .filter((target) => !allowed(target))
    .map((target) => `${from.file} (${layer.name}) must not import ${target}`);
}

/** Everything that a file loads, with one way to it: `a -> b -> c`; without `lazy`, only what is loaded with it. */
function reach(start: string, lazy: boolean): Map<string, string> {
  const ways = new Map([[start, start]]);
  for (const [file, way] of ways) {
    const from = byFile.get(file);
    for (const target of from ? targets(from, lazy) : []) {
      if (!ways.has(target)) ways.set(target, `${way} -> ${target}`);
    }
  }
  return ways;
}

function waysTo(start: string, forbidden: RegExp, { lazy } = { lazy: true }): string[] {
  return [...reach(start, lazy)].filter(([target]) => forbidden.test(target)).map(([, way]) => way);
}

function cycles(): string[] {
  const state = new Map<string, 'open' | 'done'>();
  const found: string[] = [];
  const visit = (file: string, way: readonly string[]): void => {
    if (state.get(file) === 'done') return;
    if (state.get(file) === 'open') {
      found.push([...way.slice(way.indexOf(file)), file].join(' -> '));
      return;
    }
    state.set(file, 'open');
    const from = byFile.get(file);
    for (const target of from === undefined ? [] : targets(from)) if (byFile.has(target)) visit(target, [...way, file]);
    state.set(file, 'done');
  };
  for (const { file } of all) visit(file, []);
  return found;
}

describe('layers', () => {
  test('every import is one that its layer may make', () => {
    expect(all.length).toBeGreaterThan(0);
    expect(all.flatMap(breaks)).toEqual([]);
  });

  test('ports are types only', () => {
    const ports = byFile.get('src/ports.ts') as Source;
    expect(importsOf(ports).filter(({ typeOnly }) => !typeOnly)).toEqual([]);
    const values = (ports.tree.body as { type: string; declaration?: { type: string }; typeOnly?: boolean }[])
      .filter(({ type }) => type === 'ExportDeclaration')
      .map(({ declaration }) => declaration?.type)
      .filter((type) => type !== 'TsInterfaceDeclaration' && type !== 'TsTypeAliasDeclaration');
    expect(values).toEqual([]);
  });

  test('no cycles, types included', () => {
    expect(cycles()).toEqual([]);
  });

  test('a relative import names a file that exists, with its extension', () => {
    const missing = all.flatMap((from) =>
      targets(from)
        .filter((target) => isOurs(target) && /\.tsx?$/.test(target) && !byFile.has(target))
        .concat(targets(from).filter((target) => isOurs(target) && !/\.(tsx?|json)$/.test(target)))
        .map((target) => `${from.file} -> ${target}`),
    );
    expect(missing).toEqual([]);
  });

  test('Node modules are imported as node:*', () => {
    const bare = new Set(builtinModules.filter((name) => !name.startsWith('node:')));
    const found = all.flatMap((from) =>
      targets(from)
        .filter((target) => bare.has(target))
        .map((t) => `${from.file}: ${t}`),
    );
    expect(found).toEqual([]);
  });
});

describe('a web process', () => {
  test.each(['src/index.ts', 'src/bouncer.ts'])('%s exists', (file) => {
    expect(byFile.has(file)).toBe(true);
  });

  test.each(['src/index.ts', 'src/bouncer.ts'])('%s never reaches geo code, a worker or the command', (file) => {
    expect(waysTo(file, GEO_AND_WORKER)).toEqual([]);
  });

  // The console is made with one; whoever mounts it loads it then.
  test.each(['src/index.ts', 'src/bouncer.ts'])('%s loads no framework with it', (file) => {
    expect(waysTo(file, FRAMEWORKS, { lazy: false })).toEqual([]);
    expect(waysTo(file, FRAMEWORKS).filter((way) => !/ -> src\/console\/mounted\.ts -> /.test(way))).toEqual([]);
  });
});
