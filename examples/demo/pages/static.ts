/** What the pages load. No outside address is ever asked. */
import { readFileSync } from 'node:fs';

export const STYLE = readFileSync(new URL('./style.css', import.meta.url), 'utf8');
export const ICON = readFileSync(new URL('./icon.svg', import.meta.url), 'utf8');

/**
 * Only to see things sooner: without it the pages reload themselves. It asks for the page itself, not for data: the first
 * refused request takes the session cookie away, so a page that was asked for after a refused `/api/me` would be bounced no
 * more, and nobody would see the gotcha page.
 */
export const SCRIPT = `'use strict';
const every = (ms, look) => setTimeout(async () => { if (await look().catch(() => true)) every(ms, look); }, ms);

const pulse = document.querySelector('[data-poll] span');
let asked = 0;
if (pulse) every(400, async () => {
  const from = performance.now();
  const answer = await fetch(location.href, { headers: { Accept: 'text/html' } });
  if (answer.redirected) { location.assign(answer.url); return false; }
  asked += 1;
  pulse.textContent = 'This session is alive: asked ' + asked + (asked === 1 ? ' time' : ' times')
    + ', last answer ' + answer.status + ' in ' + Math.round(performance.now() - from) + ' ms.';
  return true;
});
`;
