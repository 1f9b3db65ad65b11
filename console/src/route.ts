import { useSyncExternalStore } from 'react';

/** A Route is a place in the console. It lies in the hash, so that the server serves one page. */
export interface Route {
  path: string[]; // "#/associations/new" is ["associations", "new"]
  query: URLSearchParams;
}

function subscribe(listener: () => void) {
  addEventListener('hashchange', listener);
  return () => removeEventListener('hashchange', listener);
}

/** useRoute is where the console is. */
export function useRoute(): Route {
  const hash = useSyncExternalStore(subscribe, () => location.hash);
  const [path = '', query = ''] = hash.replace(/^#\/?/, '').split('?', 2);
  return { path: path.split('/').filter(Boolean).map(decodeURIComponent), query: new URLSearchParams(query) };
}

/** to makes a link: to(['associations', id], { tab: 'pods' }). */
export function to(path: string[], query: Record<string, string | undefined> = {}): string {
  const params = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) if (value) params.set(key, value);
  const text = params.toString();
  return '#/' + path.map(encodeURIComponent).join('/') + (text ? '?' + text : '');
}

/** go follows a link. */
export function go(href: string) {
  location.hash = href;
}

/** replace changes the query of where the console is, and leaves no step in the browser's history. */
export function replace(href: string) {
  if (location.hash === href) return;
  history.replaceState(null, '', href);
  dispatchEvent(new HashChangeEvent('hashchange'));
}
