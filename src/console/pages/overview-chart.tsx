/** Logins over time: one small picture for each count, with its own scale, and all of them in a table. */

import type { SeriesPoint } from '../../desk-ports.ts';
import { type Bar, barsOf, type Period, SERIES, type SeriesName, totalOf } from '../counts.ts';
import { Scroll, Time } from '../kit.tsx';
import { number } from '../words.ts';

const [WIDTH, HEIGHT] = [280, 56];

export function Charts({ points, period }: { points: readonly SeriesPoint[]; period: Period }) {
  const bars = barsOf(points, period);
  // What enforcing would do is of no interest where nobody observes.
  const shown = SERIES.filter(({ name }) => name !== 'would_revoke' || totalOf(bars, name) > 0);
  return (
    <>
      <div class="cards charts">
        {shown.map(({ name, text }) => (
          <Chart bars={bars} period={period} name={name} text={text} />
        ))}
      </div>
      <details>
        <summary>The same in numbers</summary>
        <Numbers bars={bars} shown={shown} />
      </details>
    </>
  );
}

interface ChartProps {
  readonly bars: readonly Bar[];
  readonly period: Period;
  readonly name: SeriesName;
  readonly text: string;
}

function Chart({ bars, period, name, text }: ChartProps) {
  const most = Math.max(...bars.map(({ counts }) => counts[name]));
  const total = number(totalOf(bars, name));
  return (
    <figure>
      <figcaption>
        <strong>
          {text}: {total}
        </strong>
        <small>{most === 0 ? 'none' : `at most ${number(most)} in ${period.bar}`}</small>
      </figcaption>
      <svg
        class={`chart ${name}`}
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        role="img"
        aria-label={`${text} over the ${period.text}: ${total}, in bars of ${period.bar}`}
      >
        <path
          class="bars"
          d={barsPath(
            bars.map(({ counts }) => counts[name]),
            most,
          )}
        />
        <path class="axis" d={`M0 ${HEIGHT - 0.5}H${WIDTH}`} />
      </svg>
    </figure>
  );
}

/** All bars in one path. A bar of one login is seen beside one of a million. */
function barsPath(counts: readonly number[], most: number): string {
  const step = WIDTH / counts.length;
  return counts
    .map((count, i) => {
      if (count === 0) return '';
      const height = Math.max(2, Math.round((count / most) * (HEIGHT - 2)));
      return `M${(i * step + 1).toFixed(1)} ${HEIGHT - 1}v${-height}h${(step - 2).toFixed(1)}v${height}z`;
    })
    .join('');
}

function Numbers({ bars, shown }: { bars: readonly Bar[]; shown: readonly (typeof SERIES)[number][] }) {
  return (
    <Scroll label="Logins over time">
      <table class="striped">
        <thead>
          <tr>
            <th scope="col">From (UTC)</th>
            {shown.map(({ text }) => (
              <th scope="col" class="number">
                {text}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {bars.map(({ atMs, counts }) => (
            <tr>
              <th scope="row">
                <Time ms={atMs} />
              </th>
              {shown.map(({ name }) => (
                <td class="number">{number(counts[name])}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}
