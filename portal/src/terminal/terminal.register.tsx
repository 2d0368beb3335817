// Connecting to a virtual machine, and the terminal in a tab of its own.

import { PlugConnected20Regular, ShieldLock20Regular, WindowConsole20Regular } from "@fluentui/react-icons";
import { lazy } from "react";

import { register } from "../pages/registry";
import { resourcePath } from "../shell/router";
import { VIRTUAL_MACHINE } from "./machine";

register.menu(
  { type: VIRTUAL_MACHINE, key: "connect", title: "Connect", group: "Connect", icon: PlugConnected20Regular, order: 30, component: lazy(() => import("./Connect")) },
  { type: VIRTUAL_MACHINE, key: "bastion", title: "Bastion", group: "Connect", icon: ShieldLock20Regular, order: 31, component: lazy(() => import("./Bastion")) },
);
register.command({
  type: VIRTUAL_MACHINE,
  key: "connect",
  title: "Connect",
  icon: PlugConnected20Regular,
  order: 0,
  permission: `${VIRTUAL_MACHINE}/read`,
  run: (resource) => resourcePath(resource.id, "connect"),
});
register.tool({ key: "bastion", title: "Bastion", icon: WindowConsole20Regular, listed: false, component: lazy(() => import("./TerminalTab")) });
