import Alert from '@cloudscape-design/components/alert';
import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import Container from '@cloudscape-design/components/container';
import ContentLayout from '@cloudscape-design/components/content-layout';
import Header from '@cloudscape-design/components/header';
import Link from '@cloudscape-design/components/link';
import Pagination from '@cloudscape-design/components/pagination';
import Select from '@cloudscape-design/components/select';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Table from '@cloudscape-design/components/table';
import { useMemo, useState } from 'react';
import { get } from '../api/client';
import type { AssociationPage, Map as Flows, MapFlow, MapNode } from '../api/types';
import { properties, suggest } from '../parts/associationfilter';
import { asQuery, FilterBar, read, write, type Filter } from '../parts/filter';
import { FlowPicture } from '../parts/flowpicture';
import { gather, gathered } from '../parts/flows';
import { Empty, Loading, StateOf, Trouble } from '../parts/states';
import { go, replace, to } from '../route';
import { useLoad } from '../use';
import { ago, count, roleName, when } from '../words';

const grains = [
  { value: 'auto', label: 'As fine as can be read' },
  { value: 'serviceAccount,role', label: 'Service accounts to roles' },
  { value: 'namespace,role', label: 'Namespaces to roles' },
  { value: 'namespace,account', label: 'Namespaces to accounts' },
];

const drawnAs: Record<string, string> = {
  'serviceAccount,role': 'service accounts to roles',
  'namespace,role': 'namespaces to roles',
  'namespace,account': 'namespaces to accounts',
};

/** FlowMap is who can reach what. */
export default function FlowMap({ query }: { query: URLSearchParams }) {
  const filter = read(query, properties);
  const by = grains.find((g) => g.value === query.get('by')) ?? grains[0];
  const ask = { ...asQuery(filter), by: by?.value };
  const key = JSON.stringify(ask);
  const map = useLoad(key, (signal) => flowsOf(ask, signal));
  const [whole, setWhole] = useState<string>();
  const move = (next: { filter?: Filter; by?: string }) => replace(write('map', next.filter ?? filter, { by: next.by ?? query.get('by') ?? undefined }));
  const m = map.data;
  const most = whole === key ? Infinity : rows;
  const drawn = useMemo(() => m && gather(m, most), [m, most]);
  const filtered = Object.keys(filter).length > 0;
  return (
    <ContentLayout header={<Header variant="h1" description="Which pods can become which roles. Point at a name or a flow to trace it; choose one to see its associations.">Map</Header>}>
      <SpaceBetween size="l">
        <div className="beside">
          <FilterBar properties={properties} filter={filter} onChange={(next) => move({ filter: next })} suggest={suggest(filter)} placeholder="Who can become this role? Find a role, an account or a namespace" />
          <Select selectedOption={by ?? null} options={grains} onChange={({ detail }) => move({ by: detail.selectedOption.value })} ariaLabel="What to draw" />
        </div>
        <Container
          header={
            <Header
              variant="h2"
              counter={m && `(${m.associations.toLocaleString('en')})`}
              description={m && `From ${drawnAs[m.by] ?? m.by}${filtered ? ', as filtered' : ''}. Red flows have associations that fail.`}
              actions={filtered && <Button onClick={() => move({ filter: {} })}>Show all</Button>}
            >
              {question(filter)}
            </Header>
          }
        >
          <SpaceBetween size="s">
            {m?.truncated && <Alert type="info">The largest flows are drawn: {count(m.shown, 'association')} of {m.associations.toLocaleString('en')}. Filter, or draw namespaces and accounts, to see the rest.</Alert>}
            {map.error ? (
              <Trouble title="The map could not be had" error={map.error} retry={map.reload} />
            ) : !m || !drawn ? (
              <Loading what="the map" />
            ) : m.flows?.length ? (
              <FlowPicture
                flows={drawn}
                onNode={(node) => (node.kind === gathered ? setWhole(key) : move({ filter: narrowed(filter, node) }))}
                onFlow={(flow) => follow(flow, drawn, filter, (next) => move({ filter: next }))}
              />
            ) : (
              <Empty title="Nothing to draw">No association matches the filter.</Empty>
            )}
          </SpaceBetween>
        </Container>
        {filtered && <Answer key={JSON.stringify(filter)} filter={filter} />}
      </SpaceBetween>
    </ContentLayout>
  );
}

