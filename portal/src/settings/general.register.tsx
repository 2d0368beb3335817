// The activity log and Access control of everything.

import { Book20Regular, PeopleTeam20Regular } from "@fluentui/react-icons";
import { lazy } from "react";

import { register } from "../pages/registry";

const log = (name: "ResourceLog") => lazy(() => import("./ActivityLog").then((page) => ({ default: page[name] })));
/** What has no roles of its own: the assignments and roles themselves. */
const except = ["Microsoft.Authorization/roleAssignments", "Microsoft.Authorization/roleDefinitions"];

register.menu(
  { type: "*", key: "activityLog", title: "Activity log", icon: Book20Regular, order: 1, except, component: log("ResourceLog") },
  { type: "*", key: "access", title: "Access control (IAM)", icon: PeopleTeam20Regular, order: 2, except, component: lazy(() => import("./Access")) },
);

register.tool({ key: "activity-log", title: "Activity log", icon: Book20Regular, listed: true, component: lazy(() => import("./ActivityLog").then((page) => ({ default: page.LogTool }))) });
