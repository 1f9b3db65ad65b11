import type { FlashbarProps } from '@cloudscape-design/components/flashbar';
import { createContext, useContext, type ReactNode } from 'react';
import type { Session } from './api/types';

/** Shell is what pages have from what is around them. */
export interface Shell {
  session: Session;
  /** notify puts a notification on top of the page. */
  notify: (type: FlashbarProps.Type, content: ReactNode) => void;
  /** open shows something in the panel beside the page; undefined closes it. */
  open: (panel?: { header: string; body: ReactNode }) => void;
}

export const ShellContext = createContext<Shell | undefined>(undefined);

export function useShell(): Shell {
  const shell = useContext(ShellContext);
  if (!shell) throw new Error('there is no shell around this page');
  return shell;
}
