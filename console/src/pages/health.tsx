import { useCollection } from '@cloudscape-design/collection-hooks';
import Alert from '@cloudscape-design/components/alert';
import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import ContentLayout from '@cloudscape-design/components/content-layout';
import Header from '@cloudscape-design/components/header';
import Pagination from '@cloudscape-design/components/pagination';
import SpaceBetween from '@cloudscape-design/components/space-between';
import StatusIndicator from '@cloudscape-design/components/status-indicator';
import Table from '@cloudscape-design/components/table';
import TextFilter from '@cloudscape-design/components/text-filter';
import { get } from '../api/client';
import type { Agent, Certificate, Health as Report, Replica } from '../api/types';
import { Empty, Loading, Missing, Trouble } from '../parts/states';
import { useEvery, useLoad } from '../use';
import { ago, count, when } from '../words';

const severities = { ok: 'success', warning: 'warning', critical: 'error' } as const;
const severity = (s: string) => severities[s as keyof typeof severities] ?? 'info';
const verdicts: Record<string, string> = { ok: 'podid is healthy', warning: 'Something needs a look', critical: 'Something is broken' };

/** Health is how the servers and agents are. */
export default function Health() {
  const health = useLoad('health', (signal) => get<Report>('/health', {}, signal));
  useEvery(5000, health.reload);
  const h = health.data;
  return (
    <ContentLayout
      header={
        <Header variant="h1" description={h ? `As of ${when(h.at)}` : undefined} actions={<Button iconName="refresh" ariaLabel="Refresh" onClick={health.reload} />}>
          Health
        </Header>
      }
    >
      {!h ? (
        health.error ? (
          <Trouble title="The health could not be had" error={health.error} retry={health.reload} />
        ) : (
          <Loading what="the health" />
        )
      ) : (
        <SpaceBetween size="l">
          {health.error && <Trouble title="podid does not answer any more" error={health.error} retry={health.reload} />}
          <Missing parts={h.partial} />
          <Findings h={h} />
          <Replicas items={h.replicas ?? []} />
          <Sts items={h.replicas ?? []} />
          <Agents h={h} />
          <Certificates items={h.replicas ?? []} />
        </SpaceBetween>
      )}
    </ContentLayout>
  );
}

function Findings({ h }: { h: Report }) {
  return (
    <Alert type={severity(h.verdict)} header={verdicts[h.verdict] ?? h.verdict} statusIconAriaLabel={h.verdict}>
      <ul className="plain">
        {(h.findings ?? []).map((f) => (
          <li key={f.text}>
            <StatusIndicator type={severity(f.severity)} wrapText>
              {f.text}
            </StatusIndicator>
            {f.do && <div>{f.do}</div>}
          </li>
        ))}
      </ul>
    </Alert>
  );
}

const number = (n: number) => n.toLocaleString('en', { maximumFractionDigits: 1 });

function Replicas({ items }: { items: Replica[] }) {
  return (
    <Table
      ariaLabels={{ tableLabel: 'Replicas of the server' }}
      header={<Header counter={`(${items.length})`}>Server</Header>}
      items={items}
      columnDefinitions={[
        { id: 'name', header: 'Replica', isRowHeader: true, cell: (r) => r.name + (r.self ? ' (answers this page)' : '') },
        { id: 'ready', header: 'State', cell: (r) => (r.ready ? <StatusIndicator type="success">Ready</StatusIndicator> : <StatusIndicator type="error">{r.lacks ? `Not ready: ${r.lacks}` : 'Not ready'}</StatusIndicator>) },
        { id: 'version', header: 'Version', cell: (r) => r.version || '-' },
        { id: 'started', header: 'Started', cell: (r) => <span title={when(r.started)}>{ago(r.started)}</span> },
        { id: 'agents', header: 'Agents', cell: (r) => number(r.agents) },
        { id: 'associations', header: 'Associations', cell: (r) => number(r.associations) },
        { id: 'sequence', header: 'Changes', cell: (r) => (r.behindBy ? `${count(r.behindBy, 'change')} behind` : 'Up to date') },
      ]}
    />
  );
}

function Sts({ items }: { items: Replica[] }) {
  return (
    <Table
      ariaLabels={{ tableLabel: 'Calls of STS' }}
      header={<Header description="Role assumptions of each replica since it started, and the sessions that it keeps.">STS</Header>}
      items={items}
      columnDefinitions={[
        { id: 'name', header: 'Replica', isRowHeader: true, cell: (r) => r.name },
        { id: 'calls', header: 'Calls', cell: ({ chains: c }) => number(c.assumptions) },
        { id: 'rate', header: 'Rate', cell: ({ chains: c }) => `${number(c.secondsSince > 0 ? c.assumptions / c.secondsSince : 0)} per second` },
        {
          id: 'throttled',
          header: 'Throttled',
          cell: ({ chains: c }) => (c.throttled ? <StatusIndicator type="warning">{number(c.throttled)}</StatusIndicator> : <StatusIndicator type="success">None</StatusIndicator>),
        },
        { id: 'limit', header: 'Limit now', cell: ({ chains: c }) => `${number(c.ratePerSecond)} per second` },
        { id: 'queue', header: 'Queue', cell: ({ chains: c }) => (c.queue ? <StatusIndicator type="pending">{number(c.queue)}</StatusIndicator> : 'Empty') },
        { id: 'sessions', header: 'Sessions kept', cell: ({ chains: c }) => number(c.entries) },
        { id: 'hits', header: 'Cache hits', cell: ({ chains: c }) => share(c.hits, c.misses) },
      ]}
    />
  );
}

