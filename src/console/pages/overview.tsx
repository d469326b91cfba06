/** How things stand: what was checked and what was found, whether the workers can do their work, and what waits for a person. */

import type { Hono } from 'hono';
import type { Overview } from '../../desk-ports.ts';
import { PERIODS, type Period, type PeriodName, periodOf } from '../counts.ts';
import { MAX_NOTE, requiredText } from '../inputs.ts';
import {
  type ConsoleEnv,
  type Ctx,
  choice,
  page,
  requireFresh,
  requireRole,
  seeOther,
  Time,
  withQuery,
} from '../kit.tsx';
import { number, plural } from '../words.ts';
import { BrakePanel } from './overview-brake.tsx';
import { Charts } from './overview-chart.tsx';
import { Databases, NotChecked, Queues, WorkerTable } from './overview-health.tsx';
import { Places } from './overview-map.tsx';

const PERIOD_NAMES = Object.keys(PERIODS) as PeriodName[];

export function overviewRoutes(app: Hono<ConsoleEnv>): void {
  app.get('/', show);
  app.post('/brake/reset', requireRole('admin'), requireFresh(), resetBrake);
}

async function show(c: Ctx): Promise<Response> {
  const period = periodOf(choice(c.req.query('period'), PERIOD_NAMES) ?? 'day', c.var.nowMs);
  const overview = await c.var.desk.overview(period.fromMs, period.toMs);
  const { countries, series, queues, workers, totals } = overview;
  return page(
    c,
    { title: 'Overview', active: 'overview' },
    <>
      <h1>Overview</h1>
      <Waiting c={c} overview={overview} />
      <BrakePanel c={c} overview={overview} />
      <h2>Logins of the {period.text}</h2>
      <PeriodSwitch c={c} period={period} />
      <Charts points={series} period={period} />
      <h2>Where they came from</h2>
      <Places c={c} countries={countries} period={period} />
      <h2>Queues</h2>
      <Queues queues={queues} />
      <h2>Databases</h2>
      <Databases workers={workers} />
      <h2>Workers</h2>
      <WorkerTable workers={workers} />
      <h2>Why logins were not checked</h2>
      <NotChecked totals={totals} />
    </>,
  );
}

/** What asks for somebody. */
function Waiting({ c, overview }: { c: Ctx; overview: Overview }) {
  const { openIncidents, deadLetters, workers } = overview;
  const { base } = c.var;
  return (
    <ul class="waiting">
      <li>
        <a href={`${base}/incidents`}>{plural(openIncidents, 'open incident')}</a>
      </li>
      <li>
        {deadLetters === 0 ? (
          'Every notification was delivered'
        ) : (
          <a href={`${base}/notifications`}>{plural(deadLetters, 'notification')} could not be delivered</a>
        )}
      </li>
      <li>{workers.length === 0 ? <strong>No worker runs: no login is checked</strong> : workerWords(overview)}</li>
      <WouldHaveEnded overview={overview} />
    </ul>
  );
}

/** Whoever observes now wants to know it of nothing, too; where that is over, it is told of the time when it was so. */
function WouldHaveEnded({ overview: { wouldHaveEnded, workers, brake } }: { overview: Overview }) {
  const isObserving = brake.kind === 'tripped' || workers.some(({ mode }) => mode === 'observe');
  if (wouldHaveEnded === null && !isObserving) return null;
  const { sessions, users } = wouldHaveEnded ?? { sessions: 0, users: 0 };
  return (
    <li>
      {isObserving ? 'Observing:' : 'While workers observed or the brake held,'} enforcing would have ended{' '}
      <strong>{plural(sessions, 'session')}</strong> of {plural(users, 'user')} in this time
    </li>
  );
}

function workerWords({ workers }: Overview): string {
  const observing = workers.filter(({ mode }) => mode === 'observe').length;
  const running = `${plural(workers.length, 'worker')} at work`;
  return observing === 0 ? running : `${running}, ${number(observing)} of them only observing`;
}

function PeriodSwitch({ c, period }: { c: Ctx; period: Period }) {
  return (
    <>
      <nav aria-label="Period">
        <ul class="row">
          {PERIOD_NAMES.map((name) => (
            <li>
              <a
                href={c.var.base + withQuery('/', { period: name })}
                aria-current={name === period.name ? 'true' : undefined}
              >
                {PERIODS[name].text}
              </a>
            </li>
          ))}
        </ul>
      </nav>
      <p class="soft">
        <Time ms={period.fromMs} /> to <Time ms={period.toMs} /> (UTC)
      </p>
    </>
  );
}

async function resetBrake(c: Ctx): Promise<Response> {
  const before = await c.var.desk.resetBrake(requiredText(c.var.form, 'why', MAX_NOTE), c.var.actor);
  const said = before.kind === 'tripped' ? 'The brake is let go: sessions are ended again.' : 'The brake did not hold.';
  return seeOther(c, '/#brake', said);
}
