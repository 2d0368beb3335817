// Connection troubleshoot from the page of a virtual machine.

import type { ReactNode } from "react";

import { useCan } from "../arm/hooks";
import type { ResourceProps } from "../pages/registry";
import { Empty } from "../shell/Blade";
import { ConnectionTroubleshoot } from "./ConnectionTroubleshoot";
import "./watcher.css";

export default function OfMachine({ id, resource }: ResourceProps): ReactNode {
  const can = useCan(`/subscriptions/${id.subscription}`);
  if (!can("Microsoft.Network/networkWatchers/connectivityCheck/action")) return <Empty title="Your roles do not allow to check connections" />;
  return <ConnectionTroubleshoot machine={resource.id} />;
}
