// The REST API as the portal uses it: requests, lists with all their pages, long-running operations followed to their end.
// Everything goes through `/portal/arm`, where the backend adds the token of the session. Follows azure-resource-manager-rpc,
// v1.0 (async-api-reference.md).

import { connected, lost, pause, signedOut } from "./connection";
import { escapePath } from "./ids";
import { apiVersionOf } from "./types";

/** An answer that refuses, in Azure's words. */
export class ArmError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly details: readonly { code?: string; message?: string; target?: string }[] = [],
  ) {
    super(message);
  }
}

/** Nobody answered: whether a write arrived is not known. */
export class Unreachable extends Error {
  constructor() {
    super("The cloud does not answer. Whether the change arrived will be seen once it does.");
  }
}

export interface Resource {
  id: string;
  name: string;
  type: string;
  location?: string;
  tags?: Record<string, string>;
  etag?: string;
  kind?: string;
  sku?: { name?: string; tier?: string };
  zones?: string[];
  properties?: Record<string, unknown>;
}

export interface Asked {
  /** Else the newest of the type in the path. */
  apiVersion?: string;
  query?: Record<string, string>;
  signal?: AbortSignal;
}

export type Json = Record<string, unknown>;

const PREFIX = "/portal/arm";
const COMMON = "2024-11-01";
const TERMINAL = new Set(["Succeeded", "Failed", "Canceled"]);

export async function get<T = Resource>(path: string, asked: Asked = {}): Promise<T> {
  const answer = await read(address(path, asked), asked.signal);
  return (await answer.json()) as T;
}

/** All pages of a list; `onPage` is told what there is so far, while more is to come. */
export async function list<T = Resource>(path: string, asked: Asked = {}, onPage?: (soFar: T[]) => void): Promise<T[]> {
  const found: T[] = [];
  let next: string | undefined = address(path, asked);
  while (next !== undefined) {
    const page = (await (await read(next, asked.signal)).json()) as { value: T[]; nextLink?: string };
    found.push(...page.value);
    next = page.nextLink === undefined ? undefined : here(page.nextLink);
    if (next !== undefined) onPage?.([...found]);
  }
  return found;
}

/** Writes resolve when the operation has ended; `ArmError` where it was refused or has Failed. */
export function put<T = Resource>(id: string, body: unknown, asked: Asked = {}): Promise<T> {
  return write<T>("PUT", id, body, asked);
}

export function patch<T = Resource>(id: string, body: unknown, asked: Asked = {}): Promise<T> {
  return write<T>("PATCH", id, body, asked);
}

export async function remove(id: string, asked: Asked = {}): Promise<void> {
  await write("DELETE", id, undefined, asked);
}

/** `POST {id}/{name}`: the answer, or what its operation ends with. */
export function action<T = Json>(id: string, name: string, body?: unknown, asked: Asked = {}): Promise<T> {
  const apiVersion = asked.apiVersion ?? apiVersionOf(id);
  return write<T>("POST", `${id}/${name}`, body, apiVersion === undefined ? asked : { ...asked, apiVersion });
}

type Changed = (id: string) => void;
const listeners = new Set<Changed>();

/** Told of every id that a write of this page changed, when its operation began and when it ended. */
export function onChange(listener: Changed): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function changed(id: string): void {
  for (const listener of [...listeners]) listener(id);
}

/** A reading request waits out a restart of the cloud; the page shows that it is offline meanwhile. */
async function read(url: string, signal?: AbortSignal): Promise<Response> {
  for (;;) {
    try {
      return await send("GET", url, undefined, signal);
    } catch (error) {
      const gone = error instanceof ArmError && error.code === "SignInRequired";
      if (!(error instanceof Unreachable) && !gone) throw error;
      await connected(signal);
    }
  }
}

async function write<T>(method: string, path: string, body: unknown, asked: Asked): Promise<T> {
  const answer = await send(method, address(path, asked), body, asked.signal);
  changed(path);
  try {
    return (await finished(method, path, answer, asked)) as T;
  } finally {
    changed(path);
  }
}

async function finished(method: string, path: string, answer: Response, asked: Asked): Promise<unknown> {
  const operation = answer.headers.get("Azure-AsyncOperation");
  let location = answer.headers.get("Location");
  const first = await content(answer);
  if (operation !== null) {
    await ended(here(operation), asked.signal);
    if (method === "PUT" || method === "PATCH") return await get<unknown>(path, asked);
    if (method === "DELETE") return undefined;
  } else if (answer.status !== 202) {
    return first;
  }
  while (location !== null) {
    const polled = await read(here(location), asked.signal);
    if (polled.status !== 202) return await content(polled);
    location = polled.headers.get("Location") ?? location;
    await pause(wait(polled));
  }
  return first;
}

/** Poll an operation to its end. Raises its error. */
async function ended(url: string, signal?: AbortSignal): Promise<void> {
  for (;;) {
    const polled = await read(url, signal);
    const document = (await polled.json()) as { status: string; error?: { code: string; message: string; details?: [] } };
    if (document.status === "Succeeded") return;
    if (TERMINAL.has(document.status)) {
      const error = document.error;
      throw new ArmError(200, error?.code ?? document.status, error?.message ?? `The operation ended as ${document.status}.`, error?.details ?? []);
    }
    await pause(wait(polled));
  }
}

/** Milliseconds to the next poll: the server holds a poll for half a second itself, so there is no hurry between two. */
function wait(polled: Response): number {
  return Math.min(Number(polled.headers.get("Retry-After") ?? "1") || 1, 5) * 500;
}

async function send(method: string, url: string, body?: unknown, signal?: AbortSignal): Promise<Response> {
  const headers: Record<string, string> = { "X-Azlan-Portal": "1" };
  const init: RequestInit = { method, headers, cache: "no-store" };
  if (signal !== undefined) init.signal = signal;
  if (body !== undefined) {
    headers["Content-Type"] = "application/json";
    init.body = JSON.stringify(body);
  }
  let answer: Response;
  try {
    answer = await fetch(url, init);
  } catch (error) {
    if (signal?.aborted) throw error;
    lost();
    throw new Unreachable();
  }
  if (answer.ok) return answer;
  const document = (await content(answer)) as { error?: { code?: string; message?: string; details?: [] } } | undefined;
  const error = document?.error;
  if (answer.status === 401) {
    signedOut();
    throw new ArmError(401, "SignInRequired", "You are signed out. Sign in to go on.");
  }
  throw new ArmError(
    answer.status,
    error?.code ?? String(answer.status),
    error?.message ?? answer.statusText,
    error?.details ?? [],
  );
}

async function content(answer: Response): Promise<unknown> {
  const text = await answer.text();
  if (text === "") return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function address(path: string, asked: Asked): string {
  const query = new URLSearchParams({ "api-version": asked.apiVersion ?? apiVersionOf(path) ?? COMMON, ...asked.query });
  return `${PREFIX}${escapePath(path)}?${query}`;
}

/** A URL of the API's own (nextLink, poll) by way of the backend. */
function here(url: string): string {
  const parsed = new URL(url, location.origin);
  return PREFIX + parsed.pathname + parsed.search;
}
