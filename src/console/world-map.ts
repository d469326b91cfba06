/** The world as shapes to draw: made once a process, in whole units of the picture, which is as fine as anybody can see. */

import { createRequire } from 'node:module';
import { type GeoProjection, geoNaturalEarth1, geoPath } from 'd3-geo';
import { feature } from 'topojson-client';
import type { GeometryCollection, Topology } from 'topojson-specification';
import type { Country } from '../domain/types.ts';
import { codeOf, middleOf } from './places.ts';

export interface Shape {
  /** Null: a territory that ISO 3166-1 has no letters for. */
  readonly code: Country | null;
  /** Of an SVG path. */
  readonly d: string;
}

export interface WorldMap {
  readonly width: number;
  readonly height: number;
  readonly shapes: readonly Shape[];
  /** Those that have a shape: of the small ones this scale of the atlas knows nothing. */
  readonly drawn: ReadonlySet<Country>;
  /** Where a mark of this country goes, also of one without a shape. Null where the atlas knows nothing of it. */
  pointOf(country: Country): readonly [x: number, y: number] | null;
}

const WIDTH = 800;
/** Nobody lives there, and it would take a fifth of the picture. */
const ANTARCTICA = '010';

type Atlas = Topology<{ readonly countries: GeometryCollection<{ readonly name: string }> }>;

let map: WorldMap | null = null;

export function worldMap(): WorldMap {
  map ??= readMap();
  return map;
}

function readMap(): WorldMap {
  const atlas = createRequire(import.meta.url)('world-atlas/countries-110m.json') as Atlas;
  const { type, features: all } = feature(atlas, atlas.objects.countries);
  const features = all.filter(({ id }) => String(id) !== ANTARCTICA);
  const projection = geoNaturalEarth1().fitWidth(WIDTH, { type, features });
  const path = geoPath(projection).digits(0);
  const shapes = features.map((one) => ({ code: codeOf(one.id, one.properties.name), d: path(one) ?? '' }));
  const [, [, bottom]] = path.bounds({ type, features });
  return {
    width: WIDTH,
    height: Math.ceil(bottom),
    shapes,
    drawn: new Set(shapes.flatMap(({ code }) => code ?? [])),
    pointOf: (country) => pointOf(projection, country),
  };
}

function pointOf(projection: GeoProjection, country: Country): readonly [number, number] | null {
  const middle = middleOf(country);
  const point = middle === null ? null : projection([...middle]);
  return point === null ? null : [Math.round(point[0]), Math.round(point[1])];
}
