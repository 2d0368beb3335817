import { lazy } from "react";

import { register } from "../pages/registry";
import { MACHINE } from "./shapes";

register.wizard({ type: MACHINE, title: "Create a virtual machine", label: "Azure virtual machine", component: lazy(() => import("./CreateMachine")) });
