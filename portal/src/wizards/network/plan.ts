// Address spaces and subnets while a network is being planned: what is proposed, what is wrong, what is sent.

import type { Json, Resource } from "../../arm/client";
import { addresses, contains, forbidden, formatNet, nextFree, overlap, parseNet, prefixError, span, type Net } from "../../arm/nets";
import { nameError } from "../../forms/checks";

export const BASTION_SUBNET = "AzureBastionSubnet";
export const GATEWAY_SUBNET = "GatewaySubnet";
const SUBNET_TYPE = "Microsoft.Network/virtualNetworks/subnets";

export type Purpose = "Default" | "Azure Bastion" | "Virtual Network Gateway";

/** The name that a purpose prescribes. */
export const NAMES: Partial<Record<Purpose, string>> = { "Azure Bastion": BASTION_SUBNET, "Virtual Network Gateway": GATEWAY_SUBNET };

/** The smallest subnets that the API takes: lengths are not above these. */
export const LONGEST: Record<Purpose, number> = { Default: 29, "Azure Bastion": 26, "Virtual Network Gateway": 29 };

export interface Subnet {
  readonly purpose: Purpose;
  readonly name: string;
  /** First address, as typed. */
  readonly start: string;
  readonly length: number;
  readonly isPrivate: boolean;
  readonly securityGroup?: string | undefined;
  readonly routeTable?: string | undefined;
}

export interface Space {
  readonly start: string;
  readonly length: number;
  readonly subnets: readonly Subnet[];
}

export function netOf({ start, length }: { start: string; length: number }): Net | undefined {
  return parseNet(`${start.trim()}/${length}`);
}

export function prefixOf({ start, length }: { start: string; length: number }): string {
  return `${start.trim()}/${length}`;
}

function newSubnet(purpose: Purpose, name: string, net: Net): Subnet {
  return { purpose, name, start: formatNet(net).split("/")[0]!, length: net.length, isPrivate: false };
}

/** The IPv4 prefixes of networks that are there. */
export function spacesOf(network: Resource): Net[] {
  const space = (network.properties?.addressSpace ?? {}) as { addressPrefixes?: string[] };
  return (space.addressPrefixes ?? []).map(parseNet).filter((net) => net !== undefined);
}

/** The first /16 of 10.0.0.0/8 and the other private ranges that none of the networks touches. */
export function freeSpace(networks: readonly Resource[], more: readonly Net[] = []): Net {
  const taken = [...networks.flatMap(spacesOf), ...more];
  for (const range of ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"]) {
    const free = nextFree(parseNet(range)!, 16, taken);
    if (free !== undefined) return free;
  }
  return parseNet("10.0.0.0/16")!;
}

/** One space with one subnet of 256 addresses; with Bastion's behind it where that is wanted. */
export function propose(networks: readonly Resource[], bastion: boolean): Space[] {
  const net = freeSpace(networks);
  const space = spaceOf(net, [newSubnet("Default", "default", { first: net.first, length: 24 })]);
  return bastion ? withBastion([space]) : [space];
}

export function spaceOf(net: Net, subnets: readonly Subnet[] = []): Space {
  return { start: formatNet(net).split("/")[0]!, length: net.length, subnets };
}

/** A subnet in the first free range of the space: as long as asked for, or longer where there is no room. */
export function freeSubnet(space: Space, length: number, purpose: Purpose = "Default", name = ""): Subnet | undefined {
  const outer = netOf(space);
  const taken = space.subnets.map(netOf).filter((net) => net !== undefined);
  for (let tried = length; outer !== undefined && tried <= LONGEST[purpose]; tried++) {
    const free = nextFree(outer, tried, taken);
    if (free !== undefined) return newSubnet(purpose, name, free);
  }
  return undefined;
}

export function hasBastion(spaces: readonly Space[]): boolean {
  return spaces.some((space) => space.subnets.some((subnet) => subnet.name.toLowerCase() === BASTION_SUBNET.toLowerCase()));
}

/** With a subnet for Bastion in the first space that has room. */
export function withBastion(spaces: readonly Space[]): Space[] {
  if (hasBastion(spaces)) return [...spaces];
  let done = false;
  return spaces.map((space) => {
    const subnet = done ? undefined : freeSubnet(space, 26, "Azure Bastion", BASTION_SUBNET);
    if (subnet === undefined) return space;
    done = true;
    return { ...space, subnets: [...space.subnets, subnet] };
  });
}

