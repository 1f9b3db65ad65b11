import Alert from '@cloudscape-design/components/alert';
import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import Container from '@cloudscape-design/components/container';
import ContentLayout from '@cloudscape-design/components/content-layout';
import FormField from '@cloudscape-design/components/form-field';
import Header from '@cloudscape-design/components/header';
import Input from '@cloudscape-design/components/input';
import KeyValuePairs from '@cloudscape-design/components/key-value-pairs';
import SpaceBetween from '@cloudscape-design/components/space-between';
import StatusIndicator from '@cloudscape-design/components/status-indicator';
import Table from '@cloudscape-design/components/table';
import Tabs from '@cloudscape-design/components/tabs';
import { useState } from 'react';
import { at, get } from '../api/client';
import type { ActivityPage, AssociationDetail, Events, Explanation, Policies, Pods } from '../api/types';
import { Code, Mono } from '../parts/code';
import { Delete } from '../parts/delete';
import { EventTable } from '../parts/events';
import { Explained } from '../parts/explanation';
import { PoliciesOf } from '../parts/policies';
import { Empty, Loading, Missing, OutcomeOf, StateOf, Trouble } from '../parts/states';
import { go, replace, to } from '../route';
import { useShell } from '../shell';
import { useEvery, useLoad, type Loaded } from '../use';
import { ago, count, when } from '../words';

/** Association is one association, and all that is known around it. */
export default function Association({ id, query }: { id: string; query: URLSearchParams }) {
  const shell = useShell();
  const detail = useLoad(id, (signal) => get<AssociationDetail>(at(id), {}, signal));
  const [deleting, setDeleting] = useState(false);
  const [round, setRound] = useState(0);
  useEvery(5000, detail.reload); // podid tries chains that somebody looks at
  const a = detail.data;
  if (!a) return detail.error ? <Trouble page title="The association could not be had" error={detail.error} retry={detail.reload} /> : <Loading what="the association" />;
  const { readOnly } = shell.session;
  const refresh = () => {
    detail.reload();
    setRound((n) => n + 1);
  };
  return (
    <ContentLayout
      header={
        <Header
          variant="h1"
          description={`Service account of namespace ${a.namespace} in cluster ${a.cluster}`}
          actions={
            <SpaceBetween direction="horizontal" size="xs">
              <Button iconName="refresh" ariaLabel="Refresh" onClick={refresh} />
              <Button href={to(['associations', id, 'edit'])} disabled={readOnly || !a.may.update} disabledReason={readOnly ? 'The console is read-only' : 'You may not update this association'}>
                Edit
              </Button>
              <Button onClick={() => setDeleting(true)} disabled={readOnly || !a.may.delete} disabledReason={readOnly ? 'The console is read-only' : 'You may not delete this association'}>
                Delete
              </Button>
            </SpaceBetween>
          }
        >
          {a.serviceAccount}
        </Header>
      }
    >
      <SpaceBetween size="l">
        {a.stateReason && (
          <Alert type={a.state === 'failing' ? 'error' : 'warning'} header={a.state === 'failing' ? 'Pods get no credentials' : 'It is not ready'}>
            {a.stateReason}
          </Alert>
        )}
        {a.managedBy && <Alert type="info">Kept by {a.managedBy}, which would undo a change made here.</Alert>}
        <Overview a={a} />
        <Chain id={id} round={`${round} ${a.state} ${a.version}`} />
        <More a={a} round={round} tab={query.get('tab') ?? 'activity'} />
      </SpaceBetween>
      {deleting && (
        <Delete
          association={a}
          onCancel={() => setDeleting(false)}
          onDeleted={() => {
            shell.notify('success', `The association of ${a.namespace}/${a.serviceAccount} is deleted.`);
            go(to(['associations']));
          }}
        />
      )}
    </ContentLayout>
  );
}

function Overview({ a }: { a: AssociationDetail }) {
  const tags = Object.entries(a.tags ?? {});
  return (
    <Container header={<Header variant="h2">Overview</Header>}>
      <KeyValuePairs
        columns={3}
        items={[
          { label: 'State', value: <StateOf of={a} /> },
          { label: 'Pod Identity role', value: <Mono what="Pod Identity role ARN">{a.roleArn}</Mono> },
          { label: 'Target role', value: <Mono what="target role ARN">{a.targetRoleArn}</Mono> },
          { label: 'Last issued', value: a.lastIssued ? `${ago(a.lastIssued)} (${when(a.lastIssued)})` : 'Not that podid knows of' },
          { label: 'Session tags', value: a.disableSessionTags ? <StatusIndicator type="stopped">Off</StatusIndicator> : <StatusIndicator type="success">On</StatusIndicator> },
          { label: 'External ID', value: <Mono what="external ID">{a.externalId}</Mono> },
          { label: 'Created', value: when(a.createdAt) },
          { label: 'Modified', value: when(a.modifiedAt) },
          { label: 'Association ARN', value: <Mono what="association ARN">{a.arn}</Mono> },
          ...(a.revokedAt ? [{ label: 'Credentials revoked', value: when(a.revokedAt) }] : []),
          ...(a.object ? [{ label: 'Kubernetes object', value: <Mono what="object name">{a.object}</Mono> }] : []),
          ...(tags.length ? [{ label: 'Tags', value: tags.map(([k, v]) => `${k}=${v}`).join(', ') }] : []),
        ]}
      />
    </Container>
  );
}

