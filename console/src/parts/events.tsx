import Box from '@cloudscape-design/components/box';
import KeyValuePairs from '@cloudscape-design/components/key-value-pairs';
import Link from '@cloudscape-design/components/link';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Table, { type TableProps } from '@cloudscape-design/components/table';
import type { ReactNode } from 'react';
import type { AuditEvent } from '../api/types';
import { to } from '../route';
import { useShell } from '../shell';
import { clockOf, dayOf, roleName, when } from '../words';
import { Code, Mono } from './code';
import { OutcomeOf } from './states';

/** names are the words for the names of audit events. */
const names: Record<string, string> = { AssumeRoleForPodIdentity: 'Credentials' };

export const eventName = (e: AuditEvent) => names[e.name] ?? e.name;

const columns = (open: (e: AuditEvent) => void): TableProps.ColumnDefinition<AuditEvent>[] => [
  {
    id: 'time',
    header: 'Time',
    isRowHeader: true,
    width: 195,
    minWidth: 120,
    cell: (e) => (
      <Link
        href="#"
        onFollow={(event) => {
          event.preventDefault();
          open(e);
        }}
        ariaLabel={`Open the event of ${when(e.time)}`}
      >
        {dayOf(e.time)} {clockOf(e.time)}
      </Link>
    ),
  },
  { id: 'outcome', header: 'Outcome', width: 125, minWidth: 100, cell: (e) => <OutcomeOf of={e.outcome} /> },
  { id: 'name', header: 'Event', width: 130, minWidth: 100, cell: eventName },
  { id: 'who', header: 'Service account', width: 190, minWidth: 120, cell: (e) => (e.serviceAccount ? `${e.namespace}/${e.serviceAccount}` : (e.caller ?? '-')) },
  { id: 'pod', header: 'Pod', width: 180, minWidth: 100, cell: (e) => e.pod ?? '-' },
  { id: 'role', header: 'Role', width: 170, minWidth: 100, cell: (e) => (e.roles?.length ? roleName(e.roles.at(-1) ?? '') : '-') },
  { id: 'error', header: 'Error', width: 240, minWidth: 100, cell: (e) => e.errorMessage ?? '-' },
];

type Rest = Omit<TableProps<AuditEvent>, 'items' | 'columnDefinitions'>;

/** EventTable lists audit events, each of which opens as a whole. */
export function EventTable({ items, ...rest }: { items: AuditEvent[] } & Rest) {
  const { open } = useShell();
  const show = (e: AuditEvent) => open({ header: `${eventName(e)}, ${e.outcome}`, body: <Whole event={e} /> });
  return (
    <Table
      {...rest}
      items={items}
      trackBy="id"
      columnDefinitions={columns(show)}
      onRowClick={({ detail }) => show(detail.item)}
      ariaLabels={{ tableLabel: 'Audit events' }}
      resizableColumns
      enableKeyboardNavigation
    />
  );
}

/** Whole is one audit event, all of it. */
function Whole({ event: e }: { event: AuditEvent }) {
  const pairs: { label: string; value: ReactNode }[] = [
    { label: 'Outcome', value: <OutcomeOf of={e.outcome} /> },
    { label: 'Time', value: when(e.time) },
    { label: 'Service account', value: e.serviceAccount ? `${e.namespace}/${e.serviceAccount}` : undefined },
    { label: 'Pod', value: e.pod },
    { label: 'Node', value: e.node },
    { label: 'Caller', value: e.caller },
    { label: 'Access key', value: e.accessKeyId && <Mono what="access key id">{e.accessKeyId}</Mono> },
    { label: 'Association', value: e.associationId && <Link href={to(['associations', e.associationId])}>{e.associationId}</Link> },
    { label: 'Replica', value: e.source },
    { label: 'Event ID', value: <Mono what="event ID">{e.id}</Mono> },
  ];
  return (
    <SpaceBetween size="m">
      {e.errorMessage && (
        <Box color="text-status-error">
          <b>{e.errorCode}</b> {e.errorMessage}
        </Box>
      )}
      <KeyValuePairs columns={1} items={pairs.filter((p) => p.value)} />
      <Code text={JSON.stringify(e.event, null, 2)} kind="json" label="The audit event as it is kept" heading="Audit event" file={`event-${e.id}.json`} wrap tall />
    </SpaceBetween>
  );
}
