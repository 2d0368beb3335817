// The topology as a page of a virtual network or a resource group: what is in it, and what is peered with it.

import type { ReactNode } from "react";

import type { ResourceProps } from "../pages/registry";
import { Topology } from "./Topology";

export default function Diagram({ id }: ResourceProps): ReactNode {
  return (
    <div className="topology-page">
      <Topology scope={id.text} />
    </div>
  );
}
