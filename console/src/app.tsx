import AppLayout from '@cloudscape-design/components/app-layout';
import BreadcrumbGroup from '@cloudscape-design/components/breadcrumb-group';
import ContentLayout from '@cloudscape-design/components/content-layout';
import Flashbar, { type FlashbarProps } from '@cloudscape-design/components/flashbar';
import Header from '@cloudscape-design/components/header';
import SideNavigation from '@cloudscape-design/components/side-navigation';
import SplitPanel from '@cloudscape-design/components/split-panel';
import TopNavigation from '@cloudscape-design/components/top-navigation';
import { lazy, Suspense, useCallback, useEffect, useMemo, useState, type ReactNode } from 'react';
import { get, token } from './api/client';
import type { Session } from './api/types';
import logo from './icon.svg';
import { Loading, Trouble } from './parts/states';
import { to, useRoute, type Route } from './route';
import { ShellContext, type Shell } from './shell';
import { setDark, useDark } from './theme';
import { useLoad } from './use';

const Associations = lazy(() => import('./pages/associations'));
const Association = lazy(() => import('./pages/association'));
const Edit = lazy(() => import('./pages/edit'));
const FlowMap = lazy(() => import('./pages/map'));
const Activity = lazy(() => import('./pages/activity'));
const Health = lazy(() => import('./pages/health'));
const SignIn = lazy(() => import('./pages/signin'));

interface Page {
  title: string;
  crumbs: { text: string; href: string }[];
  body: ReactNode;
  form?: boolean;
}

const list = { text: 'Associations', href: to(['associations']) };

/** page is what there is at a route. */
function page({ path, query }: Route): Page {
  const [section = 'associations', id, what] = path;
  switch (section) {
    case 'associations':
      if (!id) return { title: 'Associations', crumbs: [list], body: <Associations query={query} /> };
      if (id === 'new') return { title: 'Create association', crumbs: [list, { text: 'Create association', href: to(path) }], body: <Edit key={`new ${query}`} from={query} />, form: true };
      if (what === 'edit')
        return { title: 'Edit association', crumbs: [list, { text: id, href: to(['associations', id]) }, { text: 'Edit', href: to(path) }], body: <Edit key={id} id={id} />, form: true };
      return { title: id, crumbs: [list, { text: id, href: to(path) }], body: <Association key={id} id={id} query={query} /> };
    case 'map':
      return { title: 'Map', crumbs: [{ text: 'Map', href: to(path) }], body: <FlowMap query={query} /> };
    case 'activity':
      return { title: 'Activity', crumbs: [{ text: 'Activity', href: to(path) }], body: <Activity query={query} /> };
    case 'health':
      return { title: 'Health', crumbs: [{ text: 'Health', href: to(path) }], body: <Health /> };
    default:
      return { title: 'Not found', crumbs: [], body: <ContentLayout header={<Header variant="h1">Not found</Header>}>There is no such page: {location.hash}</ContentLayout> };
  }
}

export default function App() {
  const [round, setRound] = useState(0);
  const session = useLoad(`session ${round}`, (signal) => get<Session>('/session', {}, signal));
  const again = useCallback(() => setRound((n) => n + 1), []);
  const signedOut = session.error?.code === 'Unauthenticated';
  const signOut = () => {
    token.forget();
    again();
  };
  return (
    <>
      <Top session={signedOut ? undefined : session.data} onSignOut={signOut} />
      <Suspense fallback={<Loading what="the page" />}>
        {signedOut ? (
          <SignIn onToken={again} problem={token.get() ? session.error?.message : undefined} />
        ) : session.data ? (
          <Frame session={session.data} />
        ) : session.error ? (
          <Trouble page title="The console cannot start" error={session.error} retry={again} />
        ) : (
          <Loading what="the console" />
        )}
      </Suspense>
    </>
  );
}

