import { CITIES, type City, SPECIAL_PLACES } from '../cities.ts';
import { frame, Html, html } from './html.ts';

export const USERS: readonly string[] = ['alice', 'bob', 'carol'];

export function loginPage(problem = ''): Html {
  return frame({
    title: 'Sign in · Harbour',
    here: 'app',
    live: false,
    main: html`<main class="narrow"><h1>Sign in</h1>
<p class="lead">Anyone may be anyone here, from anywhere: it is a demo, so nobody asks for a password.</p>
${problem === '' ? '' : html`<p class="problem" role="alert">${problem}</p>`}
<form class="card" method="post" action="/login">
<fieldset><legend>Who are you?</legend><div class="people">${USERS.map(person)}</div></fieldset>
<fieldset><legend>Where are you?</legend><div class="cities">${CITIES.map(city)}</div></fieldset>
<fieldset><legend>Or somewhere in between</legend><div class="specials">${SPECIAL_PLACES.map(special)}</div></fieldset>
<button class="go">Sign in</button></form></main>`,
  });
}

const checked = (is: boolean) => new Html(is ? ' checked' : '');

function person(name: string, index: number): Html {
  return html`<label class="choice person"><input type="radio" name="user" value="${name}" required${checked(index === 0)}>
<span class="face ${name}" aria-hidden="true">${name.slice(0, 1).toUpperCase()}</span>${name}</label>`;
}

function city({ id, name, country }: City, index: number): Html {
  return html`<label class="choice"><input type="radio" name="city" value="${id}" required${checked(index === 0)}>
<span>${name}</span><span class="code">${country ?? ''}</span></label>`;
}

function special({ id, name, note }: City): Html {
  return html`<label class="choice"><input type="radio" name="city" value="${id}">
<span>${name}<small>${note ?? ''}</small></span></label>`;
}
