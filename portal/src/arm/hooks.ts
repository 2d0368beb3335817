// Resources in React: read when shown, read again when this page's writes touch them or the cloud comes back.

import { useCallback, useEffect, useRef, useState, useSyncExternalStore } from "react";

import { get, list, onChange, type Asked, type Resource } from "./client";
import { connection, onConnection, type Connection } from "./connection";
import { parseId } from "./ids";
import { permissions, type Can } from "./permissions";

export interface Loaded<T> {
  /** The last answer: stays while a newer one is on its way. */
  readonly data: T | undefined;
  readonly error: Error | undefined;
  readonly loading: boolean;
  /** `data` is a beginning: the rest is on its way. */
  readonly partial?: boolean;
  reload(): void;
}

const UNDER_WAY = new Set(["Creating", "Updating", "Deleting", "Accepted", "Running"]);
const AGAIN = 1500;

/** The answer of `load`, which is run anew whenever `key` changes; undefined keys load nothing. A beginning that `load` hands
 * to `partly` is shown until the whole is there, unless an earlier whole answer is. */
export function useLoaded<T>(key: string | undefined, load: (signal: AbortSignal, partly: (beginning: T) => void) => Promise<T>, touched?: (id: string) => boolean): Loaded<T> {
  const [round, setRound] = useState(0);
  const [state, setState] = useState<{ key?: string; data?: T; error?: Error; loading: boolean; partial?: boolean }>({ loading: true });
  const latest = useRef({ load, touched });
  latest.current = { load, touched };
  const reload = useCallback(() => setRound((before) => before + 1), []);
  useEffect(() => {
    if (key === undefined) return;
    const abort = new AbortController();
    setState((before) => (before.key === key && before.data !== undefined ? { ...before, loading: true } : { key, loading: true }));
    const partly = (data: T): void => {
      if (abort.signal.aborted) return;
      setState((before) => (before.key === key && before.data !== undefined && before.partial !== true ? before : { key, data, loading: true, partial: true }));
    };
    latest.current.load(abort.signal, partly).then(
      (data) => !abort.signal.aborted && setState({ key, data, loading: false }),
      (error: unknown) => !abort.signal.aborted && setState({ key, error: error as Error, loading: false }),
    );
    return () => abort.abort();
  }, [key, round]);
  useEffect(() => {
    const stop = onChange((id) => latest.current.touched?.(id) && reload());
    let was = connection();
    const stopConnection = onConnection(() => {
      const now = connection();
      if ((now.online && !was.online) || (now.signedIn && !was.signedIn)) reload();
      was = now;
    });
    return () => {
      stop();
      stopConnection();
    };
  }, [reload]);
  const current = state.key === key;
  return { data: current ? state.data : undefined, error: current ? state.error : undefined, loading: state.loading, partial: current && state.partial === true, reload };
}

/** A resource; while its provisioning goes on it is read again and again. */
export function useResource<T extends Resource = Resource>(id: string | undefined, asked: Asked = {}): Loaded<T> {
  const wanted = id?.toLowerCase();
  const found = useLoaded<T>(
    id === undefined ? undefined : `${wanted}?${JSON.stringify(asked.query ?? {})}`,
    (signal) => get<T>(id!, { ...asked, signal }),
    (changed) => wanted !== undefined && (changed.toLowerCase().startsWith(wanted) || wanted.startsWith(changed.toLowerCase())),
  );
  const state = found.data?.properties?.provisioningState;
  const { reload } = found;
  useEffect(() => {
    if (typeof state !== "string" || !UNDER_WAY.has(state)) return;
    const timer = setTimeout(reload, AGAIN);
    return () => clearTimeout(timer);
  }, [state, found.data, reload]);
  return found;
}

/** All items of a list; read again when a write changed something of the same subscription. */
export function useList<T = Resource>(path: string | undefined, asked: Asked = {}): Loaded<T[]> {
  return useLoaded<T[]>(
    path === undefined ? undefined : `${path.toLowerCase()}?${JSON.stringify(asked.query ?? {})}`,
    (signal) => list<T>(path!, { ...asked, signal }),
    (changed) => path !== undefined && parseId(changed)?.subscription.toLowerCase() === parseId(path)?.subscription.toLowerCase(),
  );
}

const NOTHING: Can = () => false;

/** What the user may do at a scope; nothing until that is known. */
export function useCan(scope: string | undefined): Can {
  const found = useLoaded<Can>(scope === undefined ? undefined : `can ${scope.toLowerCase()}`, () => permissions(scope!));
  return found.data ?? NOTHING;
}

export function useConnection(): Connection {
  return useSyncExternalStore(onConnection, connection);
}
