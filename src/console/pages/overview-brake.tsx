/** The safety brake: does it hold, why, and how it is let go. */

import type { Overview } from '../../desk-ports.ts';
import type { BrakeCounts, BrakeTrip } from '../../domain/brake.ts';
import { MAX_NOTE } from '../inputs.ts';
import { type Ctx, mayAct, PostForm, Time, withQuery } from '../kit.tsx';
import { number, plural } from '../words.ts';

export function BrakePanel({ c, overview }: { c: Ctx; overview: Overview }) {
  return (
    <section id="brake" aria-labelledby="brake-title">
      <h2 id="brake-title">Safety brake</h2>
      <State c={c} overview={overview} />
    </section>
  );
}

function State({ c, overview: { brake, lastTrip } }: { c: Ctx; overview: Overview }) {
  switch (brake.kind) {
    case 'off':
      return <p>It is off: each worker observes, or was told to have none.</p>;
    case 'enforcing':
      return (
        <>
          <p>It does not hold: sessions are ended.</p>
          {lastTrip === null ? null : (
            <p class="soft">
              It last held from <Time ms={lastTrip.atMs} /> (UTC): <Cause trip={lastTrip} />
            </p>
          )}
        </>
      );
    case 'tripped':
      return (
        <>
          <p>
            <strong>
              It holds since <Time ms={brake.trip.atMs} /> (UTC): no session is ended.
            </strong>{' '}
            <Cause trip={brake.trip} />
          </p>
          <p>
            Look first whether a database was replaced shortly before, and whether{' '}
            <a href={c.var.base + withQuery('/incidents', { status: 'all', brake: 'held' })}>what it held</a> is right.
            What was held back stays as it is; only logins from now on are ended.
          </p>
          <Reset c={c} />
        </>
      );
  }
}

const share = ({ revokes, logins }: BrakeCounts) => `${plural(revokes, 'user')} in ${number(logins)} logins`;

function Cause({ trip: { why, window, day } }: { trip: BrakeTrip }) {
  const cause =
    why === 'share' ? 'Too large a share was to be ended' : 'Far more were to be ended than in the day before';
  return <>{`${cause}: ${share(window)} in the window, ${share(day)} in the day.`}</>;
}

function Reset({ c }: { c: Ctx }) {
  if (!mayAct(c.var.actor.role, 'admin')) return <p>Somebody with the role admin can let it go.</p>;
  return (
    <PostForm c={c} action="/brake/reset" needs="admin" fresh class="row">
      <div>
        <label for="brake-why">Why it may be let go</label>
        <input id="brake-why" name="why" required maxlength={MAX_NOTE} autocomplete="off" />
      </div>
      <button type="submit" class="danger">
        Let it go: end sessions again
      </button>
    </PostForm>
  );
}
