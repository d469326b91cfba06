/** What a login was, in words for people: from closed sets only, because a mail of ours must not carry a stranger's text. */

import type { Reason } from './reasons.ts';

/** Made when the first place is named: it takes megabytes, and most workers never name one. */
let names: Intl.DisplayNames | undefined;

/** `Nigeria`; where the sources differ, `Nigeria or Ghana`. */
export function placeWords(countries: readonly string[]): string {
  names ??= new Intl.DisplayNames(['en'], { type: 'region', fallback: 'code' });
  const nameOf = (code: string): string => names?.of(code) ?? code;
  const places = countries.filter((code) => /^[A-Z]{2}$/.test(code)).map(nameOf);
  return places.length === 0 ? 'a place we could not determine' : places.join(' or ');
}

/** The first that fits counts: most browsers name others as well. */
const BROWSERS: readonly (readonly [RegExp, string])[] = [
  [/\bEdg(e|A|iOS)?\//, 'Edge'],
  [/\bOPR\//, 'Opera'],
  [/\bSamsungBrowser\//, 'Samsung Internet'],
  [/\b(Firefox|FxiOS)\//, 'Firefox'],
  [/\b(Chrome|CriOS)\//, 'Chrome'],
  [/\bVersion\/[\d.]+ .*\bSafari\//, 'Safari'],
];
const SYSTEMS: readonly (readonly [RegExp, string])[] = [
  [/\b(iPhone|iPad|iPod)\b/, 'iOS'],
  [/\bAndroid\b/, 'Android'],
  [/\bWindows NT\b/, 'Windows'],
  [/\bMac OS X\b/, 'macOS'],
  [/\bCrOS\b/, 'ChromeOS'],
  [/\bLinux\b/, 'Linux'],
];

/** What happened, as far as we know it: who reads "a new place" of a session that was copied answers another question. */
export function signInWords(reason: Reason, account: string): string {
  if (reason === 'session_reused') {
    return `Two browsers came with the same session of ${account}: it may have been copied. The second one came like this:`;
  }
  if (reason === 'anonymous_network')
    return `Someone signed in to ${account} through a network that hides where they are.`;
  const isUnknown = reason === 'unlocatable' || reason === 'special_address';
  return `Someone signed in to ${account} from a place that we ${isUnknown ? 'could not determine' : 'do not know from you'}.`;
}

/** `Firefox on Windows`. Only what the browser says of itself, which anybody may say. */
export function deviceWords(userAgent: string | undefined): string {
  const find = (known: typeof BROWSERS) =>
    known.find(([pattern]) => pattern.test((userAgent ?? '').slice(0, 512)))?.[1];
  const [browser, system] = [find(BROWSERS), find(SYSTEMS)];
  if (browser === undefined) return system === undefined ? 'an unknown device' : `a device with ${system}`;
  return system === undefined ? browser : `${browser} on ${system}`;
}

/** `22 November 2026, 08:03 UTC`. */
export function timeWords(atMs: number): string {
  const at = new Date(atMs);
  const month = at.toLocaleString('en', { month: 'long', timeZone: 'UTC' });
  return `${at.getUTCDate()} ${month} ${at.getUTCFullYear()}, ${at.toISOString().slice(11, 16)} UTC`;
}

/** e.g. `950 ms`, `12 s`, `5 min`, `3 h`, `2 d`; whole units, rounded down. */
export function span(ms: number): string {
  const units = [
    [86_400_000, 'd'],
    [3_600_000, 'h'],
    [60_000, 'min'],
    [1000, 's'],
  ] as const;
  const [size, name] = units.find(([size]) => Math.abs(ms) >= size) ?? [1, 'ms'];
  return `${Math.trunc(ms / size)} ${name}`;
}
