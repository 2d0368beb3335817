// The icon of a resource type, by Fluent's icons; a type without one gets a box.

import {
  Box20Filled,
  Cube20Filled,
  Desktop20Filled,
  GlobeDesktop20Filled,
  HardDrive20Filled,
  Key20Filled,
  NetworkCheck20Filled,
  PeopleTeam20Filled,
  PlugConnected20Filled,
  Rocket20Filled,
  Router20Filled,
  Shield20Filled,
  ShieldKeyhole20Filled,
  ShieldPerson20Filled,
  ShieldTask20Filled,
  Link20Filled,
  TableSimple20Filled,
  VirtualNetwork20Filled,
  BranchFork20Filled,
  type FluentIcon,
} from "@fluentui/react-icons";
import type { ReactNode } from "react";

const ICONS: Record<string, [FluentIcon, string]> = {
  "microsoft.resources/subscriptions": [Key20Filled, "gold"],
  "microsoft.resources/resourcegroups": [Cube20Filled, "blue"],
  "microsoft.resources/deployments": [Rocket20Filled, "blue"],
  "microsoft.network/virtualnetworks": [VirtualNetwork20Filled, "teal"],
  "microsoft.network/virtualnetworks/subnets": [BranchFork20Filled, "teal"],
  "microsoft.network/virtualnetworks/virtualnetworkpeerings": [Link20Filled, "teal"],
  "microsoft.network/networkinterfaces": [PlugConnected20Filled, "green"],
  "microsoft.network/networksecuritygroups": [Shield20Filled, "blue"],
  "microsoft.network/networksecuritygroups/securityrules": [ShieldTask20Filled, "blue"],
  "microsoft.network/applicationsecuritygroups": [ShieldPerson20Filled, "blue"],
  "microsoft.network/publicipaddresses": [GlobeDesktop20Filled, "blue"],
  "microsoft.network/routetables": [TableSimple20Filled, "green"],
  "microsoft.network/routetables/routes": [Router20Filled, "green"],
  "microsoft.network/bastionhosts": [ShieldKeyhole20Filled, "purple"],
  "microsoft.network/networkwatchers": [NetworkCheck20Filled, "teal"],
  "microsoft.compute/virtualmachines": [Desktop20Filled, "blue"],
  "microsoft.compute/disks": [HardDrive20Filled, "gray"],
  "microsoft.authorization/roleassignments": [PeopleTeam20Filled, "purple"],
  "microsoft.authorization/roledefinitions": [PeopleTeam20Filled, "gray"],
};

export function TypeIcon({ type, large = false }: { type: string; large?: boolean }): ReactNode {
  const [Icon, colour] = ICONS[type.toLowerCase()] ?? [Box20Filled, "gray"];
  return <Icon aria-hidden className={`type-icon type-icon-${colour}${large ? " type-icon-large" : ""}`} />;
}
