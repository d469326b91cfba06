/**
 * `npm run bench -- NAME [--json] [--rounds N] [--scale X]`: our side and a peer, measured in one run, in turn, against a
 * Redis server of the bench's own (`locate` and `accuracy` need none; `accuracy` takes `--csv FILE [--database FILE ...]`). With `--json` the last line of stdout is one JSON object; without, a table.
 */
import { parseArgs } from 'node:util';
import { accuracy } from './accuracy.ts';
import { bounce } from './bounce.ts';
import { enqueue } from './enqueue.ts';
import { gate } from './gate.ts';
import { ingest } from './ingest.ts';
import { locate } from './locate.ts';
import { php } from './php.ts';
import { review } from './review.ts';
import { type Bench, type BenchOptions, table } from './support/report.ts';
import { survival } from './survival.ts';
import { worker } from './worker.ts';

const BENCHES: Readonly<Record<string, Bench>> = {
  worker,
  enqueue,
  gate,
  bounce,
  survival,
  locate,
  accuracy,
  review,
  ingest,
  php,
};

/** A bench that hangs is a failure, not a wait. */
const LIMIT_MS = 6 * 60_000;

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      json: { type: 'boolean' },
      rounds: { type: 'string' },
      scale: { type: 'string' },
      csv: { type: 'string' },
      database: { type: 'string', multiple: true },
    },
  });
  const [name = ''] = positionals;
  const bench = Object.hasOwn(BENCHES, name) ? BENCHES[name] : undefined;
  if (bench === undefined)
    throw new Error(`Which bench? ${Object.keys(BENCHES).join(', ')} (e.g. npm run bench -- gate)`);
  setTimeout(() => {
    console.error(`bench ${name}: not done after ${LIMIT_MS / 60_000} minutes`);
    process.exit(1);
  }, LIMIT_MS).unref();
  const result = await bench(optionsOf(values));
  console.log(values.json ? JSON.stringify(result) : table(result));
}

interface Values {
  readonly rounds?: string | undefined;
  readonly scale?: string | undefined;
  readonly csv?: string | undefined;
  readonly database?: string[] | undefined;
}

function optionsOf(values: Values): BenchOptions {
  const rounds = values.rounds === undefined ? null : Number(values.rounds);
  const scale = Number(values.scale ?? 1);
  if (rounds !== null && !(Number.isInteger(rounds) && rounds > 0)) throw new Error('--rounds: give a whole number');
  if (!(scale > 0 && scale <= 10)) throw new Error('--scale: give a number above 0, at most 10');
  return {
    rounds,
    scale,
    csv: values.csv,
    databases: values.database,
    say: (line) => process.stderr.write(`${line}\n`),
  };
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
