import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import ButtonDropdown from '@cloudscape-design/components/button-dropdown';
import CollectionPreferences, { type CollectionPreferencesProps } from '@cloudscape-design/components/collection-preferences';
import Header from '@cloudscape-design/components/header';
import Link from '@cloudscape-design/components/link';
import Pagination from '@cloudscape-design/components/pagination';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Table, { type TableProps } from '@cloudscape-design/components/table';
import { useState } from 'react';
import { get } from '../api/client';
import type { Association, AssociationPage } from '../api/types';
import { properties, suggest } from '../parts/associationfilter';
import { Delete } from '../parts/delete';
import { asQuery, FilterBar, read, write, type Filter } from '../parts/filter';
import { Empty, StateOf, Trouble } from '../parts/states';
import { go, replace, to } from '../route';
import { useShell } from '../shell';
import { useEvery, useLoad, useStored } from '../use';
import { ago, count, roleName, when } from '../words';

type Column = TableProps.ColumnDefinition<Association> & { id: string; header: string };

const columns: Column[] = [
  {
    id: 'serviceAccount',
    header: 'Service account',
    sortingField: 'serviceAccount',
    isRowHeader: true,
    cell: (a) => <Link href={to(['associations', a.id])}>{a.serviceAccount}</Link>,
    width: 180,
    minWidth: 120,
  },
  { id: 'namespace', header: 'Namespace', sortingField: 'namespace', cell: (a) => a.namespace, width: 140, minWidth: 100 },
  { id: 'state', header: 'State', sortingField: 'state', cell: (a) => <StateOf of={a} />, width: 145, minWidth: 110 },
  { id: 'role', header: 'Pod Identity role', sortingField: 'role', cell: (a) => <span title={a.roleArn}>{roleName(a.roleArn)}</span>, width: 178, minWidth: 120 },
  { id: 'targetRole', header: 'Target role', sortingField: 'targetRole', cell: (a) => (a.targetRoleArn ? <span title={a.targetRoleArn}>{roleName(a.targetRoleArn)}</span> : '-'), width: 185, minWidth: 120 },
  { id: 'account', header: 'Reaches account', sortingField: 'account', cell: (a) => a.targetRoleAccount ?? a.roleAccount, width: 185, minWidth: 130 },
  { id: 'cluster', header: 'Cluster', cell: (a) => a.cluster, minWidth: 130 },
  { id: 'lastIssued', header: 'Last issued', sortingField: 'lastIssued', cell: (a) => <span title={when(a.lastIssued)}>{ago(a.lastIssued)}</span>, width: 138, minWidth: 110 },
  { id: 'modified', header: 'Modified', sortingField: 'modified', cell: (a) => <span title={when(a.modifiedAt)}>{ago(a.modifiedAt)}</span>, minWidth: 130 },
  { id: 'created', header: 'Created', sortingField: 'created', cell: (a) => <span title={when(a.createdAt)}>{ago(a.createdAt)}</span>, minWidth: 130 },
  { id: 'sessionTags', header: 'Session tags', cell: (a) => (a.disableSessionTags ? 'Off' : 'On'), minWidth: 110 },
  { id: 'externalId', header: 'External ID', cell: (a) => a.externalId ?? '-', minWidth: 200 },
  { id: 'roleArn', header: 'Pod Identity role ARN', cell: (a) => a.roleArn, minWidth: 220 },
  { id: 'targetRoleArn', header: 'Target role ARN', cell: (a) => a.targetRoleArn ?? '-', minWidth: 220 },
  { id: 'id', header: 'Association ID', cell: (a) => a.id, minWidth: 190 },
  { id: 'tags', header: 'Tags', cell: (a) => Object.entries(a.tags ?? {}).map(([k, v]) => `${k}=${v}`).join(', ') || '-', minWidth: 160 },
  { id: 'managedBy', header: 'Managed by', cell: (a) => a.managedBy ?? '-', minWidth: 130 },
];

const shownAtFirst = ['serviceAccount', 'namespace', 'state', 'role', 'targetRole', 'account', 'lastIssued'];

const defaults: CollectionPreferencesProps.Preferences = {
  pageSize: 50,
  contentDisplay: columns.map(({ id }) => ({ id, visible: shownAtFirst.includes(id) })),
  wrapLines: false,
  stripedRows: false,
  contentDensity: 'comfortable',
};

