import { lazy } from "react";

import { GROUP_TYPE } from "../arm/ids";
import { register } from "../pages/registry";

register.wizard({ type: GROUP_TYPE, title: "Create a resource group", component: lazy(() => import("./CreateGroup")) });
