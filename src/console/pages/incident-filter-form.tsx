/** The form above the queue of incidents. It is a GET: a filtered queue has an address to send to a colleague. */

import type { Child } from 'hono/jsx';
import { REASONS } from '../../domain/reasons.ts';
import { type Filter, type FilterField, STATUSES } from '../incident-filter.ts';
import { type Ctx, Untrusted } from '../kit.tsx';
import { canBeInput } from '../text.ts';

const LABELS: Readonly<Record<FilterField, string>> = {
  status: 'Status',
  action: 'Action',
  reason: 'Reason',
  country: 'Seen from country',
  user: 'User id',
  address: 'Address',
  network: 'Network (/24 or /48)',
  brake: 'Held by the brake',
  from: 'Decided from (UTC)',
  to: 'Decided before (UTC)',
};

export function FilterForm({ c, filter }: { c: Ctx; filter: Filter }) {
  const isOpen = Object.keys(filter.values).some((field) => field !== 'status') || filter.problems.length > 0;
  return (
    <details open={isOpen}>
      <summary>Filter</summary>
      <form method="get" action={`${c.var.base}/incidents`}>
        <div class="cards">
          <Select filter={filter} field="status" values={STATUSES} />
          <Select filter={filter} field="action" values={['', 'flag', 'revoke']} />
          <Select filter={filter} field="reason" values={['', ...Object.keys(REASONS)]} />
          <Text filter={filter} field="country" maxlength={2} placeholder="DE" />
          <Text filter={filter} field="user" maxlength={256} />
          <Text filter={filter} field="address" maxlength={64} placeholder="192.0.2.7" />
          <Text filter={filter} field="network" maxlength={64} placeholder="192.0.2.0/24" />
          <Select filter={filter} field="brake" values={['', 'held']} />
          <Text filter={filter} field="from" type="datetime-local" />
          <Text filter={filter} field="to" type="datetime-local" />
        </div>
        <div class="row">
          <button type="submit">Show</button>
          <a href={`${c.var.base}/incidents`}>Open ones, without a filter</a>
        </div>
      </form>
    </details>
  );
}

interface FieldProps {
  readonly filter: Filter;
  readonly field: FilterField;
}

/** What was wrong with a value stands at its field, where a screen reader finds it too. */
function Field({ filter, field, children }: FieldProps & { children: Child }) {
  const problem = filter.problems.find((one) => one.field === field);
  return (
    <div>
      <label for={`filter-${field}`}>{LABELS[field]}</label>
      {children}
      {problem === undefined ? null : (
        <small id={`filter-${field}-problem`}>
          {LABELS[field]}: {problem.message}
        </small>
      )}
    </div>
  );
}

function described({ filter, field }: FieldProps) {
  const isBad = filter.problems.some((one) => one.field === field);
  return isBad ? { 'aria-invalid': 'true' as const, 'aria-describedby': `filter-${field}-problem` } : {};
}

function Select({ filter, field, values }: FieldProps & { values: readonly string[] }) {
  const chosen = filter.values[field] ?? '';
  return (
    <Field filter={filter} field={field}>
      <select id={`filter-${field}`} name={field} {...described({ filter, field })}>
        {values.map((value) => (
          <option value={value} selected={value === chosen}>
            {value === '' ? 'any' : value.replaceAll('_', ' ')}
          </option>
        ))}
      </select>
    </Field>
  );
}

interface TextProps extends FieldProps {
  readonly type?: string;
  readonly maxlength?: number;
  readonly placeholder?: string;
}

function Text({ filter, field, type = 'text', maxlength, placeholder }: TextProps) {
  const value = filter.values[field] ?? '';
  return (
    <Field filter={filter} field={field}>
      <input
        id={`filter-${field}`}
        name={field}
        type={type}
        value={canBeInput(value) ? value : ''}
        maxlength={maxlength}
        placeholder={placeholder}
        autocomplete="off"
        spellcheck={false}
        {...described({ filter, field })}
      />
      {canBeInput(value) ? null : (
        <small>
          Now: <Untrusted text={value} max={256} />. It cannot be typed: another filter leaves it out.
        </small>
      )}
    </Field>
  );
}
