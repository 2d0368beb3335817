// What a virtual machine's document says: its power, its interfaces, its disks, its image and size.

import type { Json, Resource } from "../arm/client";
import { object, objects, refId } from "./change";
import { property } from "./Sublist";

export const MACHINE = "Microsoft.Compute/virtualMachines";

/** `running`, `stopped`, `deallocated`, …; empty where the document was read without its instance view. */
export function powerOf(machine: Resource): string {
  const codes = objects(object(machine.properties?.instanceView), "statuses").map((status) => String(status.code ?? ""));
  return codes.find((code) => code.startsWith("PowerState/"))?.slice("PowerState/".length) ?? "";
}

export function statusOf(machine: Resource): string {
  const statuses = objects(object(machine.properties?.instanceView), "statuses");
  const shown = statuses.find((status) => String(status.code ?? "").startsWith("PowerState/"))?.displayStatus;
  return typeof shown === "string" ? shown.replace(/^VM /, "").replace(/^./, (letter) => letter.toUpperCase()) : "-";
}

/** Ids of its interfaces, the primary one first. */
export function interfacesOf(machine: Resource): string[] {
  const found = objects(object(machine.properties?.networkProfile), "networkInterfaces");
  const primary = (one: Json): number => (object(one.properties).primary === true ? 0 : 1);
  return [...found].sort((one, two) => primary(one) - primary(two)).flatMap((one) => refId(one) ?? []);
}

export function systemOf(machine: Resource): string {
  const kind = property(machine, "storageProfile.osDisk.osType");
  const reference = [property(machine, "storageProfile.imageReference.offer"), property(machine, "storageProfile.imageReference.sku")].filter((part) => part !== "").join(" ");
  return reference === "" ? kind : `${kind} (${reference})`;
}

export function disksOf(machine: Resource): { osDisk: Json; dataDisks: Json[] } {
  const profile = object(machine.properties?.storageProfile);
  return { osDisk: object(profile.osDisk), dataDisks: objects(profile, "dataDisks") };
}
