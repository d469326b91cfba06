/** What the pages load. No outside address is ever asked. */
import { readFileSync } from 'node:fs';

export const STYLE = readFileSync(new URL('./style.css', import.meta.url), 'utf8');
export const ICON = readFileSync(new URL('./icon.svg', import.meta.url), 'utf8');

/**
 * Only to see things sooner: without it the pages reload themselves. On the account page it asks as a page's script does
 * (a refused session gets 401) and then loads the page anew (a refused session gets the gotcha page).
 */
export const SCRIPT = `'use strict';
const every = (ms, look) => setTimeout(async () => { if (await look().catch(() => true)) every(ms, look); }, ms);

const pulse = document.querySelector('[data-poll] span');
let asked = 0;
if (pulse) every(400, async () => {
  const from = performance.now();
  const answer = await fetch('/api/me', { headers: { Accept: 'application/json' } });
  if (answer.status === 401) { location.reload(); return false; }
  asked += 1;
  pulse.textContent = 'This session is alive: asked ' + asked + (asked === 1 ? ' time' : ' times')
    + ', last answer ' + answer.status + ' in ' + Math.round(performance.now() - from) + ' ms.';
  return true;
});
`;
