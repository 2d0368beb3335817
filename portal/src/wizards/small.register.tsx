import { lazy } from "react";

import { register } from "../pages/registry";
import { APPLICATION_GROUP, BASTION, INTERFACE, PUBLIC_IP, ROUTE_TABLE, SECURITY_GROUP } from "./shapes";

register.wizard(
  { type: PUBLIC_IP, title: "Create public IP address", component: lazy(() => import("./CreateAddress")) },
  { type: SECURITY_GROUP, title: "Create network security group", component: lazy(() => import("./CreateSecurityGroup")) },
  { type: APPLICATION_GROUP, title: "Create an application security group", component: lazy(() => import("./CreateApplicationGroup")) },
  { type: INTERFACE, title: "Create network interface", component: lazy(() => import("./CreateInterface")) },
  { type: ROUTE_TABLE, title: "Create Route table", component: lazy(() => import("./CreateRouteTable")) },
  { type: BASTION, title: "Create a Bastion", component: lazy(() => import("./CreateBastion")) },
);
