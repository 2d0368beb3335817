// The lists that the drawing is made of: five requests a subscription, asked again every few seconds while the page is seen.

import { useEffect, useMemo } from "react";

import { list } from "../arm/client";
import { useConnection, useLoaded, type Loaded } from "../arm/hooks";
import { useSession } from "../shell/session";
import { graphOf, type BastionFact, type Facts, type Graph, type InterfaceFact, type NetworkFact, type PublicAddressFact, type RouteTableFact } from "./model";

const AGAIN = 5000;

async function factsOf(subscription: string, signal: AbortSignal): Promise<Facts> {
  const all = <T>(type: string): Promise<T[]> => list<T>(`/subscriptions/${subscription}/providers/Microsoft.Network/${type}`, { signal });
  const [networks, interfaces, bastions, publicAddresses, routeTables] = await Promise.all([
    all<NetworkFact>("virtualNetworks"),
    all<InterfaceFact>("networkInterfaces"),
    all<BastionFact>("bastionHosts"),
    all<PublicAddressFact>("publicIPAddresses"),
    all<RouteTableFact>("routeTables"),
  ]);
  return { networks, interfaces, bastions, publicAddresses, routeTables };
}

const ALL = /^\/subscriptions\//i;

/** The graph of every subscription that the user sees; the same object as long as nothing in it changed. */
export function useGraph(): Loaded<Graph> {
  const { subscriptions } = useSession();
  const { online } = useConnection();
  const ids = subscriptions.map((one) => one.subscriptionId);
  const found = useLoaded<string>(
    `topology ${ids.join(" ")}`,
    async (signal) => {
      const parts = await Promise.all(ids.map((id) => factsOf(id, signal)));
      const facts: Facts = {
        networks: parts.flatMap((part) => part.networks),
        interfaces: parts.flatMap((part) => part.interfaces),
        bastions: parts.flatMap((part) => part.bastions),
        publicAddresses: parts.flatMap((part) => part.publicAddresses),
        routeTables: parts.flatMap((part) => part.routeTables),
      };
      return JSON.stringify(graphOf(facts));
    },
    (id) => ALL.test(id),
  );
  const { reload, data } = found;
  useEffect(() => {
    const timer = setInterval(() => {
      if (!document.hidden && online) reload();
    }, AGAIN);
    return () => clearInterval(timer);
  }, [online, reload]);
  const graph = useMemo(() => (data === undefined ? undefined : (JSON.parse(data) as Graph)), [data]);
  return { ...found, data: graph };
}
