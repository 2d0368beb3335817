// Where interfaces and machines say which application security groups they are in.

import { ShieldPerson20Regular } from "@fluentui/react-icons";
import { lazy } from "react";

import { register } from "../pages/registry";
import { MACHINE } from "./machine";

const page = (name: "OfInterface" | "OfMachine") => lazy(() => import("./Memberships").then((found) => ({ default: found[name] })));
const entry = { key: "applicationSecurityGroups", title: "Application security groups", icon: ShieldPerson20Regular };

register.menu(
  { ...entry, type: MACHINE, group: "Networking", order: 36, component: page("OfMachine") },
  { ...entry, type: "Microsoft.Network/networkInterfaces", group: "Settings", order: 42, component: page("OfInterface") },
);
