// Who is signed in, and which subscriptions they see: read once, before anything is shown.

import { createContext, useContext } from "react";

import { list } from "../arm/client";
import { setTypes, type ResourceType } from "../arm/types";

export interface Subscription {
  readonly subscriptionId: string;
  readonly displayName: string;
}

export interface Location {
  readonly name: string;
  readonly displayName: string;
}

export interface Session {
  readonly name: string;
  readonly objectId: string;
  readonly subscriptions: readonly Subscription[];
  /** Of the first subscription: the same for all. */
  readonly locations: readonly Location[];
}

const HEADERS = { "X-Azlan-Portal": "1" };

/** Undefined where nobody is signed in: the browser is on its way to the sign-in page. */
export async function startSession(): Promise<Session | undefined> {
  const answer = await fetch("/portal/session", { headers: HEADERS });
  if (answer.status === 401) {
    signIn();
    return undefined;
  }
  const user = (await answer.json()) as { name: string; objectId: string };
  const types = (await (await fetch("/portal/types", { headers: HEADERS })).json()) as { value: ResourceType[] };
  setTypes(types.value);
  const subscriptions = await list<Subscription>("/subscriptions", { apiVersion: "2022-12-01" });
  const first = subscriptions[0];
  const locations =
    first === undefined ? [] : await list<Location>(`/subscriptions/${first.subscriptionId}/locations`, { apiVersion: "2022-12-01" });
  return { ...user, subscriptions, locations };
}

export function signIn(): void {
  location.assign(`/portal/signin?return=${encodeURIComponent(location.pathname + location.search)}`);
}

export async function signOut(): Promise<void> {
  await fetch("/portal/signout", { method: "POST", headers: HEADERS });
  location.assign("/");
}

export const SessionContext = createContext<Session>({ name: "", objectId: "", subscriptions: [], locations: [] });

export function useSession(): Session {
  return useContext(SessionContext);
}

/** "East US 2" for `eastus2`. */
export function useLocationName(): (name: string | undefined) => string {
  const { locations } = useSession();
  return (name) => locations.find((found) => found.name === name)?.displayName ?? name ?? "-";
}
