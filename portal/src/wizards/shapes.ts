// The types that wizards make, and the parts of their documents that more than one wizard sends.

import type { Json, Resource } from "../arm/client";

export const NETWORK = "Microsoft.Network/virtualNetworks";
export const PUBLIC_IP = "Microsoft.Network/publicIPAddresses";
export const SECURITY_GROUP = "Microsoft.Network/networkSecurityGroups";
export const APPLICATION_GROUP = "Microsoft.Network/applicationSecurityGroups";
export const INTERFACE = "Microsoft.Network/networkInterfaces";
export const ROUTE_TABLE = "Microsoft.Network/routeTables";
export const BASTION = "Microsoft.Network/bastionHosts";
export const MACHINE = "Microsoft.Compute/virtualMachines";

export function addressSku(name: string): Json {
  return { name, tier: "Regional" };
}

export function isFree(publicIp: Resource): boolean {
  return publicIp.properties?.ipConfiguration === undefined;
}

/** A Bastion host takes a static Standard address that nothing else has. */
export function freeForBastion(publicIp: Resource): boolean {
  return isFree(publicIp) && publicIp.sku?.name === "Standard" && publicIp.properties?.publicIPAllocationMethod === "Static";
}

export function bastionProperties(subnet: string, publicIp: string): Json {
  return { ipConfigurations: [{ name: "IpConf", properties: { privateIPAllocationMethod: "Dynamic", subnet: { id: subnet }, publicIPAddress: { id: publicIp } } }] };
}
