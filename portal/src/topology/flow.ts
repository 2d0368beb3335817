// Whether a flow passes, as Network Watcher answers: connectivityCheck's hops, tied to the places of the drawing.
// Shapes are those of networkWatcher.json; a link's `context` holds route and rules by name.

import { action, list, type Resource } from "../arm/client";
import type { Graph, Station } from "./model";

interface Issue {
  origin: string;
  severity: string;
  type: string;
  context: Record<string, string>[];
}

interface HopFact {
  type: string;
  address: string;
  resourceId: string;
  links?: { linkType?: string; context?: Record<string, string> }[];
  issues?: Issue[];
}

export interface Connectivity {
  connectionStatus: string;
  hops: HopFact[];
  avgLatencyInMs?: number | null;
  probesSent?: number;
  probesFailed?: number;
}

export interface Flow {
  readonly from: Station;
  readonly to: { readonly machine: string } | { readonly address: string };
  readonly protocol: "Tcp" | "Icmp";
  readonly port: string;
  readonly sourcePort: string;
}

export interface Trouble {
  readonly text: string;
  /** Whether it is leaving this place that is refused, or entering it. */
  readonly leaving: boolean;
}

export interface Hop {
  /** Station's key, `internet`, or undefined for what the drawing does not have. */
  readonly key: string | undefined;
  readonly name: string;
  readonly address: string;
  readonly type: string;
  readonly troubles: readonly Trouble[];
  /** The way to the next hop: route and rules, as lines. */
  readonly onwards: readonly string[];
}

export interface Route {
  readonly reachable: boolean;
  readonly hops: readonly Hop[];
  readonly latency: number | undefined;
  readonly probes: { readonly sent: number; readonly failed: number };
}

/** The network watcher of a region, in the subscription of an id; undefined where there is none to be seen. */
export async function watcherOf(subscription: string, location: string): Promise<Resource | undefined> {
  const found = await list<Resource>(`/subscriptions/${subscription}/providers/Microsoft.Network/networkWatchers`);
  return found.find((watcher) => watcher.location?.toLowerCase() === location.toLowerCase());
}

export async function watcherFor(machine: string, location: string): Promise<Resource> {
  const watcher = await watcherOf(machine.split("/")[2] ?? "", location);
  if (watcher === undefined) throw new Error(`There is no network watcher in ${location}. One is made with the next virtual network that is created or changed there.`);
  return watcher;
}

export async function checkConnectivity(flow: Flow): Promise<Connectivity> {
  const machine = flow.from.machine ?? "";
  const watcher = await watcherFor(machine, flow.from.location);
  const port = flow.protocol === "Icmp" ? {} : { port: Number(flow.port) };
  const source = flow.sourcePort === "" ? {} : { port: Number(flow.sourcePort) };
  return await action<Connectivity>(watcher.id, "connectivityCheck", {
    source: { resourceId: machine, ...source },
    destination: "machine" in flow.to ? { resourceId: flow.to.machine, ...port } : { address: flow.to.address, ...port },
    protocol: flow.protocol,
  });
}

/** The answer on the drawing. */
export function routeOf(answer: Connectivity, stations: readonly Station[]): Route {
  const hops = answer.hops.map((hop): Hop => {
    const id = hop.resourceId.toLowerCase();
    const station = stations.find((one) => id === one.key || id.startsWith(`${one.key}/`));
    const outside = hop.type === "Internet" || id === "internet";
    return {
      key: station?.key ?? (outside ? "internet" : undefined),
      name: station?.name ?? (outside ? "Internet" : hop.address),
      address: hop.address,
      type: hop.type,
      troubles: (hop.issues ?? []).map((issue) => ({ text: troubleText(issue), leaving: issue.origin !== "Inbound" })),
      onwards: (hop.links ?? []).flatMap((link) => wayText(link.linkType ?? "", link.context ?? {})),
    };
  });
  return {
    reachable: answer.connectionStatus === "Reachable",
    hops,
    latency: answer.avgLatencyInMs ?? undefined,
    probes: { sent: answer.probesSent ?? 0, failed: answer.probesFailed ?? 0 },
  };
}

const GATES: Record<string, string> = {
  nic_outbound_rule: "Interface, outbound",
  subnet_outbound_rule: "Subnet, outbound",
  subnet_inbound_rule: "Subnet, inbound",
  nic_inbound_rule: "Interface, inbound",
};

/** A route, and the rule that each gate decided by. */
function wayText(type: string, context: Record<string, string>): string[] {
  const { addressPrefix, nextHopType, source, route, nextHop, ...gates } = context;
  const lines = [];
  if (addressPrefix !== undefined) {
    const by = route === undefined ? `${source ?? "Default"} route` : `${source ?? "User"} route ${route}`;
    lines.push(`${by}: ${addressPrefix} → ${nextHopType ?? type}${nextHop === undefined ? "" : ` ${nextHop}`}`);
  } else if (type !== "" && type !== "None") {
    lines.push(type);
  }
  for (const [gate, verdict] of Object.entries(gates)) lines.push(`${GATES[gate] ?? gate}: ${verdict}`);
  return lines;
}

const ISSUES: Record<string, string> = {
  NetworkSecurityRule: "Dropped by the network security group rule",
  UserDefinedRoute: "Dropped by a user-defined route",
  Platform: "Dropped by the platform",
  DnsResolution: "The name cannot be resolved",
  GuestFirewall: "Not taken by the destination itself",
};

function troubleText(issue: Issue): string {
  const pairs = issue.context.map((one) => ("key" in one ? [one.key, one.value] : (Object.entries(one)[0] ?? []))) as [string, string][];
  const rule = pairs.find(([name]) => name === "RuleName")?.[1];
  const words = ISSUES[issue.type] ?? issue.type;
  if (rule !== undefined) return `${words} ${rule.replace(/^(User|Default)Rule_/, "")}`;
  const rest = pairs.filter(([name]) => name !== "RouteType").map(([, value]) => value);
  return rest.length > 0 ? `${words}: ${rest.join(", ")}` : words;
}

/** What the route touches: the networks among them are opened, so that it is seen. */
export function touched(route: Route, graph: Graph): string[] {
  const keys = new Set(route.hops.map((hop) => hop.key));
  return graph.networks.filter((network) => network.subnets.some((subnet) => subnet.stations.some((station) => keys.has(station.key)))).map((network) => network.key);
}
