/** What the pages load. No outside address is ever asked. */
import { readFileSync } from 'node:fs';

export const STYLE = readFileSync(new URL('./style.css', import.meta.url), 'utf8');
export const ICON = readFileSync(new URL('./icon.svg', import.meta.url), 'utf8');

/**
 * Only to see things sooner: without it the pages reload themselves. The first refused answer takes the session cookie away,
 * and says where its holder is to go: a page that was only reloaded then would be nobody's, and not be bounced.
 */
export const SCRIPT = `'use strict';
const every = (ms, look) => setTimeout(async () => { if (await look().catch(() => true)) every(ms, look); }, ms);

const pulse = document.querySelector('[data-poll] span');
let asked = 0;
if (pulse) every(400, async () => {
  const from = performance.now();
  const answer = await fetch('/api/me', { headers: { Accept: 'application/json' } });
  if (answer.status === 401) {
    const body = await answer.json();
    if (body.location) location.assign(body.location); else location.reload();
    return false;
  }
  asked += 1;
  pulse.textContent = 'This session is alive: asked ' + asked + (asked === 1 ? ' time' : ' times')
    + ', last answer ' + answer.status + ' in ' + Math.round(performance.now() - from) + ' ms.';
  return true;
});
`;
