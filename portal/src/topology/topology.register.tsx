// The topology's page, and its place in the menus of virtual networks and resource groups.

import { Organization20Regular } from "@fluentui/react-icons";
import { lazy } from "react";

import { GROUP_TYPE } from "../arm/ids";
import { register } from "../pages/registry";

register.tool({ key: "topology", title: "Topology", icon: Organization20Regular, listed: true, component: lazy(() => import("./TopologyTool")) });

const Diagram = lazy(() => import("./Diagram"));

register.menu(
  { type: "Microsoft.Network/virtualNetworks", key: "diagram", title: "Diagram", group: "Monitoring", icon: Organization20Regular, order: 70, component: Diagram },
  { type: GROUP_TYPE, key: "diagram", title: "Diagram", group: "Monitoring", icon: Organization20Regular, order: 70, component: Diagram },
);