export function withoutBastion(spaces: readonly Space[]): Space[] {
  return spaces.map((space) => ({ ...space, subnets: space.subnets.filter((subnet) => subnet.purpose !== "Azure Bastion") }));
}

export function spaceError(space: Space, others: readonly Space[]): string | undefined {
  const wrong = prefixError(space.start, space.length);
  if (wrong !== undefined) return wrong;
  const net = netOf(space)!;
  const reserved = forbidden(net);
  if (reserved !== undefined) return `The range ${reserved} is reserved.`;
  const clash = others.find((other) => other !== space && netOf(other) !== undefined && overlap(net, netOf(other)!));
  return clash === undefined ? undefined : `The address space overlaps with ${prefixOf(clash)}.`;
}

/** Networks that could not be peered with this one: a warning, no error. */
export function clashes(space: Space, networks: readonly Resource[]): string[] {
  const net = netOf(space);
  return net === undefined ? [] : networks.filter((network) => spacesOf(network).some((other) => overlap(other, net))).map((network) => network.name);
}

export function subnetNameError(subnet: Subnet, others: readonly Subnet[]): string | undefined {
  const prescribed = NAMES[subnet.purpose];
  if (prescribed !== undefined && subnet.name !== prescribed) return `The name must be ${prescribed}.`;
  return nameError(SUBNET_TYPE, subnet.name, others.map((other) => other.name));
}

export function subnetRangeError(subnet: Subnet, space: Space, others: readonly Subnet[]): string | undefined {
  const wrong = prefixError(subnet.start, subnet.length);
  if (wrong !== undefined) return wrong;
  const net = netOf(subnet)!;
  if (subnet.length > LONGEST[subnet.purpose]) return `The smallest size is /${LONGEST[subnet.purpose]} (${addresses(LONGEST[subnet.purpose])}).`;
  const outer = netOf(space);
  if (outer === undefined || !contains(outer, net)) return `The range ${span(net)} is not within the address space ${prefixOf(space)}.`;
  const clash = others.find((other) => netOf(other) !== undefined && overlap(netOf(other)!, net));
  return clash === undefined ? undefined : `The range overlaps with subnet '${clash.name}' (${prefixOf(clash)}).`;
}

/** What is wrong with a subnet among all of the network. */
export function subnetError(subnet: Subnet, space: Space, spaces: readonly Space[]): string | undefined {
  const others = spaces.flatMap((found) => found.subnets).filter((other) => other !== subnet);
  return subnetNameError(subnet, others) ?? subnetRangeError(subnet, space, others);
}

export function spacesError(spaces: readonly Space[], bastion: boolean): string | undefined {
  if (spaces.length === 0) return "A virtual network needs an address space.";
  for (const space of spaces) {
    const wrong = spaceError(space, spaces) ?? space.subnets.map((subnet) => subnetError(subnet, space, spaces)).find((error) => error !== undefined);
    if (wrong !== undefined) return wrong;
  }
  return bastion && !hasBastion(spaces) ? `Azure Bastion needs a subnet named ${BASTION_SUBNET} of /26 or larger.` : undefined;
}

/** The lengths that fit: from the space's own to the smallest of the purpose. */
export function lengthsFor(space: Space, purpose: Purpose): number[] {
  const from = Math.max(space.length, 2);
  return Array.from({ length: Math.max(0, LONGEST[purpose] - from + 1) }, (_, n) => from + n);
}

/** "/24 (256 addresses)" */
export function sizeText(length: number): string {
  return `/${length} (${addresses(length)})`;
}

export function networkProperties(spaces: readonly Space[]): Json {
  return {
    addressSpace: { addressPrefixes: spaces.map(prefixOf) },
    subnets: spaces.flatMap((space) =>
      space.subnets.map((subnet) => ({
        name: subnet.name,
        properties: {
          addressPrefix: prefixOf(subnet),
          // Said always: what it is when it is left out differs between the API's versions.
          defaultOutboundAccess: !subnet.isPrivate,
          ...(subnet.securityGroup === undefined ? {} : { networkSecurityGroup: { id: subnet.securityGroup } }),
          ...(subnet.routeTable === undefined ? {} : { routeTable: { id: subnet.routeTable } }),
        },
      })),
    ),
  };
}

/** The next space to offer beside those of the form. */
export function nextSpace(spaces: readonly Space[], networks: readonly Resource[]): Space {
  return spaceOf(freeSpace(networks, spaces.map(netOf).filter((net) => net !== undefined)));
}
