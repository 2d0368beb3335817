// Addresses of the portal: the path names a page or an ARM id, the query its filters. Back brings both back.
//
//   /                                  home
//   /browse/all, /browse/{type}        lists
//   /resource/{id}[/{menu entry}]      a resource
//   /create/{type}                     a wizard
//   /tools/{name}                      everything else

import { useMemo, useSyncExternalStore } from "react";

import { escapePath } from "../arm/ids";

export interface Address {
  /** Decoded. */
  readonly segments: readonly string[];
  readonly query: URLSearchParams;
  readonly text: string;
}

type Ask = (go: () => void) => void;

const listeners = new Set<() => void>();
let position = 0;
let returning = false;
let ask: Ask | undefined;
const guards = new Set<object>();

/** The shell's question whether an unsaved form may be left; it runs `go` where it may. */
export function onLeave(question: Ask): void {
  ask = question;
}

/** While held, the page is not left without a question. Returns its release. */
export function guard(): () => void {
  const held = {};
  guards.add(held);
  return () => void guards.delete(held);
}

export function isGuarded(): boolean {
  return guards.size > 0;
}

export function navigate(to: string, how: { replace?: boolean; force?: boolean } = {}): void {
  if (guards.size > 0 && !how.force && !how.replace && ask !== undefined) {
    ask(() => navigate(to, { ...how, force: true }));
    return;
  }
  if (how.replace) {
    history.replaceState({ position }, "", to);
  } else {
    position += 1;
    history.pushState({ position }, "", to);
  }
  tell();
}

/** Change the query, by default without an entry of its own in the history. */
export function setQuery(change: Record<string, string | undefined>, replace = true): void {
  const query = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(change)) {
    if (value === undefined || value === "") query.delete(name);
    else query.set(name, value);
  }
  const text = query.toString();
  navigate(location.pathname + (text === "" ? "" : `?${text}`), { replace, force: true });
}

export function startRouter(): void {
  const entry = history.state as { position?: number } | null;
  position = entry?.position ?? 0;
  history.replaceState({ position }, "", location.href);
  addEventListener("popstate", (event) => {
    const to = (event.state as { position?: number } | null)?.position ?? 0;
    const steps = to - position;
    if (returning) {
      returning = false;
      return;
    }
    if (guards.size > 0 && ask !== undefined && steps !== 0) {
      returning = true;
      history.go(-steps);
      ask(() => {
        returning = false;
        guards.clear();
        history.go(steps);
      });
      return;
    }
    position = to;
    tell();
  });
  addEventListener("beforeunload", (event) => {
    if (guards.size > 0) event.preventDefault();
  });
}

function tell(): void {
  for (const listener of [...listeners]) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function useAddress(): Address {
  const text = useSyncExternalStore(subscribe, () => location.pathname + location.search);
  return useMemo(() => parse(text), [text]);
}

function parse(text: string): Address {
  const [path = "", query = ""] = text.split(/\?(.*)/s);
  const segments = path.split("/").filter((segment) => segment !== "").map(decode);
  return { segments, query: new URLSearchParams(query), text };
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

export function resourcePath(id: string, entry?: string): string {
  return "/resource" + escapePath(id) + (entry === undefined ? "" : `/${encodeURIComponent(entry)}`);
}

export function browsePath(type: string): string {
  return `/browse/${escapePath(type)}`;
}

/** Query entries hand a wizard what is known already: `{group}`, `{network}`. */
export function createPath(type: string, known: Record<string, string> = {}): string {
  const query = new URLSearchParams(known).toString();
  return `/create/${escapePath(type)}` + (query === "" ? "" : `?${query}`);
}
