// What the lists of the REST API say about networks, as one graph: networks with their subnets, what stands in them, and the
// peerings between networks, one for the two halves. Pure: the same lists give the same graph, in the same order.

import { nameOf, parseId } from "../arm/ids";

interface Ref {
  id: string;
}

interface IpConfiguration {
  name?: string;
  properties: { subnet?: Ref; privateIPAddress?: string; publicIPAddress?: Ref; primary?: boolean };
}

export interface NetworkFact {
  id: string;
  name: string;
  location?: string;
  properties: {
    addressSpace?: { addressPrefixes?: string[] };
    subnets?: {
      id: string;
      name: string;
      properties: { addressPrefix?: string; addressPrefixes?: string[]; networkSecurityGroup?: Ref; routeTable?: Ref };
    }[];
    virtualNetworkPeerings?: {
      id: string;
      name: string;
      properties: { remoteVirtualNetwork?: Ref; peeringState?: string; peeringSyncLevel?: string; remoteAddressSpace?: { addressPrefixes?: string[] } };
    }[];
  };
}

export interface InterfaceFact {
  id: string;
  name: string;
  location?: string;
  properties: { virtualMachine?: Ref; enableIPForwarding?: boolean; networkSecurityGroup?: Ref; ipConfigurations?: IpConfiguration[] };
}

export interface BastionFact {
  id: string;
  name: string;
  location?: string;
  properties: { ipConfigurations?: IpConfiguration[] };
}

export interface PublicAddressFact {
  id: string;
  name: string;
  properties: { ipAddress?: string };
}

export interface RouteTableFact {
  id: string;
  name: string;
  properties: { routes?: { name: string; properties: { addressPrefix?: string; nextHopType?: string; nextHopIpAddress?: string } }[] };
}

export interface Facts {
  readonly networks: readonly NetworkFact[];
  readonly interfaces: readonly InterfaceFact[];
  readonly bastions: readonly BastionFact[];
  readonly publicAddresses: readonly PublicAddressFact[];
  readonly routeTables: readonly RouteTableFact[];
}

/** An interface with its machine (or none), or a Bastion host: what flows begin and end at. */
export interface Station {
  /** Id of the interface or host in lower case. */
  readonly key: string;
  readonly kind: "machine" | "appliance" | "bastion" | "interface";
  /** What is opened: the machine where there is one. */
  readonly id: string;
  /** Undefined for a Bastion host. */
  readonly machine: string | undefined;
  readonly name: string;
  readonly location: string;
  readonly address: string;
  readonly publicAddresses: readonly string[];
  readonly securityGroup: string | undefined;
}

export interface Subnet {
  readonly key: string;
  readonly id: string;
  readonly name: string;
  readonly prefixes: readonly string[];
  readonly securityGroup: string | undefined;
  readonly routeTable: string | undefined;
  /** `0.0.0.0/0 → nva` */
  readonly routes: readonly string[];
  readonly stations: readonly Station[];
}

export interface Network {
  readonly key: string;
  readonly id: string;
  readonly name: string;
  readonly location: string;
  readonly prefixes: readonly string[];
  readonly subnets: readonly Subnet[];
  /** False for the far end of a peering that the user may not read, or that is gone. */
  readonly known: boolean;
}

export interface Half {
  readonly id: string;
  readonly name: string;
  readonly of: string;
  readonly state: string;
  readonly sync: string;
}

export interface Peering {
  readonly key: string;
  /** Keys of the two networks, in order. */
  readonly ends: readonly [string, string];
  readonly halves: readonly Half[];
  /** Of both halves together: the lesser one. */
  readonly state: "Connected" | "Initiated" | "Disconnected";
  readonly synced: boolean;
}

export interface Graph {
  readonly networks: readonly Network[];
  readonly peerings: readonly Peering[];
  /** Whether anything has a public address. */
  readonly internet: boolean;
}

