// The machine that a terminal is for, and the Bastion host that leads to it: the one of its network, else of a peered one.

import { get, type Resource } from "../arm/client";
import { useList, useLoaded, useResource } from "../arm/hooks";
import { parseId, sameId } from "../arm/ids";

export const VIRTUAL_MACHINE = "Microsoft.Compute/virtualMachines";
export const BASTION_HOST = "Microsoft.Network/bastionHosts";
const RUNNING = "PowerState/running";

interface Reference {
  id: string;
}

interface Interface extends Resource {
  properties: { ipConfigurations: { properties: { primary?: boolean; subnet?: Reference; privateIPAddress?: string } }[] };
}

export interface Network extends Resource {
  properties: {
    addressSpace?: { addressPrefixes?: string[] };
    subnets?: { id: string; name: string; properties: { addressPrefix?: string; addressPrefixes?: string[] } }[];
    virtualNetworkPeerings?: { properties: { peeringState?: string; remoteVirtualNetwork?: Reference } }[];
  };
}

export interface BastionHost extends Resource {
  properties: { provisioningState?: string; virtualNetwork?: Reference; ipConfigurations?: { properties: { subnet?: Reference } }[] };
}

export interface Way {
  readonly network: Network | undefined;
  /** Undefined while it is looked for, and where there is none. */
  readonly host: BastionHost | undefined;
  readonly loading: boolean;
  readonly error: Error | undefined;
}

/** How Bastion gets to a machine. */
export function useWay(machine: Resource): Way {
  const subscription = parseId(machine.id)!.subscription;
  const nic = useResource<Interface>(primaryInterface(machine));
  const subnet = nic.data?.properties.ipConfigurations.find(({ properties }) => properties.primary !== false)?.properties.subnet?.id;
  const network = useResource<Network>(subnet === undefined ? undefined : parseId(subnet)?.parent);
  const hosts = useList<BastionHost>(`/subscriptions/${subscription}/providers/${BASTION_HOST}`);
  const chosen = network.data === undefined ? undefined : choose(network.data, hosts.data ?? []);
  // Read by itself, since that goes on while the host is being deployed.
  const host = useResource<BastionHost>(chosen?.id);
  const error = nic.error ?? network.error ?? hosts.error;
  return { network: network.data, host: host.data ?? chosen, error, loading: error === undefined && (network.data === undefined || hosts.data === undefined) };
}

function primaryInterface(machine: Resource): string | undefined {
  const profile = machine.properties?.networkProfile as { networkInterfaces?: { id: string; properties?: { primary?: boolean } }[] } | undefined;
  const all = profile?.networkInterfaces ?? [];
  return (all.find((nic) => nic.properties?.primary) ?? all[0])?.id;
}

function choose(network: Network, hosts: readonly BastionHost[]): BastionHost | undefined {
  const peered = (network.properties.virtualNetworkPeerings ?? [])
    .filter(({ properties }) => properties.peeringState === "Connected")
    .map(({ properties }) => properties.remoteVirtualNetwork?.id);
  return hosts.find((host) => sameId(networkOf(host), network.id)) ?? hosts.find((host) => peered.some((other) => sameId(other, networkOf(host))));
}

function networkOf(host: BastionHost): string | undefined {
  const subnet = host.properties.ipConfigurations?.[0]?.properties.subnet?.id;
  return host.properties.virtualNetwork?.id ?? (subnet === undefined ? undefined : parseId(subnet)?.parent);
}

interface InstanceView {
  statuses?: { code: string; displayStatus?: string }[];
}

/** "VM running" and the like, and whether it is that. */
export async function power(machine: string): Promise<{ running: boolean; words: string }> {
  const view = await get<InstanceView>(`${machine}/instanceView`);
  const status = view.statuses?.find(({ code }) => code.startsWith("PowerState/"));
  return { running: status?.code === RUNNING, words: status?.displayStatus ?? "unknown" };
}

/** The power state, read again when something was done to the machine. */
export function usePower(machine: string): { running: boolean; words: string } | undefined {
  return useLoaded(`power of ${machine.toLowerCase()}`, () => power(machine), (id) => id.toLowerCase().startsWith(machine.toLowerCase())).data;
}
