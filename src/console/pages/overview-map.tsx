/** Where the logins come from: a map for the eye, and the same as a table for everybody. */

import type { CountryCount } from '../../desk-ports.ts';
import type { Period } from '../counts.ts';
import { Country, type Ctx, countryName, Scroll, withQuery } from '../kit.tsx';
import { number } from '../words.ts';
import { worldMap } from '../world-map.ts';

const SHADES = 5;
const ROWS_SHOWN = 10;

interface PlacesProps {
  readonly c: Ctx;
  readonly countries: readonly CountryCount[];
  readonly period: Period;
}

export function Places({ c, countries, period }: PlacesProps) {
  const sorted = [...countries].sort((a, b) => caught(b) - caught(a) || b.checked - a.checked);
  const observed = countries.some(({ wouldRevoke = 0 }) => wouldRevoke > 0);
  return (
    <>
      <Picture countries={countries} period={period} />
      {sorted.length === 0 ? (
        <p>No login of this time could be placed in a country.</p>
      ) : (
        <CountryTable
          c={c}
          countries={sorted.slice(0, ROWS_SHOWN)}
          period={period}
          label="Countries"
          observed={observed}
        />
      )}
      {sorted.length > ROWS_SHOWN ? (
        <details>
          <summary>The other {sorted.length - ROWS_SHOWN} countries</summary>
          <CountryTable
            c={c}
            countries={sorted.slice(ROWS_SHOWN)}
            period={period}
            label="Other countries"
            observed={observed}
          />
        </details>
      ) : null}
    </>
  );
}

/** What a reviewer looks for. */
const caught = ({ flagged, revoked, wouldRevoke = 0 }: CountryCount) => flagged + revoked + wouldRevoke;

function Picture({ countries, period }: { countries: readonly CountryCount[]; period: Period }) {
  const { width, height, shapes, drawn } = worldMap();
  const most = Math.max(0, ...countries.map(({ checked }) => checked));
  const byCode = new Map(countries.map((one) => [one.country, one]));
  const shadeOf = (code: string | null) => `land s${shade(byCode.get(code ?? '')?.checked ?? 0, most)}`;
  return (
    <figure>
      <svg
        class="world"
        viewBox={`0 0 ${width} ${height}`}
        role="img"
        aria-label={`Map of the logins of the ${period.text} by country; the table below says the same`}
      >
        {shapes.map(({ code, d }) => (
          <path class={shadeOf(code)} d={d} />
        ))}
        {countries
          .filter(({ country }) => !drawn.has(country))
          .map(({ country }) => (
            <Spot country={country} radius={4} kind={shadeOf(country)} />
          ))}
        <Caught countries={countries} />
      </svg>
      <figcaption>
        <small>
          The stronger a country’s colour, the more logins were checked that came from there
          {most === 0 ? '' : ` (up to ${number(most)})`}; a ring: some were flagged or ended, the wider the more.
        </small>
      </figcaption>
    </figure>
  );
}

function Caught({ countries }: { countries: readonly CountryCount[] }) {
  const most = Math.max(1, ...countries.map(caught));
  return (
    <>
      {countries
        .filter((one) => caught(one) > 0)
        .map((one) => (
          <Spot country={one.country} radius={5 + 9 * Math.sqrt(caught(one) / most)} kind="caught" />
        ))}
    </>
  );
}

function Spot({ country, radius, kind }: { country: string; radius: number; kind: string }) {
  const point = worldMap().pointOf(country);
  if (point === null) return null;
  return <circle class={kind} cx={point[0]} cy={point[1]} r={Math.round(radius)} />;
}

/** By orders of magnitude: between a large country and a small one lies a factor of thousands. 0 for none. */
function shade(count: number, most: number): number {
  if (count <= 0) return 0;
  return Math.min(SHADES, 1 + Math.floor((SHADES * Math.log(count)) / Math.log(most + 1)));
}

interface CountryTableProps extends PlacesProps {
  readonly label: string;
  readonly observed: boolean;
}

function CountryTable({ c, countries, period, label, observed }: CountryTableProps) {
  const titles = ['Checked', 'Flagged', 'Ended', ...(observed ? ['Would have ended'] : [])];
  return (
    <Scroll label={label}>
      <table class="striped">
        <thead>
          <tr>
            <th scope="col">Country</th>
            {titles.map((title) => (
              <th scope="col" class="number">
                {title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {countries.map(({ country, checked, flagged, revoked, wouldRevoke = 0 }) => (
            <tr>
              <th scope="row">
                <Name c={c} country={country} period={period} />
              </th>
              {[checked, flagged, revoked, ...(observed ? [wouldRevoke] : [])].map((count) => (
                <td class="number">{number(count)}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}

/** With a way to its incidents. */
function Name({ c, country, period }: { c: Ctx; country: string; period: Period }) {
  if (!/^[A-Z]{2}$/.test(country)) return <Country code={country} />;
  const from = new Date(period.fromMs).toISOString().slice(0, 16);
  return (
    <a href={c.var.base + withQuery('/incidents', { country, status: 'all', from })}>
      {countryName(country)} ({country})
    </a>
  );
}
