import { useCallback, useEffect, useRef, useState } from 'react';
import { Failure } from './api/client';

/** Loaded is what is known of something that is asked for. What was there stays until its successor comes. */
export interface Loaded<T> {
  data?: T;
  error?: Failure;
  loading: boolean;
  reload: () => void;
}

/** failure makes a Failure of whatever was thrown. */
export function failure(error: unknown): Failure {
  return error instanceof Failure ? error : new Failure('Internal', error instanceof Error ? error.message : String(error));
}

/**
 * useLoad asks again whenever key changes, and forgets answers that come too
 * late. With wait it first lets key rest for so many milliseconds. An undefined
 * key asks for nothing.
 */
export function useLoad<T>(key: string | undefined, ask: (signal: AbortSignal) => Promise<T>, wait = 0): Loaded<T> {
  const [state, setState] = useState<{ key?: string; data?: T; error?: Failure }>({});
  const [round, setRound] = useState(0);
  const [loading, setLoading] = useState(key !== undefined);
  const latest = useRef(ask);
  latest.current = ask;
  useEffect(() => {
    if (key === undefined) {
      setState({});
      setLoading(false);
      return;
    }
    const abort = new AbortController();
    setLoading(true);
    const timer = setTimeout(
      () =>
        latest.current(abort.signal).then(
          (data) => {
            if (abort.signal.aborted) return;
            setState({ key, data });
            setLoading(false);
          },
          (error: unknown) => {
            if (abort.signal.aborted) return;
            setState((old) => ({ key, data: old.key === key ? old.data : undefined, error: failure(error) }));
            setLoading(false);
          },
        ),
      wait,
    );
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [key, round, wait]);
  return { data: state.data, error: state.error, loading, reload: useCallback(() => setRound((n) => n + 1), []) };
}

/** useStored is a state that this browser keeps. */
export function useStored<T extends object>(name: string, byDefault: T): [T, (value: T) => void] {
  const [value, setValue] = useState<T>(() => {
    try {
      return { ...byDefault, ...(JSON.parse(localStorage.getItem(name) ?? '{}') as Partial<T>) };
    } catch {
      return byDefault;
    }
  });
  return [
    value,
    (next) => {
      localStorage.setItem(name, JSON.stringify(next));
      setValue(next);
    },
  ];
}

/** useEvery calls back at intervals, while the page is seen. */
export function useEvery(milliseconds: number, then: () => void) {
  const latest = useRef(then);
  latest.current = then;
  useEffect(() => {
    const timer = setInterval(() => {
      if (!document.hidden) latest.current();
    }, milliseconds);
    return () => clearInterval(timer);
  }, [milliseconds]);
}
