import PropertyFilter, { type PropertyFilterProps } from '@cloudscape-design/components/property-filter';
import { useRef, useState } from 'react';

/** Filter is a filter of the API: any of the values of each property, and all words of q. */
export type Filter = Record<string, string[]>;

export interface Property {
  key: string;
  label: string;
  group: string; // the label in the plural
  /** values are all there are; without them suggest is asked. */
  values?: { value: string; label: string }[];
}

interface Props {
  properties: Property[];
  filter: Filter;
  onChange: (filter: Filter) => void;
  /** suggest returns values of a property, with what is said of each. */
  suggest?: (property: string, text: string) => Promise<{ value: string; note?: string }[]>;
  placeholder: string;
  countText?: string;
}

/** most is how many values of a property the API takes. */
const most = 20;

/** FilterBar edits a Filter. Tokens of one property are one token: any of its values. */
export function FilterBar({ properties, filter, onChange, suggest, placeholder, countText }: Props) {
  const [options, setOptions] = useState<PropertyFilterProps.FilteringOption[]>([]);
  const [status, setStatus] = useState<PropertyFilterProps.StatusType>('finished');
  const asked = useRef(0);
  const load = async (property: string | undefined, text: string) => {
    const mine = ++asked.current;
    if (!suggest || !property || properties.find((p) => p.key === property)?.values) return;
    setStatus('loading');
    try {
      const found = await suggest(property, text);
      if (mine !== asked.current) return;
      setOptions(found.map((o) => ({ propertyKey: property, value: o.value, tags: o.note ? [o.note] : undefined })));
      setStatus('finished');
    } catch {
      if (mine === asked.current) setStatus('error');
    }
  };
  return (
    <PropertyFilter
      query={queryOf(filter, properties)}
      onChange={({ detail }) => onChange(filterOf(detail))}
      filteringProperties={properties.map((p) => ({ key: p.key, propertyLabel: p.label, groupValuesLabel: p.group, operators: [{ operator: '=', tokenType: 'enum' }] }))}
      filteringOptions={[...properties.flatMap((p) => (p.values ?? []).map((v) => ({ propertyKey: p.key, ...v }))), ...options]}
      freeTextFiltering={{ operators: [':'], defaultOperator: ':' }}
      onLoadItems={({ detail }) => void load(detail.filteringProperty?.key, detail.filteringText)}
      filteringStatusType={status}
      asyncProperties={false}
      hideOperations
      countText={countText}
      expandToViewport
      filteringAriaLabel={placeholder}
      filteringPlaceholder={placeholder}
    />
  );
}

function queryOf(filter: Filter, properties: Property[]): PropertyFilterProps.Query {
  const tokens: PropertyFilterProps.Token[] = [];
  for (const word of filter.q ?? []) tokens.push({ operator: ':', value: word });
  for (const p of properties) {
    const values = filter[p.key];
    if (values?.length) tokens.push({ propertyKey: p.key, operator: '=', value: values });
  }
  return { operation: 'and', tokens };
}

function filterOf(query: PropertyFilterProps.Query): Filter {
  const filter: Filter = {};
  for (const token of query.tokens) {
    const key = token.propertyKey ?? 'q';
    const values: string[] = Array.isArray(token.value) ? token.value : [token.value];
    filter[key] = [...new Set([...(filter[key] ?? []), ...values])].slice(0, most);
  }
  return filter;
}

/** read takes a filter out of the query of a route, and write puts one into it. */
export function read(query: URLSearchParams, properties: Property[]): Filter {
  const filter: Filter = {};
  for (const key of ['q', ...properties.map((p) => p.key)]) {
    const values = query.getAll(key);
    if (values.length) filter[key] = values;
  }
  return filter;
}

export function write(path: string, filter: Filter, rest: Record<string, string | undefined> = {}): string {
  const params = new URLSearchParams();
  for (const [key, values] of Object.entries(filter)) for (const value of values) params.append(key, value);
  for (const [key, value] of Object.entries(rest)) if (value) params.set(key, value);
  const text = params.toString();
  return `#/${path}${text ? '?' + text : ''}`;
}

/** asked is a filter as the API takes it: words of q are one value. */
export function asQuery(filter: Filter): Record<string, string | string[]> {
  const { q, ...rest } = filter;
  return { ...rest, ...(q?.length ? { q: q.join(' ') } : {}) };
}
