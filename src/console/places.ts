/** Countries as a person reads them, and how far apart two places are. */

import { createRequire } from 'node:module';
import { geoArea, geoCentroid, geoDistance } from 'd3-geo';
import { feature } from 'topojson-client';
import type { GeometryCollection, GeometryObject, Topology } from 'topojson-specification';
import type { Country, Evidence, Place, Sighting } from '../domain/types.ts';
import { countryName, plain } from './kit.tsx';

type Point = readonly [longitude: number, latitude: number];

const EARTH_RADIUS_KM = 6371;
/** e.g. `Germany (DE)`, `United Kingdom (GB) or United States (US)`. What is no code is shown as the text that it is. */
export function countryList(codes: readonly Country[]): string {
  const named = codes.map((code) => (isCode(code) ? `${countryName(code)} (${code})` : plain(code, 8)));
  const last = named.pop() ?? '';
  return named.length === 0 ? last : `${named.join(', ')} or ${last}`;
}

const isCode = (code: string) => /^[A-Z]{2}$/.test(code);

export interface Distance {
  readonly km: number;
  readonly from: string;
  readonly to: string;
  /** What was measured: never a house, and mostly the middle of a country. */
  readonly between: string;
}

/** More than these would hide the rest of the page. */
const MAX_DISTANCES = 6;

/** From each place that was known to where the login was seen. Empty where nothing has a place on the map. */
export function distancesOf(places: readonly Place[], sighting: Sighting): Distance[] {
  if (sighting.kind !== 'located') return [];
  const seen = seenPoints(sighting.evidence, sighting.candidates);
  const known = [...new Set(places.flatMap(({ countries }) => countries))];
  return known.flatMap((from) => seen.flatMap((to) => distance(from, to))).slice(0, MAX_DISTANCES);
}

interface Seen {
  readonly name: string;
  readonly what: string;
  readonly point: Point;
}

/** The coordinates of a city database where one gave them for a candidate; else the middles of the candidates. */
function seenPoints(evidence: readonly Evidence[], candidates: readonly Country[]): Seen[] {
  for (const { latitude, longitude, country, database } of evidence) {
    if (latitude === undefined || longitude === undefined || country === null) continue;
    if (!candidates.includes(country)) continue;
    return [{ name: countryName(country), what: `the coordinates of ${database}`, point: [longitude, latitude] }];
  }
  return candidates.flatMap((code) => {
    const point = middleOf(code);
    const name = countryName(code);
    return point === null ? [] : [{ name, what: `the middle of ${name}`, point }];
  });
}

function distance(country: Country, to: Seen): Distance[] {
  const from = middleOf(country);
  if (from === null) return [];
  const km = geoDistance([...from], [...to.point]) * EARTH_RADIUS_KM;
  const name = countryName(country);
  return [{ km: Math.round(km), from: name, to: to.name, between: `the middle of ${name} and ${to.what}` }];
}

const middles = new Map<Country, Point | null>();

/** Of its largest piece of land: French Guiana must not pull France into the Atlantic. Null where the atlas has none. */
export function middleOf(country: Country): Point | null {
  const known = middles.get(country);
  if (known !== undefined) return known;
  const found = middleOfLargest(country);
  // Any text may be asked for; only what is on the map is remembered.
  if (found !== null) middles.set(country, found);
  return found;
}

function middleOfLargest(country: Country): Point | null {
  atlas ??= readAtlas();
  const geometries = atlas.shapes.get(country);
  if (geometries === undefined) return null;
  const { features } = feature(atlas.topology, { type: 'GeometryCollection', geometries: [...geometries] });
  let largest: Polygon | null = null;
  let largestArea = 0;
  for (const piece of features.flatMap(({ geometry }) => piecesOf(geometry))) {
    const area = geoArea(piece);
    if (area > largestArea) [largest, largestArea] = [piece, area];
  }
  return largest === null ? null : geoCentroid(largest);
}

interface Named {
  readonly name: string;
}
type World = Topology<{ readonly countries: GeometryCollection<Named> }>;
type Shape = GeometryObject<Named>;

interface Atlas {
  readonly topology: World;
  /** Australia has two. */
  readonly shapes: ReadonlyMap<Country, readonly Shape[]>;
}

let atlas: Atlas | null = null;

/** world-atlas, at a scale at which the small countries are there too. Shapes are unpacked one by one: all would take long. */
function readAtlas(): Atlas {
  const topology = createRequire(import.meta.url)('world-atlas/countries-50m.json') as World;
  const shapes = new Map<Country, Shape[]>();
  for (const shape of topology.objects.countries.geometries) {
    const { name = '' } = (shape.properties ?? {}) as Partial<Named>;
    const code = codeOf(shape.id, name);
    if (code !== null) shapes.set(code, [...(shapes.get(code) ?? []), shape]);
  }
  return { topology, shapes };
}

/** The atlas names countries by UN M.49 numbers, for which Intl has the letters. Kosovo has no number. */
export function codeOf(id: string | number | undefined, name: string): Country | null {
  if (id === undefined) return name === 'Kosovo' ? 'XK' : null;
  return new Intl.Locale(`und-${String(id).padStart(3, '0')}`).region ?? null;
}

interface Polygon {
  readonly type: 'Polygon';
  coordinates: number[][][];
}

function piecesOf(geometry: { readonly type: string }): Polygon[] {
  const { type, coordinates } = geometry as { readonly type: string; readonly coordinates: number[][][][] };
  if (type === 'MultiPolygon') return coordinates.map((one) => ({ type: 'Polygon', coordinates: one }));
  return type === 'Polygon' ? [geometry as Polygon] : [];
}