/** Chain explains the association anew in each round, and what its pods may do with their credentials, if that is asked. */
function Chain({ id, round }: { id: string; round: string }) {
  const { session } = useShell();
  const [action, setAction] = useState('');
  const [resource, setResource] = useState('');
  const [asked, setAsked] = useState<{ action?: string; resource?: string }>({});
  const explanation = useLoad(`${id} ${round} ${JSON.stringify(asked)}`, (signal) => get<Explanation>(at(id, 'explanation'), asked, signal));
  return (
    <Container
      header={
        <Header
          variant="h2"
          description="Who assumes which role on the way to the pod's credentials, and what each role's policies say."
          actions={
            <Button iconName="refresh" onClick={explanation.reload} loading={explanation.loading}>
              Explain again
            </Button>
          }
        >
          Chain
        </Header>
      }
    >
      <SpaceBetween size="m">
        {explanation.error && <Trouble title="It could not be explained" error={explanation.error} retry={explanation.reload} />}
        {explanation.data ? <Explained explanation={explanation.data} /> : explanation.loading && <Loading what="the explanation" />}
        {session.may.explain && (
          <form
            onSubmit={(e) => {
              e.preventDefault();
              setAsked(action.trim() && resource.trim() ? { action: action.trim(), resource: resource.trim() } : {});
            }}
          >
            <div className="ask">
              <FormField label="May the pod do this?" stretch>
                <Input value={action} onChange={({ detail }) => setAction(detail.value)} placeholder="s3:GetObject" ariaLabel="Action" />
              </FormField>
              <FormField label="On this resource" stretch>
                <Input value={resource} onChange={({ detail }) => setResource(detail.value)} placeholder="arn:aws:s3:::bucket/key" ariaLabel="Resource" />
              </FormField>
              <Button formAction="submit" disabled={!action.trim() !== !resource.trim()}>
                Explain
              </Button>
            </div>
          </form>
        )}
      </SpaceBetween>
    </Container>
  );
}

function More({ a, round, tab }: { a: AssociationDetail; round: number; tab: string }) {
  const { session } = useShell();
  const tabs = [
    ...(session.may.activity ? [{ id: 'activity', label: 'Recent activity', content: <Recent key={round} id={a.id} /> }] : []),
    { id: 'pods', label: 'Pods', content: <PodsOf key={round} id={a.id} /> },
    { id: 'policies', label: 'Policies', content: <NeededPolicies key={round} id={a.id} /> },
    ...(a.policy ? [{ id: 'session', label: 'Session policy', content: <Code text={pretty(a.policy)} kind="json" label="Session policy of the association" heading="Narrows the role whose credentials reach the pod" file="session-policy.json" /> }] : []),
    ...(a.conditions ? [{ id: 'conditions', label: 'Conditions', content: <Conditions a={a} /> }] : []),
    { id: 'events', label: 'Events', content: <KubernetesEvents key={round} id={a.id} /> },
  ];
  return (
    <Tabs
      variant="container"
      ariaLabel="More of the association"
      activeTabId={tabs.some((t) => t.id === tab) ? tab : tabs[0]?.id}
      onChange={({ detail }) => replace(to(['associations', a.id], { tab: detail.activeTabId }))}
      tabs={tabs}
    />
  );
}

