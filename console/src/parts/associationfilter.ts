import { get } from '../api/client';
import type { Facets } from '../api/types';
import { count } from '../words';
import { asQuery, type Filter, type Property } from './filter';
import { stateNames } from './states';

/** properties are those of associations that can be filtered by. */
export const properties: Property[] = [
  { key: 'namespace', label: 'Namespace', group: 'Namespaces' },
  { key: 'serviceAccount', label: 'Service account', group: 'Service accounts' },
  { key: 'role', label: 'Role', group: 'Roles' },
  { key: 'account', label: 'Account', group: 'Accounts' },
  { key: 'state', label: 'State', group: 'States', values: stateNames },
  { key: 'cluster', label: 'Cluster', group: 'Clusters' },
];

/** suggest returns the values that a property has under the rest of a filter. */
export function suggest(filter: Filter) {
  return async (field: string, text: string) => {
    const facets = await get<Facets>('/facets', { ...asQuery(filter), field, prefix: text, limit: 50 });
    return facets.items.map((f) => ({ value: f.value, note: count(f.count, 'association') }));
  };
}