const key = (id: string): string => id.toLowerCase();
const byName = (one: { name: string; key: string }, two: { name: string; key: string }): number =>
  one.name.localeCompare(two.name, "en", { numeric: true }) || (one.key < two.key ? -1 : 1);

export function graphOf(facts: Facts): Graph {
  const stations = stationsOf(facts);
  const holder = new Map<string, string>();
  for (const found of [...stations.values()].flat()) holder.set(found.address, found.name);
  const tables = new Map(facts.routeTables.map((table) => [key(table.id), table]));
  const networks = facts.networks.map((fact): Network => ({
    key: key(fact.id),
    id: fact.id,
    name: fact.name,
    location: fact.location ?? "",
    prefixes: fact.properties.addressSpace?.addressPrefixes ?? [],
    subnets: (fact.properties.subnets ?? []).map((subnet) => {
      const table = subnet.properties.routeTable;
      return {
        key: key(subnet.id),
        id: subnet.id,
        name: subnet.name,
        prefixes: subnet.properties.addressPrefixes ?? (subnet.properties.addressPrefix === undefined ? [] : [subnet.properties.addressPrefix]),
        securityGroup: subnet.properties.networkSecurityGroup?.id,
        routeTable: table?.id,
        routes: table === undefined ? [] : routesOf(tables.get(key(table.id)), holder),
        stations: (stations.get(key(subnet.id)) ?? []).sort(byName),
      };
    }),
    known: true,
  }));
  const peerings = peeringsOf(facts.networks);
  const present = new Set(networks.map((network) => network.key));
  for (const half of facts.networks.flatMap((network) => network.properties.virtualNetworkPeerings ?? [])) {
    const remote = half.properties.remoteVirtualNetwork?.id;
    if (remote === undefined || present.has(key(remote))) continue;
    present.add(key(remote));
    networks.push({ key: key(remote), id: remote, name: nameOf(remote), location: "", prefixes: half.properties.remoteAddressSpace?.addressPrefixes ?? [], subnets: [], known: false });
  }
  return { networks: networks.sort(byName), peerings, internet: [...stations.values()].flat().some((found) => found.publicAddresses.length > 0) };
}

/** By subnet, in lower case. */
function stationsOf(facts: Facts): Map<string, Station[]> {
  const addresses = new Map(facts.publicAddresses.map((fact) => [key(fact.id), fact.properties.ipAddress ?? fact.name]));
  const found = new Map<string, Station[]>();
  const add = (subnet: string | undefined, station: Station): void => {
    if (subnet === undefined) return;
    found.set(key(subnet), [...(found.get(key(subnet)) ?? []), station]);
  };
  const publicOf = (configurations: readonly IpConfiguration[]): string[] =>
    configurations.flatMap(({ properties }) => (properties.publicIPAddress ? [addresses.get(key(properties.publicIPAddress.id)) ?? nameOf(properties.publicIPAddress.id)] : []));
  const machines = facts.interfaces.map((fact) => fact.properties.virtualMachine?.id.toLowerCase());
  for (const fact of facts.interfaces) {
    const { virtualMachine, enableIPForwarding, ipConfigurations = [], networkSecurityGroup } = fact.properties;
    const primary = ipConfigurations.find((one) => one.properties.primary) ?? ipConfigurations[0];
    const several = virtualMachine !== undefined && machines.filter((id) => id === key(virtualMachine.id)).length > 1;
    const name = virtualMachine === undefined ? fact.name : nameOf(virtualMachine.id);
    add(primary?.properties.subnet?.id, {
      key: key(fact.id),
      kind: virtualMachine === undefined ? "interface" : enableIPForwarding ? "appliance" : "machine",
      id: virtualMachine?.id ?? fact.id,
      machine: virtualMachine?.id,
      name: several ? `${name} (${fact.name})` : name,
      location: fact.location ?? "",
      address: primary?.properties.privateIPAddress ?? "",
      publicAddresses: publicOf(ipConfigurations),
      securityGroup: networkSecurityGroup?.id,
    });
  }
  for (const fact of facts.bastions) {
    const configurations = fact.properties.ipConfigurations ?? [];
    add(configurations[0]?.properties.subnet?.id, {
      key: key(fact.id),
      kind: "bastion",
      id: fact.id,
      machine: undefined,
      name: fact.name,
      location: fact.location ?? "",
      address: "",
      publicAddresses: publicOf(configurations),
      securityGroup: undefined,
    });
  }
  return found;
}

