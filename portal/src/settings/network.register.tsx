// The settings pages of virtual networks.

import { Link20Regular } from "@fluentui/react-icons";
import { lazy } from "react";

import { register } from "../pages/registry";
import { NETWORK, PEERING, removeBoth } from "./peerings";

register.menu({ type: NETWORK, key: "peerings", title: "Peerings", group: "Settings", icon: Link20Regular, order: 42, child: PEERING, component: lazy(() => import("./Peerings")) });

register.deletion({
  type: PEERING,
  warning: "The peering of the remote virtual network is deleted as well. The networks will no longer reach each other by it.",
  run: removeBoth,
});
