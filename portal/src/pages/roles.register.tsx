// What the lists and pages of roles and deployments show beyond their names.

import { History20Regular } from "@fluentui/react-icons";
import { lazy } from "react";

import type { Resource } from "../arm/client";
import { GROUP_TYPE } from "../arm/ids";
import { register } from "./registry";

const ASSIGNMENT = "Microsoft.Authorization/roleAssignments";
const DEFINITION = "Microsoft.Authorization/roleDefinitions";
const DEPLOYMENT = "Microsoft.Resources/deployments";

function text(resource: Resource, name: string): string {
  const found = resource.properties?.[name];
  return typeof found === "string" ? found : "";
}

function role(resource: Resource): { id: string }[] {
  const id = text(resource, "roleDefinitionId");
  return id === "" ? [] : [{ id }];
}

register.column(
  { type: DEFINITION, key: "role", title: "Role", width: 2, value: (resource) => text(resource, "roleName") },
  { type: DEFINITION, key: "kind", title: "Type", width: 1, value: (resource) => text(resource, "type") },
  { type: ASSIGNMENT, key: "principal", title: "Principal ID", width: 2, value: (resource) => text(resource, "principalId") },
);
register.essential(
  { type: DEFINITION, title: "Role", value: (resource) => text(resource, "roleName") },
  { type: DEFINITION, title: "Type", value: (resource) => text(resource, "type") },
  { type: DEFINITION, title: "Description", value: (resource) => text(resource, "description") },
  { type: ASSIGNMENT, title: "Role", value: role },
  { type: ASSIGNMENT, title: "Principal ID", value: (resource) => text(resource, "principalId") },
  { type: ASSIGNMENT, title: "Principal type", value: (resource) => text(resource, "principalType") },
  { type: ASSIGNMENT, title: "Description", value: (resource) => text(resource, "description") },
  { type: DEPLOYMENT, title: "Status", value: (resource) => text(resource, "provisioningState") },
  { type: DEPLOYMENT, title: "Last modified", value: (resource) => text(resource, "timestamp") },
  { type: DEPLOYMENT, title: "Duration", value: (resource) => text(resource, "duration") },
  { type: DEPLOYMENT, title: "Correlation ID", value: (resource) => text(resource, "correlationId") },
);
register.menu({
  type: GROUP_TYPE,
  key: "deployments",
  title: "Deployments",
  group: "Settings",
  icon: History20Regular,
  order: 45,
  component: lazy(() => import("./Deployments")),
});