const HOPS: Record<string, string> = { VnetLocal: "virtual network", None: "dropped", VirtualNetworkGateway: "gateway" };

function routesOf(table: RouteTableFact | undefined, holder: ReadonlyMap<string, string>): string[] {
  return (table?.properties.routes ?? []).map(({ properties }) => {
    const address = properties.nextHopIpAddress ?? "";
    const type = properties.nextHopType ?? "";
    const hop = address === "" ? (HOPS[type] ?? type) : holder.has(address) ? `${holder.get(address)} (${address})` : address;
    return `${properties.addressPrefix ?? ""} → ${hop}`;
  });
}

function peeringsOf(networks: readonly NetworkFact[]): Peering[] {
  const pairs = new Map<string, { ends: [string, string]; halves: Half[] }>();
  for (const network of networks) {
    for (const half of network.properties.virtualNetworkPeerings ?? []) {
      const remote = half.properties.remoteVirtualNetwork?.id;
      if (remote === undefined) continue;
      const ends = [key(network.id), key(remote)].sort() as [string, string];
      const pair = pairs.get(ends.join(" ")) ?? { ends, halves: [] };
      pair.halves.push({ id: half.id, name: half.name, of: key(network.id), state: half.properties.peeringState ?? "", sync: half.properties.peeringSyncLevel ?? "" });
      pairs.set(ends.join(" "), pair);
    }
  }
  return [...pairs.entries()]
    .sort(([one], [two]) => (one < two ? -1 : 1))
    .map(([pair, { ends, halves }]) => ({ key: pair, ends, halves, ...stateOf(halves) }));
}

function stateOf(halves: readonly Half[]): Pick<Peering, "state" | "synced"> {
  const states = halves.map((half) => half.state);
  const synced = halves.every((half) => half.sync === "" || half.sync === "FullyInSync");
  if (states.includes("Disconnected")) return { state: "Disconnected", synced };
  return { state: states.every((state) => state === "Connected") ? "Connected" : "Initiated", synced };
}

/** "Connected", "Connected, not in sync" */
export function stateText(peering: Peering): string {
  return peering.state === "Connected" && !peering.synced ? "Connected, not in sync" : peering.state;
}

/** The part of a graph that a network or a resource group is about: its networks, and those peered with them. */
export function within(graph: Graph, scope: string | undefined): Graph {
  if (scope === undefined) return graph;
  const wanted = key(scope);
  const inside = (network: Network): boolean => network.key === wanted || key(groupOf(network.id)) === wanted;
  const core = new Set(graph.networks.filter(inside).map((network) => network.key));
  const peerings = graph.peerings.filter(({ ends }) => ends.some((end) => core.has(end)));
  const kept = new Set([...core, ...peerings.flatMap(({ ends }) => ends)]);
  const networks = graph.networks.filter((network) => kept.has(network.key));
  return { networks, peerings, internet: allStations({ ...graph, networks }).some((station) => station.publicAddresses.length > 0) };
}

/** Id of the resource group of an id. */
export function groupOf(id: string): string {
  const parsed = parseId(id);
  return parsed?.group === undefined ? "" : `/subscriptions/${parsed.subscription}/resourceGroups/${parsed.group}`;
}

export function allStations(graph: Graph): Station[] {
  return graph.networks.flatMap((network) => network.subnets.flatMap((subnet) => subnet.stations));
}

/** The network that a station's key stands in. */
export function networkAt(graph: Graph, station: string): Network | undefined {
  return graph.networks.find((network) => network.subnets.some((subnet) => subnet.stations.some((one) => one.key === station)));
}