/** Associations is the table of them all, a page at a time. */
export default function Associations({ query }: { query: URLSearchParams }) {
  const shell = useShell();
  const [preferences, setPreferences] = useStored('podid.associations', defaults);
  const [selected, setSelected] = useState<Association[]>([]);
  const [deleting, setDeleting] = useState<Association>();
  const filter = read(query, properties);
  const sort = query.get('sort') ?? 'namespace';
  const page = Math.max(1, Number(query.get('page')) || 1);
  const ask = { ...asQuery(filter), sort, page, pageSize: preferences.pageSize };
  const list = useLoad(JSON.stringify(ask), (signal) => get<AssociationPage>('/associations', ask, signal));
  useEvery(10_000, list.reload); // podid tries chains that somebody looks at

  const move = (next: { filter?: Filter; sort?: string; page?: number }) => {
    setSelected([]);
    const at = next.page ?? 1;
    replace(write('associations', next.filter ?? filter, { sort: next.sort ?? (sort === 'namespace' ? undefined : sort), page: at > 1 ? String(at) : undefined }));
  };
  const one = selected.length === 1 ? selected[0] : undefined;
  const { may, readOnly } = shell.session;
  const descending = sort.startsWith('-');
  const sortingColumn = columns.find((c) => c.sortingField === sort.replace(/^-/, ''));
  const filtered = Object.keys(filter).length > 0;
  const create = !readOnly && may.create && (
    <Button variant="primary" href={to(['associations', 'new'])}>
      Create association
    </Button>
  );
  // A contentDisplay kept before there was a column does not name it.
  const display = [...(preferences.contentDisplay ?? []).filter((d) => columns.some((c) => c.id === d.id))];
  for (const { id } of columns) if (!display.some((d) => d.id === id)) display.push({ id, visible: false });
  return (
    <>
      <Table
        variant="full-page"
        stickyHeader
        resizableColumns
        enableKeyboardNavigation
        trackBy="id"
        selectionType="single"
        selectedItems={selected}
        onSelectionChange={({ detail }) => setSelected(detail.selectedItems)}
        ariaLabels={{
          tableLabel: 'Associations',
          selectionGroupLabel: 'Selection of an association',
          itemSelectionLabel: (_, a) => `Select ${a.namespace}/${a.serviceAccount}`,
        }}
        items={list.data?.items ?? []}
        loading={list.loading && !list.data}
        loadingText="Loading associations"
        columnDefinitions={columns}
        columnDisplay={display}
        sortingColumn={sortingColumn}
        sortingDescending={descending}
        onSortingChange={({ detail }) => move({ sort: (detail.isDescending ? '-' : '') + (detail.sortingColumn.sortingField ?? 'namespace') })}
        wrapLines={preferences.wrapLines}
        stripedRows={preferences.stripedRows}
        contentDensity={preferences.contentDensity}
        header={
          <Header
            variant="awsui-h1-sticky"
            counter={list.data && `(${list.data.total.toLocaleString('en')})`}
            description="Each gives the pods of a service account the credentials of an AWS role."
            actions={
              <SpaceBetween direction="horizontal" size="xs">
                <Button iconName="refresh" ariaLabel="Refresh" onClick={list.reload} />
                <ButtonDropdown
                  disabled={!one}
                  items={[
                    { id: 'view', text: 'View details' },
                    { id: 'edit', text: 'Edit', disabled: readOnly || !may.update, disabledReason: readOnly ? 'The console is read-only' : 'You may not update associations' },
                    { id: 'delete', text: 'Delete', disabled: readOnly || !may.delete, disabledReason: readOnly ? 'The console is read-only' : 'You may not delete associations' },
                  ]}
                  onItemClick={({ detail }) => {
                    if (!one) return;
                    if (detail.id === 'delete') setDeleting(one);
                    else go(to(['associations', one.id, ...(detail.id === 'edit' ? ['edit'] : [])]));
                  }}
                >
                  Actions
                </ButtonDropdown>
                {create}
              </SpaceBetween>
            }
          >
            Associations
          </Header>
        }
        filter={
          <FilterBar
            properties={properties}
            filter={filter}
            onChange={(next) => move({ filter: next })}
            suggest={suggest(filter)}
            placeholder="Find associations"
            countText={filtered && list.data ? count(list.data.total, 'match', 'matches') : undefined}
          />
        }
        pagination={<Pagination currentPageIndex={page} pagesCount={Math.max(1, list.data?.pages ?? 1)} onChange={({ detail }) => move({ page: detail.currentPageIndex })} />}
        preferences={
          <CollectionPreferences
            preferences={{ ...preferences, contentDisplay: display }}
            onConfirm={({ detail }) => setPreferences(detail)}
            pageSizePreference={{ options: [20, 50, 100, 200].map((value) => ({ value, label: `${value} associations` })) }}
            contentDisplayPreference={{ options: columns.map((c) => ({ id: c.id, label: c.header, alwaysVisible: c.id === 'serviceAccount' })) }}
            wrapLinesPreference={{}}
            stripedRowsPreference={{}}
            contentDensityPreference={{}}
          />
        }
        empty={
          list.error ? (
            <Trouble title="The associations could not be had" error={list.error} retry={list.reload} />
          ) : filtered ? (
            <Empty title="No matches" action={<Button onClick={() => move({ filter: {} })}>Clear filter</Button>}>
              No association matches the filter.
            </Empty>
          ) : (
            <Empty title="No associations" action={create}>
              Pods get no AWS credentials until their service account has one.
            </Empty>
          )
        }
      />
      {list.error && list.data && <Box margin={{ top: 'm' }}><Trouble title="The associations could not be had again" error={list.error} retry={list.reload} /></Box>}
      {deleting && (
        <Delete
          association={deleting}
          onCancel={() => setDeleting(undefined)}
          onDeleted={() => {
            shell.notify('success', `The association of ${deleting.namespace}/${deleting.serviceAccount} is deleted.`);
            setDeleting(undefined);
            setSelected([]);
            list.reload();
          }}
        />
      )}
    </>
  );
}
