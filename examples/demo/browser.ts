/** A browser without a window: a cookie jar over plain HTTP, with the headers that browsers send. */
import { type IncomingHttpHeaders, request } from 'node:http';
import { CookieJar } from 'tough-cookie';

export interface Answer {
  readonly status: number;
  /** The `Location` header, or ''. */
  readonly location: string;
  readonly body: string;
}

interface Ask {
  readonly method?: 'GET' | 'POST';
  readonly form?: Readonly<Record<string, string>>;
  /** As a page's script asks, not as a person who opens a page. */
  readonly api?: boolean;
  /** In place of the jar's. */
  readonly cookie?: string;
}

export class Browser {
  readonly #base: string;
  readonly #userAgent: string;
  readonly #signal: AbortSignal;
  readonly #jar = new CookieJar();

  constructor(base: string, userAgent: string, signal: AbortSignal) {
    this.#base = base;
    this.#userAgent = userAgent;
    this.#signal = signal;
  }

  cookies(): Promise<string> {
    return this.#jar.getCookieString(this.#base);
  }

  logIn(user: string, city: string): Promise<Answer> {
    return this.ask('/login', { method: 'POST', form: { user, city } });
  }

  /** Redirects are not followed: the story looks at them. */
  async ask(path: string, { method = 'GET', form, api = false, cookie }: Ask = {}): Promise<Answer> {
    const url = new URL(path, this.#base);
    const body = form === undefined ? '' : new URLSearchParams(form).toString();
    const headers = {
      'User-Agent': this.#userAgent,
      Accept: api ? 'application/json' : 'text/html,application/xhtml+xml',
      'Sec-Fetch-Mode': api ? 'cors' : 'navigate',
      Cookie: cookie ?? (await this.cookies()),
      ...(form === undefined ? {} : { 'Content-Type': 'application/x-www-form-urlencoded' }),
      'Content-Length': Buffer.byteLength(body),
    };
    const answer = await send(url, method, headers, body, this.#signal);
    for (const line of answer.headers['set-cookie'] ?? []) await this.#jar.setCookie(line, url.href);
    return { status: answer.status, location: answer.headers.location ?? '', body: answer.body };
  }
}

interface Sent {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

function send(url: URL, method: string, headers: object, body: string, signal: AbortSignal): Promise<Sent> {
  return new Promise((resolve, reject) => {
    const req = request(url, { method, headers: { ...headers }, signal }, (res) => {
      const chunks: Buffer[] = [];
      res.on('data', (chunk: Buffer) => chunks.push(chunk));
      res.on('error', reject);
      res.on('end', () => {
        resolve({ status: res.statusCode ?? 0, headers: res.headers, body: Buffer.concat(chunks).toString() });
      });
    });
    req.on('error', reject);
    req.end(body);
  });
}
