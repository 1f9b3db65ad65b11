import BarChart from '@cloudscape-design/components/bar-chart';
import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import Container from '@cloudscape-design/components/container';
import ContentLayout from '@cloudscape-design/components/content-layout';
import Header from '@cloudscape-design/components/header';
import SegmentedControl from '@cloudscape-design/components/segmented-control';
import SpaceBetween from '@cloudscape-design/components/space-between';
import StatusIndicator from '@cloudscape-design/components/status-indicator';
import Toggle from '@cloudscape-design/components/toggle';
import { useCallback, useEffect, useRef, useState } from 'react';
import { get } from '../api/client';
import type { ActivityPage, AuditEvent, Counts } from '../api/types';
import { suggest as suggestOfAssociations } from '../parts/associationfilter';
import { EventTable } from '../parts/events';
import { asQuery, FilterBar, read, write, type Property } from '../parts/filter';
import { Empty, Missing, Trouble } from '../parts/states';
import { replace } from '../route';
import { failure, useEvery, useLoad } from '../use';
import { clockOf, count, when } from '../words';

const properties: Property[] = [
  { key: 'outcome', label: 'Outcome', group: 'Outcomes', values: [{ value: 'granted', label: 'Granted' }, { value: 'refused', label: 'Refused' }] },
  { key: 'namespace', label: 'Namespace', group: 'Namespaces' },
  { key: 'serviceAccount', label: 'Service account', group: 'Service accounts' },
  { key: 'pod', label: 'Pod', group: 'Pods' },
  { key: 'role', label: 'Role', group: 'Roles' },
  { key: 'account', label: 'Account', group: 'Accounts' },
  { key: 'accessKey', label: 'Access key', group: 'Access keys' },
  { key: 'association', label: 'Association', group: 'Associations' },
  { key: 'event', label: 'Event', group: 'Events' },
  { key: 'cluster', label: 'Cluster', group: 'Clusters' },
];

const spans = [
  { id: '15m', text: '15 minutes', minutes: 15 },
  { id: '1h', text: '1 hour', minutes: 60 },
  { id: '6h', text: '6 hours', minutes: 360 },
  { id: '24h', text: '24 hours', minutes: 1440 },
];

/** Activity is what podid decided: over time, and each by each, live. */
export default function Activity({ query }: { query: URLSearchParams }) {
  const filter = read(query, properties);
  const span = spans.find((s) => s.id === query.get('span')) ?? spans[1];
  const from = span?.id ?? '1h';
  const ask = { ...asQuery(filter), from };
  const key = JSON.stringify(ask);
  const [live, setLive] = useState(true);
  const counts = useLoad(key, (signal) => get<Counts>('/activity/counts', { ...ask, buckets: 60 }, signal));
  useEvery(5000, () => live && counts.reload());
  const list = useNewest(key, ask, live);
  const move = (next: { filter?: typeof filter; span?: string }) => replace(write('activity', next.filter ?? filter, { span: next.span ?? query.get('span') ?? undefined }));
  return (
    <ContentLayout
      header={
        <Header
          variant="h1"
          description="Every request for credentials, granted or refused, and every change."
          actions={
            <SegmentedControl label="Time" selectedId={from} options={spans.map(({ id, text }) => ({ id, text }))} onChange={({ detail }) => move({ span: detail.selectedId })} />
          }
        >
          Activity
        </Header>
      }
    >
      <SpaceBetween size="l">
        <FilterBar properties={properties} filter={filter} onChange={(next) => move({ filter: next })} suggest={suggest} placeholder="Find activity" />
        <Missing parts={counts.data?.partial} />
        <Container
          header={
            <Header variant="h2" description={counts.data && `${count(counts.data.granted, 'request')} granted, ${counts.data.refused.toLocaleString('en')} refused`}>
              Over time
            </Header>
          }
        >
          {counts.error && !counts.data ? <Trouble title="The counts could not be had" error={counts.error} retry={counts.reload} /> : <Plot counts={counts.data} long={(span?.minutes ?? 60) > 60} />}
        </Container>
        <EventTable
          variant="container"
          stickyHeader
          items={list.items}
          loading={list.loading}
          loadingText="Loading activity"
          header={
            <Header
              variant="h2"
              counter={list.items.length ? `(${list.items.length.toLocaleString('en')}${list.older ? '+' : ''})` : undefined}
              description="Newest first. Open one to see the whole audit event."
              actions={
                <SpaceBetween direction="horizontal" size="s" alignItems="center">
                  {live && (list.error ? <StatusIndicator type="warning">Trying again</StatusIndicator> : <StatusIndicator type="success">Live</StatusIndicator>)}
                  <Toggle checked={live} onChange={({ detail }) => setLive(detail.checked)}>
                    Follow
                  </Toggle>
                </SpaceBetween>
              }
            >
              Events
            </Header>
          }
          empty={
            list.error ? (
              <Trouble title="The activity could not be had" error={list.error} retry={list.again} />
            ) : (
              <Empty title="Nothing yet">No pod asked for credentials in this time{Object.keys(filter).length ? ' that the filter lets through' : ''}.</Empty>
            )
          }
          footer={
            <Box textAlign="center">
              {list.older ? (
                <Button onClick={list.more} loading={list.loadingMore}>
                  Load older
                </Button>
              ) : (
                list.items.length > 0 && <Box variant="small">The console has no older events of this time. The audit log keeps them.</Box>
              )}
            </Box>
          }
        />
      </SpaceBetween>
    </ContentLayout>
  );
}