function Top({ session, onSignOut }: { session?: Session; onSignOut: () => void }) {
  const isDark = useDark();
  const cluster = session?.clusters[0];
  return (
    <div id="top">
      <TopNavigation
        identity={{ href: to(['associations']), title: 'podid', logo: { src: logo, alt: 'Logo' } }}
        utilities={[
          ...(session?.readOnly ? [{ type: 'button' as const, text: 'Read-only', iconName: 'lock-private' as const, title: 'Changes are turned off by whoever runs podid' }] : []),
          ...(session && cluster
            ? [
                {
                  type: 'menu-dropdown' as const,
                  text: session.clusters.length === 1 ? cluster.name : `${session.clusters.length} clusters`,
                  title: 'Clusters',
                  items: session.clusters.map((c) => ({ id: c.arn, text: c.name, secondaryText: `${c.accountId} · ${c.region}`, href: to(['associations'], { cluster: c.name }) })),
                },
              ]
            : []),
          {
            type: 'button',
            iconSvg: isDark ? sun : moon,
            ariaLabel: isDark ? 'Use light mode' : 'Use dark mode',
            title: isDark ? 'Light mode' : 'Dark mode',
            onClick: () => setDark(!isDark),
          },
          ...(session
            ? [
                {
                  type: 'menu-dropdown' as const,
                  text: session.user.split(/[/:]/).at(-1) ?? session.user,
                  iconName: 'user-profile' as const,
                  title: session.user,
                  description: session.groups?.join(', '),
                  items: [
                    { id: 'version', text: `podid ${session.version}`, disabled: true },
                    ...(token.get() ? [{ id: 'out', text: 'Sign out' }] : []),
                  ],
                  onItemClick: ({ detail }: { detail: { id: string } }) => {
                    if (detail.id === 'out') onSignOut();
                  },
                },
              ]
            : []),
        ]}
      />
    </div>
  );
}

const stroke = { fill: 'none', stroke: 'currentColor', strokeWidth: 1.6, strokeLinejoin: 'round', strokeLinecap: 'round' } as const;
const moon = (
  <svg viewBox="0 0 16 16" aria-hidden focusable="false">
    <path {...stroke} d="M13.6 9.6A6 6 0 0 1 6.4 2.4a6 6 0 1 0 7.2 7.2z" />
  </svg>
);
const sun = (
  <svg viewBox="0 0 16 16" aria-hidden focusable="false">
    <circle {...stroke} cx="8" cy="8" r="3" />
    <path {...stroke} d="M8 1v1.5M8 13.5V15M1 8h1.5M13.5 8H15M3 3l1 1M12 12l1 1M13 3l-1 1M4 12l-1 1" />
  </svg>
);

/** Frame is what is around every page. */
function Frame({ session }: { session: Session }) {
  const route = useRoute();
  const [flashes, setFlashes] = useState<FlashbarProps.MessageDefinition[]>([]);
  const [panel, setPanel] = useState<{ header: string; body: ReactNode }>();
  const [wide, setWide] = useState(420);
  const [navigation, setNavigation] = useState(true);
  const shell = useMemo<Shell>(
    () => ({
      session,
      open: setPanel,
      notify: (type, content) => {
        const id = crypto.randomUUID();
        const drop = () => setFlashes((old) => old.filter((f) => f.id !== id));
        setFlashes((old) => [{ id, type, content, dismissible: true, dismissLabel: 'Dismiss', onDismiss: drop }, ...old].slice(0, 5));
      },
    }),
    [session],
  );
  const shown = page(route);
  const where = route.path.join('/');
  useEffect(() => {
    document.title = `${shown.title} · podid`;
  }, [shown.title]);
  useEffect(() => {
    setPanel(undefined);
    scrollTo(0, 0);
  }, [where]);
  return (
    <ShellContext value={shell}>
      <AppLayout
        headerSelector="#top"
        toolsHide
        contentType={shown.form ? 'form' : 'default'}
        navigationOpen={navigation}
        onNavigationChange={({ detail }) => setNavigation(detail.open)}
        navigationWidth={220}
        navigation={
          <SideNavigation
            activeHref={to([route.path[0] ?? 'associations'])}
            header={{ text: 'Pod identity', href: to(['associations']) }}
            items={[
              { type: 'link', text: 'Associations', href: to(['associations']) },
              { type: 'link', text: 'Map', href: to(['map']) },
              ...(session.may.activity ? [{ type: 'link' as const, text: 'Activity', href: to(['activity']) }] : []),
              ...(session.may.health ? [{ type: 'link' as const, text: 'Health', href: to(['health']) }] : []),
            ]}
          />
        }
        breadcrumbs={<BreadcrumbGroup items={[{ text: 'podid', href: to(['associations']) }, ...shown.crumbs]} />}
        notifications={<Flashbar items={flashes} stackItems />}
        splitPanelOpen={panel !== undefined}
        splitPanelPreferences={{ position: 'side' }}
        splitPanelSize={wide}
        onSplitPanelResize={({ detail }) => setWide(detail.size)}
        onSplitPanelToggle={({ detail }) => {
          if (!detail.open) setPanel(undefined);
        }}
        splitPanel={
          panel && (
            <SplitPanel header={panel.header} closeBehavior="hide" hidePreferencesButton>
              {panel.body}
            </SplitPanel>
          )
        }
        content={<Suspense fallback={<Loading what="the page" />}>{shown.body}</Suspense>}
      />
    </ShellContext>
  );
}

