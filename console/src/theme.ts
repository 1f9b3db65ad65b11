import { applyMode, Mode } from '@cloudscape-design/global-styles';
import { useSyncExternalStore } from 'react';

const stored = 'podid.theme';
const system = matchMedia('(prefers-color-scheme: dark)');
const listeners = new Set<() => void>();

/** dark tells whether the console is dark: as the person chose, or else as the system is. */
export function dark(): boolean {
  const choice = localStorage.getItem(stored);
  return choice ? choice === 'dark' : system.matches;
}

/** setDark keeps a choice; one that is the system's own is forgotten, so that the console follows it again. */
export function setDark(on: boolean) {
  if (on === system.matches) localStorage.removeItem(stored);
  else localStorage.setItem(stored, on ? 'dark' : 'light');
  paint();
}

/** paint puts the mode on the page, and tells whoever shows it. */
export function paint() {
  applyMode(dark() ? Mode.Dark : Mode.Light);
  for (const listener of listeners) listener();
}

system.addEventListener('change', paint);

/** useDark is dark for a component, which is drawn again when it changes. */
export function useDark(): boolean {
  return useSyncExternalStore((listener) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  }, dark);
}