/** suggest offers what associations have; pods, keys and events are typed. */
function suggest(property: string, text: string) {
  return ['namespace', 'serviceAccount', 'role', 'account', 'cluster'].includes(property) ? suggestOfAssociations({})(property, text) : Promise.resolve([]);
}

function Plot({ counts, long }: { counts?: Counts; long: boolean }) {
  const buckets = counts?.buckets ?? [];
  const label = (d: Date) => (long ? when(d.toISOString()) : clockOf(d));
  const series = (title: string, of: 'granted' | 'refused', color: string) => ({
    title,
    type: 'bar' as const,
    color,
    data: buckets.map((b) => ({ x: new Date(b.start), y: b[of] })),
  });
  return (
    <BarChart
      height={180}
      hideFilter
      stackedBars
      xScaleType="categorical"
      ariaLabel="Requests over time"
      ariaDescription={counts && `${counts.granted} granted, ${counts.refused} refused`}
      statusType={counts ? 'finished' : 'loading'}
      series={[series('Refused', 'refused', 'var(--plot-bad)'), series('Granted', 'granted', 'var(--plot-good)')]}
      xDomain={buckets.map((b) => new Date(b.start))}
      yDomain={[0, Math.max(4, ...buckets.map((b) => b.granted + b.refused))]}
      i18nStrings={{ xTickFormatter: (d) => tick(d, buckets), yTickFormatter: (n) => (Number.isInteger(n) ? n.toLocaleString('en') : '') }}
      xTitle=""
      yTitle="Requests"
      detailPopoverSeriesContent={({ series: s, y }) => ({ key: s.title, value: y.toLocaleString('en') })}
      detailPopoverFooter={(d) => <Box variant="small">from {label(d)}</Box>}
      empty={<Empty title="Nothing yet" />}
    />
  );
}

const hour = new Intl.DateTimeFormat('en', { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });

/** tick names every tenth bar: there is no room for more. */
function tick(d: Date, buckets: { start: string }[]): string {
  const i = buckets.findIndex((b) => new Date(b.start).getTime() === d.getTime());
  return i % 10 === 0 ? hour.format(d) : '';
}

/** kept is how many events the page holds at most. */
const kept = 2000;

/** useNewest are the newest events that fit, to which, if live, new ones are put in front as they come. */
function useNewest(key: string, ask: Record<string, string | string[]>, live: boolean) {
  const [state, setState] = useState<{ items: AuditEvent[]; older?: string }>({ items: [] });
  const [loading, setLoading] = useState(true);
  const [loadingMore, setLoadingMore] = useState(false);
  const [error, setError] = useState<{ message: string }>();
  const [round, setRound] = useState(0);
  const latest = useRef(ask);
  latest.current = ask;
  const newer = useRef<string>(undefined);
  useEffect(() => {
    const abort = new AbortController();
    const { signal } = abort;
    setLoading(true);
    newer.current = undefined;
    get<ActivityPage>('/activity', { ...latest.current, limit: 50 }, signal).then(
      (page) => {
        newer.current = page.newer;
        setState({ items: page.items ?? [], older: page.older });
        setError(undefined);
        setLoading(false);
      },
      (e: unknown) => {
        if (signal.aborted) return;
        setState({ items: [] });
        setError(failure(e));
        setLoading(false);
      },
    );
    return () => abort.abort();
  }, [key, round]);
  useEffect(() => {
    if (!live || loading) return;
    const abort = new AbortController();
    void follow(abort.signal, latest, newer, setError, (items) => setState((old) => ({ ...old, items: [...items, ...old.items].slice(0, kept) })));
    return () => abort.abort();
  }, [key, live, loading]);
  const more = useCallback(() => {
    setLoadingMore(true);
    get<ActivityPage>('/activity', { ...latest.current, limit: 50, before: state.older })
      .then((page) => setState((old) => ({ items: [...old.items, ...(page.items ?? [])].slice(0, kept), older: page.older })))
      .catch((e: unknown) => setError(failure(e)))
      .finally(() => setLoadingMore(false));
  }, [state.older]);
  return { ...state, loading, loadingMore, error, more, again: () => setRound((n) => n + 1) };
}

/** follow waits at the server for what is new, over and over, until the signal. */
async function follow(
  signal: AbortSignal,
  ask: { current: Record<string, string | string[]> },
  newer: { current: string | undefined },
  setError: (e?: { message: string }) => void,
  add: (items: AuditEvent[]) => void,
) {
  for (let failures = 0; !signal.aborted; ) {
    if (newer.current === undefined) return;
    try {
      const { from: _, ...rest } = ask.current;
      const page = await get<ActivityPage>('/activity', { ...rest, after: newer.current, wait: 20, limit: 200 }, signal);
      if (signal.aborted) return;
      failures = 0;
      newer.current = page.newer;
      setError(undefined);
      if (page.items?.length) add(page.items);
      else await pause(250, signal);
    } catch (e) {
      if (signal.aborted) return;
      setError(failure(e));
      await pause(Math.min(30, 2 ** failures++) * 1000, signal);
    }
  }
}

function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    const timer = setTimeout(done, milliseconds);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      done();
    });
  });
}