function share(hits: number, misses: number): string {
  const all = hits + misses;
  return all ? `${number((hits / all) * 100)}% of ${number(all)}` : '-';
}

function Agents({ h }: { h: Report }) {
  const agents = h.agents ?? [];
  const without = h.nodesWithoutAgent ?? [];
  const { items, filterProps, collectionProps, paginationProps, filteredItemsCount } = useCollection(agents, {
    filtering: { empty: <Empty title="No agents">No agent has asked this server for credentials yet.</Empty>, noMatch: <Empty title="No matches" />, fields: ['node', 'version', 'replica'] },
    sorting: { defaultState: { sortingColumn: { sortingField: 'node' } } },
    pagination: { pageSize: 25 },
  });
  return (
    <Table
      {...collectionProps}
      ariaLabels={{ tableLabel: 'Agents by node' }}
      header={
        <Header
          counter={`(${agents.length})`}
          description={without.length > 0 ? `${count(without.length, 'node')} without an agent that listens: ${without.slice(0, 8).join(', ')}${without.length > 8 ? ' and others' : ''}` : h.nodesKnown ? 'Every node has an agent that listens.' : undefined}
        >
          Agents
        </Header>
      }
      filter={<TextFilter {...filterProps} filteringPlaceholder="Find nodes" filteringAriaLabel="Find nodes" countText={count(filteredItemsCount ?? 0, 'match', 'matches')} />}
      pagination={<Pagination {...paginationProps} />}
      items={items}
      trackBy="node"
      columnDefinitions={[
        { id: 'node', header: 'Node', isRowHeader: true, sortingField: 'node', cell: (a: Agent) => a.node },
        { id: 'state', header: 'State', sortingField: 'listening', cell: (a: Agent) => <AgentState agent={a} /> },
        { id: 'version', header: 'Version', sortingField: 'version', cell: (a: Agent) => a.version ?? '-' },
        { id: 'heard', header: 'Last heard', sortingField: 'lastHeard', cell: (a: Agent) => <span title={when(a.lastHeard)}>{a.listening ? 'Listening now' : ago(a.lastHeard)}</span> },
        { id: 'pods', header: 'Pods in cache', cell: (a: Agent) => (a.cache ? number(a.cache.pods) : '-') },
        { id: 'hits', header: 'Cache hits', cell: (a: Agent) => (a.cache ? share(a.cache.hits, a.cache.misses) : '-') },
        { id: 'stale', header: 'Stale answers', cell: (a: Agent) => (a.cache ? a.cache.stale ? <StatusIndicator type="warning">{number(a.cache.stale)}</StatusIndicator> : 'None' : '-') },
        { id: 'replica', header: 'Replica', cell: (a: Agent) => a.replica ?? '-' },
      ]}
    />
  );
}

function AgentState({ agent }: { agent: Agent }) {
  if (agent.stale) return <StatusIndicator type="error">Not heard of</StatusIndicator>;
  return agent.listening ? <StatusIndicator type="success">Listening</StatusIndicator> : <StatusIndicator type="pending">Away</StatusIndicator>;
}

const soon = 7 * 24 * 3600 * 1000;

function Certificates({ items }: { items: Replica[] }) {
  const rows = items.flatMap((r) => (r.certificates ?? []).map((c) => ({ ...c, replica: r.name })));
  return (
    <Table
      ariaLabels={{ tableLabel: 'Certificates' }}
      header={<Header>Certificates</Header>}
      items={rows}
      columnDefinitions={[
        { id: 'name', header: 'Certificate', isRowHeader: true, cell: (c) => c.name },
        { id: 'replica', header: 'Replica', cell: (c) => c.replica },
        { id: 'state', header: 'State', cell: (c) => <CertificateState certificate={c} /> },
        { id: 'after', header: 'Expires', cell: (c) => `${ago(c.notAfter)} (${when(c.notAfter)})` },
        { id: 'names', header: 'Names', cell: (c) => (c.names ?? []).join(', ') || '-' },
      ]}
      wrapLines
      empty={
        <Box color="inherit" textAlign="center">
          Nothing here is served over TLS.
        </Box>
      }
    />
  );
}

function CertificateState({ certificate: c }: { certificate: Certificate }) {
  const left = new Date(c.notAfter).getTime() - Date.now();
  if (left < 0) return <StatusIndicator type="error">Expired</StatusIndicator>;
  return left < soon ? <StatusIndicator type="warning">Expires soon</StatusIndicator> : <StatusIndicator type="success">Valid</StatusIndicator>;
}
