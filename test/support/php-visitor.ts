/** A visitor of the example site, through its proxy. Keeps every session id that it was ever given: a thief tries all. */
export interface PhpPage {
  readonly status: number;
  readonly location: string | null;
  readonly setCookie: readonly string[];
  readonly body: string;
}

const COOKIE = 'PHPSESSID';

export class PhpBrowser {
  readonly #url: string;
  readonly #address: string;
  readonly #ids = new Set<string>();
  #id: string | null = null;

  constructor(url: string, address: string) {
    this.#url = url;
    this.#address = address;
  }

  /** The newest one, as the browser would send it; null: none. */
  get sessionId(): string | null {
    return this.#id;
  }

  get sessionIds(): readonly string[] {
    return [...this.#ids];
  }

  get(path: string, { id = this.#id, accept = 'text/html' } = {}): Promise<PhpPage> {
    return this.#send(path, { method: 'GET', headers: { accept } }, id);
  }

  login(username: string, headers: Readonly<Record<string, string>> = {}): Promise<PhpPage> {
    const body = new URLSearchParams({ username, password: 'demo' });
    return this.#send('/login.php', { method: 'POST', body, headers }, this.#id);
  }

  logout(): Promise<PhpPage> {
    return this.#send('/logout.php', { method: 'POST' }, this.#id);
  }

  /** Whom a session has logged in, whatever a guard would say. */
  async user(id: string | null = this.#id): Promise<string | null> {
    const { body } = await this.get('/who', { id });
    return (JSON.parse(body) as { user: string | null }).user;
  }

  async #send(path: string, init: RequestInit, id: string | null): Promise<PhpPage> {
    const headers = new Headers(init.headers);
    headers.set('x-forwarded-for', this.#address);
    if (!headers.has('user-agent')) headers.set('user-agent', 'TestBrowser/1.0');
    if (id !== null) headers.set('cookie', `${COOKIE}=${id}`);
    const response = await fetch(this.#url + path, { ...init, headers, redirect: 'manual' });
    const setCookie = response.headers.getSetCookie();
    for (const line of setCookie) this.#take(line);
    const body = await response.text();
    return { status: response.status, location: response.headers.get('location'), setCookie, body };
  }

  #take(line: string): void {
    const value = new RegExp(`^${COOKIE}=([^;]*)`).exec(line)?.[1];
    if (value === undefined) return;
    this.#id = value === '' ? null : value;
    if (value !== '') this.#ids.add(value);
  }
}
