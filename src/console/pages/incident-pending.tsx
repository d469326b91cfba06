/** An answer that was begun and not carried out: whoever opens the case is told, and may complete it. */

import { type IncidentRecord, isLeft } from '../../domain/incident.ts';
import { type Ctx, incidentPath, PostForm } from '../kit.tsx';
import { isAnswerable } from './answer-form.tsx';

export function Pending({ c, incident }: { c: Ctx; incident: IncidentRecord }) {
  const { id, status, pending } = incident;
  if (pending === undefined || status === 'open' || !isLeft(incident, c.var.nowMs)) return null;
  const giveBack = status === 'safe' && pending.giveBack === true;
  const values = { disposition: status, ...(giveBack ? { giveBack: 'yes' } : {}) };
  return (
    <>
      <p role="alert">
        This answer stands, but what follows from it may not all be done: something failed, or the process died over it.
        {status === 'confirmed' ? ' The login may still live.' : ''}
      </p>
      {/* Given again, that of the user's link would be overruled by it: the form below is for an answer of one's own. */}
      {isAnswerable(incident) ? null : (
        <PostForm
          c={c}
          action={`${incidentPath(id)}/answer`}
          values={values}
          needs="analyst"
          fresh={status === 'confirmed' || giveBack}
        >
          <button type="submit">Complete the answer</button>
        </PostForm>
      )}
    </>
  );
}
