import type { TrustProxy } from '../domain/forwarded.ts';
import type { Log } from '../ports.ts';
import type { SessionEngine } from './engine.ts';
import type { Gate } from './gate.ts';
import type { RequestPorts } from './request-session.ts';
import type { IdProblem } from './strict-id.ts';

/** What an adapter is made of: the rest is its framework's names for things. */
export interface AdapterDeps {
  readonly engine: SessionEngine;
  readonly gate: Gate;
  readonly trust: TrustProxy;
  readonly log: Log;
  readonly ports: RequestPorts;
  readonly idPattern: RegExp;
  onRefusedId(problem: IdProblem): void;
}
