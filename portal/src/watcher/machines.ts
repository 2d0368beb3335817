// The virtual machines that a tool can be asked about, with their interfaces and addresses: by two lists a subscription.

import { action, list } from "../arm/client";
import { useLoaded, type Loaded } from "../arm/hooks";
import { useSession } from "../shell/session";
import type { InterfaceFact } from "../topology/model";
import { watcherFor } from "../topology/flow";

export interface Machine {
  readonly id: string;
  readonly name: string;
  readonly location: string;
  readonly interfaces: readonly { readonly id: string; readonly name: string; readonly addresses: readonly string[] }[];
}

interface MachineFact {
  id: string;
  name: string;
  location?: string;
}

async function machinesOf(subscription: string, signal: AbortSignal): Promise<Machine[]> {
  const at = `/subscriptions/${subscription}/providers`;
  const [machines, interfaces] = await Promise.all([
    list<MachineFact>(`${at}/Microsoft.Compute/virtualMachines`, { signal }),
    list<InterfaceFact>(`${at}/Microsoft.Network/networkInterfaces`, { signal }),
  ]);
  return machines.map((machine) => ({
    id: machine.id,
    name: machine.name,
    location: machine.location ?? "",
    interfaces: interfaces
      .filter((one) => one.properties.virtualMachine?.id.toLowerCase() === machine.id.toLowerCase())
      .map((one) => ({
        id: one.id,
        name: one.name,
        addresses: (one.properties.ipConfigurations ?? []).flatMap(({ properties }) => properties.privateIPAddress ?? []),
      })),
  }));
}

export function useMachines(): Loaded<Machine[]> {
  const { subscriptions } = useSession();
  const ids = subscriptions.map((one) => one.subscriptionId);
  return useLoaded(
    `machines ${ids.join(" ")}`,
    async (signal) => (await Promise.all(ids.map((id) => machinesOf(id, signal)))).flat().sort((one, two) => one.name.localeCompare(two.name, "en", { numeric: true })),
    (id) => id.toLowerCase().includes("/microsoft.compute/") || id.toLowerCase().includes("/networkinterfaces"),
  );
}

/** An answer of the watcher of the machine's region. */
export async function ask<T>(machine: Machine, tool: string, body: unknown): Promise<T> {
  const watcher = await watcherFor(machine.id, machine.location);
  return await action<T>(watcher.id, tool, body);
}
