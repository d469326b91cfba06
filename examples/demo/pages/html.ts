/** Pages as template strings in which everything that is not itself HTML is escaped. */
import { escapeHtml } from '../../../src/web/gotcha.ts';

/** Text that is HTML already. Only `html` makes it. */
export class Html {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

export type Part = string | number | Html | readonly Part[];

export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Html {
  return new Html(strings.map((text, i) => text + (i < parts.length ? render(parts[i] ?? '') : '')).join(''));
}

function render(part: Part): string {
  if (part instanceof Html) return part.text;
  if (typeof part === 'object') return part.map(render).join('');
  return escapeHtml(String(part));
}

export function page(content: Html): string {
  return content.text;
}

interface Frame {
  readonly title: string;
  /** Which link of the head line is this page? */
  readonly here: 'app' | 'desk';
  /** Without JavaScript the page loads itself anew. */
  readonly live: boolean;
  readonly main: Html;
}

export function frame({ title, here, live, main }: Frame): Html {
  const link = (name: Frame['here'], href: string, text: string) =>
    html`<a href="${href}"${name === here ? new Html(' aria-current="page"') : ''}>${text}</a>`;
  return html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>${title}</title><link rel="icon" href="/favicon.ico" type="image/svg+xml"><link rel="stylesheet" href="/demo.css">
${live ? html`<noscript><meta http-equiv="refresh" content="2"></noscript>` : ''}<script src="/demo.js" defer></script></head>
<body><header class="top"><a class="brand" href="/"><img src="/favicon.ico" alt="" width="28" height="28">Harbour</a>
<nav>${link('app', '/', 'Account')}${link('desk', '/desk/incidents', 'Review desk')}</nav></header>
${main}
<footer>A demo of <b>session-bouncer</b>. The people are invented, the addresses belong to real networks.</footer>
</body></html>
`;
}
