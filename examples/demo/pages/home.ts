import { cityByAddress } from '../cities.ts';
import { frame, type Html, html } from './html.ts';

export interface Account {
  readonly userId: string;
  /** Where the login came from. */
  readonly address: string | null;
}

/** Something to lose. */
const NOTES: Readonly<Record<string, readonly (readonly [string, string])[]>> = {
  alice: [
    ['Spare key', 'Under the third flower pot, the blue one.'],
    ['Bank', 'Ask about the loan on Thursday. Bring the contract.'],
    ['For Bob', 'He has no idea about the party. Keep it that way.'],
  ],
  bob: [
    ['Boat', 'New rope for the jib, 12 metres.'],
    ['Lighthouse', 'Shift on the 4th swapped with Carol.'],
    ['Alice', 'Pretend to know nothing about the party.'],
  ],
  carol: [
    ['Safe', 'Not the birthday. The other one.'],
    ['Tide', 'High water 06:12. Leave before.'],
    ['Party', 'Forty people, one cake. Call the baker.'],
  ],
};

export function homePage(account: Account): Html {
  const { userId } = account;
  return frame({
    title: `${userId} · Harbour`,
    here: 'app',
    live: true,
    main: html`<main><section class="card hero"><span class="face big ${userId}" aria-hidden="true">${userId.slice(0, 1).toUpperCase()}</span>
<div><h1>Good to see you, <span class="name">${userId}</span></h1><p class="lead">${from(account)}</p>
<p class="pulse" data-poll role="status"><i aria-hidden="true"></i><span>This session is alive.</span></p></div>
<form method="post" action="/logout"><button class="quiet">Sign out</button></form></section>
<section class="notes" aria-label="Your private notes">${(NOTES[userId] ?? []).map(note)}</section>
<section class="card try"><h2>Now steal it</h2>
<ol><li>Open this site in a <b>private window</b>, or in another browser.</li>
<li>Sign in as <b>${userId}</b> from another country, and watch that window.</li>
<li>Open the <a href="/desk/incidents">review desk</a>: what was compared, how fast, and who came back. Answer it, or give the session back.</li></ol>
<p class="soft">A café in the same country, or an office VPN, must not disturb anybody: try those too.</p></section></main>`,
  });
}

function from({ address }: Account): Html {
  const city = cityByAddress(address);
  const where = city ? html`from <b>${city.name}</b>` : html`from this machine`;
  return html`Signed in ${where} · <code>${address ?? 'address unknown'}</code>`;
}

function note([title, text]: readonly [string, string]): Html {
  return html`<article class="note"><h3>${title}</h3><p>${text}</p></article>`;
}
