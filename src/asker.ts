import type { Incident } from './domain/incident.ts';
import type { LoginEvent, UnlocatableWhy } from './domain/types.ts';
import { errorName } from './errors.ts';
import type { Incidents, Locator, Log, RegistryAsk, RegistryAsks } from './ports.ts';

/** Which logins the registries are asked about (what comes of it: src/evidence.ts), on the login worker's side. */
export interface AskerDeps {
  readonly locator: Locator;
  readonly incidents: Pick<Incidents, 'existing'>;
  readonly asks: RegistryAsks;
  readonly log: Log;
  caseOf(lid: string): string;
}

/**
 * What is about the address, and may be located after all. Where our own data is missing, stale or damaged every login would
 * be asked about: that is put right by the operator, not by the registries.
 */
const WORTH_ASKING: UnlocatableWhy = 'no_data';

/** Flagged logins whose batch is still under way; those of a batch that failed are found again by their case numbers. */
const MAX_NOTED = 10_000;

interface Batch {
  readonly jobId: string;
  readonly queuedAtMs: number;
  readonly startedBefore: boolean;
}

/** The login worker's side: puts the logins of a batch that need more evidence on the queue. */
export class Asker {
  readonly #deps: AskerDeps;
  readonly #flagged = new Map<string, RegistryAsk>();

  constructor(deps: AskerDeps) {
    this.#deps = deps;
  }

  /** To be called for each new incident. */
  noteIncident(incident: Incident): void {
    const ask = askFor(incident);
    if (ask === null) return;
    if (this.#flagged.size >= MAX_NOTED) this.#flagged.clear();
    this.#flagged.set(incident.lid, ask);
  }

  /** To be called after a batch has been decided. Never throws: without the evidence an incident is as good as before. */
  async askAbout(logins: readonly LoginEvent[], batch: Batch): Promise<void> {
    try {
      const again = batch.startedBefore ? await this.#recorded(logins) : [];
      const asks = [...again, ...logins.flatMap((login) => this.#askOf(login, batch.queuedAtMs) ?? [])];
      if (asks.length > 0) await this.#deps.asks.add(`${batch.jobId}-registry`, asks);
    } catch (error) {
      this.#deps.log.warn(
        { event: 'registry_ask_failed', error: errorName(error) },
        'Logins could not be queued for the registries; they stay as decided',
      );
    }
  }

  #askOf(login: LoginEvent, queuedAtMs: number): RegistryAsk | null {
    const flagged = this.#flagged.get(login.lid);
    if (flagged !== undefined) {
      this.#flagged.delete(login.lid);
      return flagged;
    }
    // A signal is decided whatever its country.
    if (login.signal !== undefined) return null;
    const sighting = this.#deps.locator.locate(login.address, login.addressProblem);
    if (sighting.kind !== 'unlocatable' || sighting.why !== WORTH_ASKING || login.address === null) return null;
    const { flags, evidence } = sighting;
    return { kind: 'unlocatable', login, queuedAtMs, evidence, ...(flags === undefined ? {} : { flags }) };
  }

  /** A worker may have died between the record and the question: asking twice does no harm. */
  async #recorded(logins: readonly LoginEvent[]): Promise<RegistryAsk[]> {
    const unnoted = logins.filter(({ lid }) => !this.#flagged.has(lid));
    const known = await this.#deps.incidents.existing(unnoted.map(({ lid }) => this.#deps.caseOf(lid)));
    return known.flatMap((incident) => (incident === null ? [] : (askFor(incident) ?? [])));
  }
}

function askFor({ id, reason, sighting, queuedAtMs }: Incident): RegistryAsk | null {
  if (reason !== 'country_disputed' || sighting.address === null) return null;
  return { kind: 'disputed', caseId: id, address: sighting.address, queuedAtMs };
}
