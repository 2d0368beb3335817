// Virtual machines: what the overview says and does, and their pages of networking and disks.

import { ArrowReset20Regular, HardDrive20Regular, Play20Regular, PlugConnected20Regular, Stop20Regular } from "@fluentui/react-icons";
import type { FluentIcon } from "@fluentui/react-icons";
import { lazy, type ComponentType } from "react";

import { action, type Resource } from "../arm/client";
import { register } from "../pages/registry";
import { notified } from "../shell/notifications";
import { resourcePath } from "../shell/router";
import { MACHINE, powerOf, systemOf } from "./machine";
import { property } from "./Sublist";

const page = (name: "Networking" | "Disks") => lazy(() => import("./Machine").then((found) => ({ default: found[name] })));
const view = (name: "Status" | "PublicAddress" | "PrivateAddress" | "Place"): ComponentType<{ resource: Resource }> => lazy(() => import("./MachineEssentials").then((found) => ({ default: found[name] })));
const nothing = (): undefined => undefined;

register.menu(
  { type: MACHINE, key: "networking", title: "Network settings", group: "Networking", icon: PlugConnected20Regular, order: 35, component: page("Networking") },
  { type: MACHINE, key: "disks", title: "Disks", group: "Settings", icon: HardDrive20Regular, order: 40, component: page("Disks") },
);

register.essential(
  { type: MACHINE, title: "Status", value: nothing, view: view("Status") },
  { type: MACHINE, title: "Operating system", value: systemOf },
  { type: MACHINE, title: "Size", value: (machine) => property(machine, "hardwareProfile.vmSize") },
  { type: MACHINE, title: "Public IP address", value: nothing, view: view("PublicAddress") },
  { type: MACHINE, title: "Private IP address", value: nothing, view: view("PrivateAddress") },
  { type: MACHINE, title: "Virtual network/subnet", value: nothing, view: view("Place") },
  { type: MACHINE, title: "Computer name", value: (machine) => property(machine, "osProfile.computerName") },
);

/** A button that asks the machine for `name`; Stop deallocates, as it does in Azure's portal. */
function power(key: string, name: string, doing: string, done: string, icon: FluentIcon, order: number, enabled: (state: string) => boolean): void {
  register.command({
    type: MACHINE,
    key: key.toLowerCase(),
    title: key,
    icon,
    order,
    permission: `${MACHINE}/${name}/action`,
    enabled: (machine) => enabled(powerOf(machine)),
    run: (machine) => {
      const words = { title: `${doing} virtual machine`, done: `Successfully ${done} virtual machine`, failed: `Failed to ${key.toLowerCase()} virtual machine`, about: machine.name, to: resourcePath(machine.id) };
      void notified(words, () => action(machine.id, name)).catch(() => undefined);
      return undefined;
    },
  });
}

power("Start", "start", "Starting", "started", Play20Regular, 10, (state) => state !== "running" && state !== "starting");
power("Restart", "restart", "Restarting", "restarted", ArrowReset20Regular, 11, (state) => state === "running");
power("Stop", "deallocate", "Stopping", "stopped", Stop20Regular, 12, (state) => state !== "deallocated" && state !== "deallocating");