/** rows is how many names of a column are drawn before the rest is gathered in one. */
const rows = 48;

/** flowsOf are flows that can be read; where even accounts are too many, all of these, to be gathered. */
async function flowsOf(ask: Record<string, string | string[] | undefined>, signal: AbortSignal): Promise<Flows> {
  const flows = await get<Flows>('/map', { ...ask, limit: ask.by === 'auto' ? 160 : 2000 }, signal);
  return flows.truncated && ask.by === 'auto' ? get<Flows>('/map', { ...ask, by: 'namespace,account', limit: 2000 }, signal) : flows;
}

/** question is what a filter asks. */
function question(filter: Filter): string {
  if (filter.role?.length === 1) return `Who can become ${roleName(filter.role[0] ?? '')}?`;
  if (filter.account?.length === 1) return `Who can become a role of account ${filter.account[0]}?`;
  if (filter.namespace?.length === 1) return `What can pods of ${filter.namespace[0]} become?`;
  return 'Who can reach what';
}

/** narrowed is a filter for what a node stands for. */
function narrowed(filter: Filter, node: MapNode): Filter {
  switch (node.kind) {
    case 'namespace':
      return { ...filter, namespace: [node.label] };
    case 'serviceAccount':
      return { ...filter, ...(node.parent ? { namespace: [node.parent] } : {}), serviceAccount: [node.label] };
    case 'role':
      return node.arn ? { ...filter, role: [node.arn] } : filter;
    case 'account':
      return { ...filter, account: [node.label.match(/\d{12}/)?.[0] ?? node.label] };
    default:
      return filter;
  }
}

/** follow opens the association of a flow, or narrows to its two ends. */
function follow(flow: MapFlow, m: Flows, filter: Filter, narrow: (f: Filter) => void) {
  if (flow.associationId) return go(to(['associations', flow.associationId]));
  const ends = m.nodes.filter((n) => n.id === flow.from || n.id === flow.to);
  narrow(ends.reduce(narrowed, filter));
}

/** Answer lists the associations that a filter leaves. */
function Answer({ filter }: { filter: Filter }) {
  const [page, setPage] = useState(1);
  const ask = { ...asQuery(filter), page, pageSize: 20 };
  const list = useLoad(JSON.stringify(ask), (signal) => get<AssociationPage>('/associations', ask, signal));
  return (
    <Table
      ariaLabels={{ tableLabel: 'Associations on the map' }}
      header={
        <Header
          counter={list.data && `(${list.data.total.toLocaleString('en')})`}
          actions={<Button href={write('associations', filter)}>Open in Associations</Button>}
        >
          Their associations
        </Header>
      }
      loading={list.loading && !list.data}
      loadingText="Loading associations"
      items={list.data?.items ?? []}
      trackBy="id"
      columnDefinitions={[
        { id: 'serviceAccount', header: 'Service account', isRowHeader: true, cell: (a) => <Link href={to(['associations', a.id])}>{`${a.namespace}/${a.serviceAccount}`}</Link> },
        { id: 'role', header: 'Pod Identity role', cell: (a) => <span title={a.roleArn}>{roleName(a.roleArn)}</span> },
        { id: 'target', header: 'Target role', cell: (a) => (a.targetRoleArn ? <span title={a.targetRoleArn}>{roleName(a.targetRoleArn)}</span> : '-') },
        { id: 'account', header: 'Reaches account', cell: (a) => a.targetRoleAccount ?? a.roleAccount },
        { id: 'state', header: 'State', cell: (a) => <StateOf of={a} /> },
        { id: 'last', header: 'Last issued', cell: (a) => <span title={when(a.lastIssued)}>{ago(a.lastIssued)}</span> },
      ]}
      pagination={(list.data?.pages ?? 1) > 1 && <Pagination currentPageIndex={page} pagesCount={Math.max(1, list.data?.pages ?? 1)} onChange={({ detail }) => setPage(detail.currentPageIndex)} />}
      empty={list.error ? <Box color="text-status-error">{list.error.message}</Box> : <Empty title="No matches" />}
    />
  );
}
