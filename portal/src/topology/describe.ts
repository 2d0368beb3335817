// What a place of the drawing is, in words: for screen readers, for tooltips, for the panel beside it.

import { nameOf } from "../arm/ids";
import { plain } from "./text";
import type { Box } from "./layout";
import { stateText, type Graph, type Network, type Peering, type Station } from "./model";

const KINDS: Record<Station["kind"], string> = {
  machine: "Virtual machine",
  appliance: "Virtual appliance",
  bastion: "Bastion",
  interface: "Network interface",
};

export const kindOf = (station: Station): string => KINDS[station.kind];

export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

export function machinesOf(network: Network): number {
  const stations = network.subnets.flatMap((subnet) => subnet.stations);
  return new Set(stations.filter((station) => station.machine !== undefined).map((station) => station.id.toLowerCase())).size;
}

/** "2 subnets · 3 VMs" */
export function contents(network: Network): string {
  if (!network.known) return "Not readable";
  return [count(network.subnets.length, "subnet"), count(machinesOf(network), "VM")].join(" · ");
}

export function describe(box: Box): string {
  switch (box.kind) {
    case "network":
      return plain(`Virtual network ${box.network.name}, ${[...box.network.prefixes, contents(box.network)].join(", ")}`);
    case "subnet": {
      const { subnet } = box;
      const parts = [`Subnet ${subnet.name}`, ...subnet.prefixes];
      if (subnet.securityGroup !== undefined) parts.push(`network security group ${nameOf(subnet.securityGroup)}`);
      if (subnet.routeTable !== undefined) parts.push(`route table ${nameOf(subnet.routeTable)}`);
      return plain([...parts, ...subnet.routes].join(", "));
    }
    case "station": {
      const { station } = box;
      const parts = [`${kindOf(station)} ${station.name}`];
      if (station.address !== "") parts.push(station.address);
      parts.push(...station.publicAddresses.map((address) => `public IP ${address}`));
      if (station.securityGroup !== undefined) parts.push(`network security group ${nameOf(station.securityGroup)}`);
      return plain(parts.join(", "));
    }
    case "more":
      return `${box.count} more`;
    case "internet":
      return "Internet";
  }
}

export function peeringText(peering: Peering, graph: Graph): string {
  const names = peering.ends.map((end) => graph.networks.find((network) => network.key === end)?.name ?? nameOf(end));
  return plain(`Peering ${names.join(" – ")}: ${stateText(peering)}`);
}
