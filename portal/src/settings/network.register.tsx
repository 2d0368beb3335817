// The settings pages of virtual networks, network security groups and route tables.

import { ArrowRouting20Regular, BranchFork20Regular, DocumentArrowDown20Regular, DocumentArrowUp20Regular, GlobeLocation20Regular, Link20Regular, Organization20Regular, PlugConnected20Regular } from "@fluentui/react-icons";
import { lazy } from "react";

import { register } from "../pages/registry";
import { NETWORK, PEERING, removeBoth } from "./peerings";
import { RULE, SECURITY_GROUP } from "./rules";

const TABLE = "Microsoft.Network/routeTables";
const associations = (name: "GroupSubnets" | "GroupInterfaces" | "TableSubnets") => lazy(() => import("./Associations").then((page) => ({ default: page[name] })));
const rules = (name: "InboundRules" | "OutboundRules") => lazy(() => import("./SecurityRules").then((page) => ({ default: page[name] })));
const group = "Settings" as const;

register.menu(
  { type: NETWORK, key: "addressSpace", title: "Address space", group, icon: GlobeLocation20Regular, order: 38, component: lazy(() => import("./AddressSpace")) },
  { type: NETWORK, key: "connectedDevices", title: "Connected devices", group, icon: PlugConnected20Regular, order: 39, component: lazy(() => import("./ConnectedDevices")) },
  { type: NETWORK, key: "subnets", title: "Subnets", group, icon: BranchFork20Regular, order: 41, child: `${NETWORK}/subnets`, component: lazy(() => import("./Subnets")) },
  { type: NETWORK, key: "peerings", title: "Peerings", group, icon: Link20Regular, order: 42, child: PEERING, component: lazy(() => import("./Peerings")) },
  { type: SECURITY_GROUP, key: "inboundSecurityRules", title: "Inbound security rules", group, icon: DocumentArrowDown20Regular, order: 40, child: RULE, component: rules("InboundRules") },
  { type: SECURITY_GROUP, key: "outboundSecurityRules", title: "Outbound security rules", group, icon: DocumentArrowUp20Regular, order: 41, component: rules("OutboundRules") },
  { type: SECURITY_GROUP, key: "networkInterfaces", title: "Network interfaces", group, icon: PlugConnected20Regular, order: 42, component: associations("GroupInterfaces") },
  { type: SECURITY_GROUP, key: "subnets", title: "Subnets", group, icon: Organization20Regular, order: 43, component: associations("GroupSubnets") },
  { type: TABLE, key: "routes", title: "Routes", group, icon: ArrowRouting20Regular, order: 40, child: `${TABLE}/routes`, component: lazy(() => import("./Routes")) },
  { type: TABLE, key: "subnets", title: "Subnets", group, icon: Organization20Regular, order: 41, component: associations("TableSubnets") },
);

register.deletion({
  type: PEERING,
  warning: "The peering of the remote virtual network is deleted as well. The networks will no longer reach each other by it.",
  run: removeBoth,
});
