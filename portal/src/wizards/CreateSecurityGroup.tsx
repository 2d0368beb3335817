// Create network security group: it begins with the default rules alone; its own are added on its pages.

import type { ReactNode } from "react";

import { CreateNamed } from "./CreateNamed";
import { SECURITY_GROUP } from "./shapes";

const KIND = {
  type: SECURITY_GROUP,
  title: "Create network security group",
  list: "Network security groups",
  lead: "A network security group allows or denies traffic of the subnets and network interfaces it is associated with, by rules of source, destination, protocol and port.",
  deployment: "Microsoft.NetworkSecurityGroup",
  properties: { securityRules: [] },
};

export default function CreateSecurityGroup({ known }: { known: URLSearchParams }): ReactNode {
  return <CreateNamed kind={KIND} known={known} />;
}
