// Create an application security group: a name alone. Its members are added at their interfaces, and rules name it.

import type { ReactNode } from "react";

import { CreateNamed } from "./CreateNamed";
import { APPLICATION_GROUP } from "./shapes";

const KIND = {
  type: APPLICATION_GROUP,
  title: "Create an application security group",
  list: "Application security groups",
  lead: "An application security group stands for the network interfaces of an application in the rules of network security groups, in place of their addresses.",
  deployment: "Microsoft.ApplicationSecurityGroup",
  properties: {},
};

export default function CreateApplicationGroup({ known }: { known: URLSearchParams }): ReactNode {
  return <CreateNamed kind={KIND} known={known} />;
}