function pretty(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

/** had shows what was asked for, or why it is not there. */
function had<T>(what: string, l: Loaded<T>, show: (data: T) => React.ReactNode) {
  if (l.data) return show(l.data);
  return l.error ? <Trouble title={`${what} could not be had`} error={l.error} retry={l.reload} /> : <Loading what={what.toLowerCase()} />;
}

function Recent({ id }: { id: string }) {
  const [all, setAll] = useState(false);
  const page = useLoad(`${id} ${all}`, (signal) => get<ActivityPage>('/activity', { association: id, outcome: all ? undefined : 'refused', limit: 10 }, signal));
  return had('Activity', page, (data) => (
    <SpaceBetween size="s">
      <Missing parts={data.partial} />
      <EventTable
        variant="embedded"
        items={data.items ?? []}
        header={
          <Header
            variant="h3"
            actions={
              <SpaceBetween direction="horizontal" size="xs">
                <Button onClick={() => setAll(!all)}>{all ? 'Show issues only' : 'Show granted too'}</Button>
                <Button href={to(['activity'], { association: id })}>All activity</Button>
              </SpaceBetween>
            }
          >
            {all ? 'Newest requests' : 'Recent issues'}
          </Header>
        }
        empty={<Empty title={all ? 'Nothing yet' : 'No issues'}>{all ? 'No pod has asked for credentials.' : 'No request was refused lately.'}</Empty>}
      />
    </SpaceBetween>
  ));
}

function PodsOf({ id }: { id: string }) {
  const pods = useLoad(id, (signal) => get<Pods>(at(id, 'pods'), { limit: 100 }, signal));
  return had('Pods', pods, (data) => (
    <Table
      variant="embedded"
      ariaLabels={{ tableLabel: 'Pods' }}
      header={
        <Header variant="h3" counter={`(${data.total})`} description={data.known ? undefined : `${data.reason ?? 'Nothing here knows of all pods.'} These asked for credentials lately.`}>
          Pods that use it
        </Header>
      }
      items={data.items ?? []}
      columnDefinitions={[
        { id: 'name', header: 'Name', isRowHeader: true, cell: (p) => p.name },
        { id: 'node', header: 'Node', cell: (p) => p.node ?? '-' },
        { id: 'phase', header: 'Phase', cell: (p) => (p.phase ? <StatusIndicator type={p.ready ? 'success' : 'pending'}>{p.phase}</StatusIndicator> : '-') },
        { id: 'asked', header: 'Last asked', cell: (p) => <span title={when(p.lastAsked)}>{ago(p.lastAsked)}</span> },
        { id: 'outcome', header: 'Outcome', cell: (p) => (p.lastOutcome ? <OutcomeOf of={p.lastOutcome} /> : '-') },
      ]}
      empty={<Empty title="No pods">No pod uses the service account{data.known ? '' : ', as far as is known'}.</Empty>}
      footer={data.total > (data.items ?? []).length && <Box textAlign="center">and {count(data.total - data.items.length, 'other')}</Box>}
    />
  ));
}

function NeededPolicies({ id }: { id: string }) {
  const policies = useLoad(id, (signal) => get<Policies>(at(id, 'policies'), {}, signal));
  return had('Policies', policies, (data) => <PoliciesOf policies={data} />);
}

function Conditions({ a }: { a: AssociationDetail }) {
  return (
    <Table
      variant="embedded"
      ariaLabels={{ tableLabel: 'Conditions' }}
      items={a.conditions ?? []}
      columnDefinitions={[
        { id: 'type', header: 'Type', isRowHeader: true, cell: (c) => c.type },
        { id: 'status', header: 'Status', cell: (c) => <StatusIndicator type={c.status === 'True' ? 'success' : c.status === 'False' ? 'error' : 'pending'}>{c.status}</StatusIndicator> },
        { id: 'reason', header: 'Reason', cell: (c) => c.reason },
        { id: 'message', header: 'Message', cell: (c) => c.message },
        { id: 'since', header: 'Since', cell: (c) => <span title={when(c.lastTransitionTime)}>{ago(c.lastTransitionTime)}</span> },
      ]}
      wrapLines
      empty={<Empty title="No conditions" />}
    />
  );
}

function KubernetesEvents({ id }: { id: string }) {
  const events = useLoad(id, (signal) => get<Events>(at(id, 'events'), {}, signal));
  return had('Events', events, (data) => (
    <Table
      variant="embedded"
      ariaLabels={{ tableLabel: 'Kubernetes events' }}
      items={data.items ?? []}
      columnDefinitions={[
        { id: 'type', header: 'Type', cell: (e) => <StatusIndicator type={e.type === 'Normal' ? 'info' : 'warning'}>{e.type}</StatusIndicator> },
        { id: 'reason', header: 'Reason', isRowHeader: true, cell: (e) => e.reason },
        { id: 'message', header: 'Message', cell: (e) => e.message },
        { id: 'count', header: 'Count', cell: (e) => e.count },
        { id: 'last', header: 'Last seen', cell: (e) => <span title={when(e.lastSeen)}>{ago(e.lastSeen)}</span> },
        { id: 'source', header: 'From', cell: (e) => e.source ?? '-' },
      ]}
      wrapLines
      empty={data.known ? <Empty title="No events">Kubernetes keeps events for an hour unless told otherwise.</Empty> : <Empty title="There is no Kubernetes here">Development mode has associations, and no objects that events could be about.</Empty>}
    />
  ));
}
