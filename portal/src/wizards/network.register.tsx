import { lazy } from "react";

import { register } from "../pages/registry";
import { NETWORK } from "./shapes";

register.wizard({ type: NETWORK, title: "Create virtual network", component: lazy(() => import("./CreateNetwork")) });
