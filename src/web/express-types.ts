/** What we use of an Express (4 or 5) request; structural, so that nothing of Express is imported. */
export interface ExpressRequest {
  method: string;
  url: string;
  originalUrl?: string;
  headers: Record<string, string | string[] | undefined>;
  socket: { remoteAddress?: string | undefined };
  sessionID?: string;
  session?: unknown;
  sessionStore?: unknown;
  /** cookie-parser's; express-session takes it where it has none of its own. */
  readonly secret?: unknown;
}

export interface ExpressResponse {
  statusCode: number;
  setHeader(name: string, value: string | readonly string[]): unknown;
  getHeader(name: string): number | string | string[] | undefined;
  end(body?: string): unknown;
}
