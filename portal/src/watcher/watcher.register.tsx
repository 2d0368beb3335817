// Network Watcher's pages: one tool with a menu, and an entry with each virtual machine.

import { NetworkCheck20Regular, Stethoscope20Regular } from "@fluentui/react-icons";
import { lazy } from "react";

import { register } from "../pages/registry";

register.tool({ key: "network-watcher", title: "Network Watcher", icon: NetworkCheck20Regular, listed: true, component: lazy(() => import("./NetworkWatcher")) });

register.menu({
  type: "Microsoft.Compute/virtualMachines",
  key: "connection-troubleshoot",
  title: "Connection troubleshoot",
  group: "Help",
  icon: Stethoscope20Regular,
  order: 86,
  component: lazy(() => import("./OfMachine")),
});
