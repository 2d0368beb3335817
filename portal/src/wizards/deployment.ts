// What a wizard makes, as one template deployment: validated before, one entry of the activity log, dependencies kept by the
// API, and the state of each resource told as it becomes. Follows Microsoft.Resources/deployments (template syntax).

import { action, ArmError, get, list, put, type Json } from "../arm/client";
import { pause } from "../arm/connection";
import { groupId, GROUP_TYPE, resourceId } from "../arm/ids";
import { permissions } from "../arm/permissions";
import { actionPrefix, typeOf } from "../arm/types";
import { groupSteps, type GroupChoice } from "../forms/project";
import type { Step, StepState } from "../forms/Wizard";

/** A resource of the deployment. Values are taken literally, whatever they look like; only `secret` ones are not. */
export interface Wanted {
  readonly type: string;
  readonly name: string;
  readonly location: string;
  readonly tags?: Record<string, string>;
  readonly sku?: Json;
  readonly zones?: readonly string[];
  readonly properties: Json;
  /** Ids of others of the deployment. */
  readonly after?: readonly string[];
}

export interface Planned {
  readonly subscription: string;
  readonly group: GroupChoice;
  readonly region: string;
  /** First part of the deployment's name: "Microsoft.VirtualNetwork". */
  readonly name: string;
  readonly resources: readonly Wanted[];
  /** The id that "Go to resource" leads to. */
  readonly main: string;
  /** Values of `secret(name)`. */
  readonly secrets?: Record<string, string>;
}

/** Stands in a template for a value that is sent as a secure parameter. */
export class Secret {
  constructor(readonly name: string) {}
}

export function idIn(planned: { subscription: string; group: GroupChoice }, type: string, ...names: string[]): string {
  return resourceId(groupId(planned.subscription, planned.group.name), type, ...names);
}

/** Text in brackets is no expression of the template language. */
function literal(value: unknown): unknown {
  if (value instanceof Secret) return `[parameters('${value.name}')]`;
  if (typeof value === "string") return value.startsWith("[") && value.endsWith("]") ? `[${value}` : value;
  if (Array.isArray(value)) return value.map(literal);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).filter(([, inner]) => inner !== undefined).map(([key, inner]) => [key, literal(inner)]));
}

function resource(wanted: Wanted): Json {
  const { type, name, location, tags, sku, zones, properties, after = [] } = wanted;
  return {
    type,
    apiVersion: typeOf(type)?.apiVersion,
    name: literal(name),
    location,
    ...(tags !== undefined && Object.keys(tags).length > 0 ? { tags: literal(tags) } : {}),
    ...(sku !== undefined ? { sku } : {}),
    ...(zones !== undefined && zones.length > 0 ? { zones } : {}),
    ...(after.length > 0 ? { dependsOn: after } : {}),
    properties: literal(properties),
  };
}

function request(planned: Planned): { properties: Json } {
  const secrets = Object.entries(planned.secrets ?? {});
  return {
    properties: {
      mode: "Incremental",
      template: {
        $schema: "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
        contentVersion: "1.0.0.0",
        parameters: Object.fromEntries(secrets.map(([name]) => [name, { type: "securestring" }])),
        resources: planned.resources.map(resource),
      },
      parameters: Object.fromEntries(secrets.map(([name, value]) => [name, { value }])),
    },
  };
}

function deploymentId(planned: Planned): string {
  const stamp = new Date().toISOString().replace(/\D/g, "").slice(0, 14);
  return idIn(planned, "Microsoft.Resources/deployments", `${planned.name}-${stamp}`);
}

/** Ask the API whether it would take the deployment. About a group that is still to be made it can be asked for rights alone. */
export async function validateDeployment(planned: Planned): Promise<void> {
  const { subscription, group, resources } = planned;
  const all = await list<{ name: string }>(`/subscriptions/${subscription}/resourceGroups`);
  const exists = all.some((found) => found.name.toLowerCase() === group.name.toLowerCase());
  const scope = exists ? groupId(subscription, group.name) : `/subscriptions/${subscription}`;
  const can = await permissions(scope);
  const needed = [...(exists ? [] : [`${actionPrefix(GROUP_TYPE)}/write`]), "Microsoft.Resources/deployments/write", ...resources.map(({ type }) => `${type}/write`)];
  const missing = needed.filter((right) => !can(right));
  if (missing.length > 0) throw new ArmError(403, "AuthorizationFailed", `You do not have authorization to perform the following actions over scope '${scope}': ${missing.join(", ")}.`);
  if (exists) await action(deploymentId(planned), "validate", request(planned));
}

/** The group where it is new, then the deployment, whose parts are its resources. */
export function deploymentSteps(planned: Planned): Step[] {
  const { subscription, group, region, resources, main } = planned;
  const parts = resources.map(({ type, name }) => ({ id: idIn(planned, type, name), type, name }));
  const goal = parts.find((part) => part.id === main) ?? parts.at(-1)!;
  const deployment = deploymentId(planned);
  const body = request(planned);
  const about = `Deployment '${deployment.split("/").at(-1)!}' to resource group '${group.name}'`;
  const words = { title: "Deployment in progress...", done: "Deployment succeeded", failed: "Deployment failed", about };
  const run = async (tell: (id: string, state: StepState) => void): Promise<void> => {
    let over = false;
    const watching = watch(deployment, body, tell, () => over);
    try {
      await put(deployment, body);
      for (const part of parts) tell(part.id, "succeeded");
    } finally {
      over = true;
      await watching;
    }
  };
  return [...groupSteps(subscription, group, region), { ...goal, parts, words, run }];
}

interface Operation {
  properties: { provisioningState: string; targetResource?: { id: string }; statusMessage?: { error?: { message?: string } } };
}

/** Tell what the deployment's operations say, until it is over and once more. */
async function watch(deployment: string, body: { properties: Json }, tell: (id: string, state: StepState) => void, over: () => boolean): Promise<void> {
  for (let last = false; !last; ) {
    last = over();
    try {
      const operations = await get<{ value: Operation[] }>(`${deployment}/operations`);
      delete body.properties.parameters; // The deployment is known to be there: its secrets are needed no more.
      for (const { properties } of operations.value) {
        const id = properties.targetResource?.id;
        if (id !== undefined) tell(id, stateOf(properties));
      }
    } catch {
      // Not there yet, or refused: the request itself says which.
    }
    if (!last) await pause(over() ? 0 : 700);
  }
}

function stateOf({ provisioningState, statusMessage }: Operation["properties"]): StepState {
  if (provisioningState === "Succeeded") return "succeeded";
  return provisioningState === "Failed" ? new Error(statusMessage?.error?.message ?? "Failed") : "running";
}
