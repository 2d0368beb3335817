// Resource ids as the REST API has them: parsed for display and for the portal's own addresses, compared without case.

export interface ParsedId {
  readonly text: string;
  readonly subscription: string;
  readonly group: string | undefined;
  /** `Microsoft.Network/virtualNetworks/subnets`; the pseudo types of groups and subscriptions. */
  readonly type: string;
  readonly name: string;
  /** The id one level up within the provider; the group's, or the subscription's, at the top level. */
  readonly parent: string | undefined;
  /** What follows the id in an address: the menu entry. */
  readonly rest: readonly string[];
}

export const GROUP_TYPE = "Microsoft.Resources/resourceGroups";
export const SUBSCRIPTION_TYPE = "Microsoft.Resources/subscriptions";

export function sameId(one: string | undefined, two: string | undefined): boolean {
  return one !== undefined && two !== undefined && one.toLowerCase() === two.toLowerCase();
}

/** Parse an id, or an id with a menu entry behind it (decoded segments); undefined for what is none. */
export function parseId(text: string): ParsedId | undefined {
  return parseSegments(text.split("/").filter((segment) => segment !== ""));
}

export function parseSegments(segments: readonly string[]): ParsedId | undefined {
  const subscription = segments[1];
  if (segments[0]?.toLowerCase() !== "subscriptions" || subscription === undefined) return undefined;
  let at = 2;
  let group: string | undefined;
  if (segments[at]?.toLowerCase() === "resourcegroups" && segments[at + 1] !== undefined) {
    group = segments[at + 1];
    at += 2;
  }
  let type = group === undefined ? SUBSCRIPTION_TYPE : GROUP_TYPE;
  let name = group ?? subscription;
  let parent = group === undefined ? undefined : `/subscriptions/${subscription}`;
  while (segments[at]?.toLowerCase() === "providers" && segments.length >= at + 4) {
    const namespace = segments[at + 1]!;
    let up = "/" + segments.slice(0, at).join("/");
    let end = at + 2;
    let types = namespace;
    while (end + 1 < segments.length && segments[end]!.toLowerCase() !== "providers") {
      if (end > at + 2) up = "/" + segments.slice(0, end).join("/");
      types += "/" + segments[end]!;
      name = segments[end + 1]!;
      end += 2;
    }
    type = types;
    parent = up;
    at = end;
  }
  return { text: "/" + segments.slice(0, at).join("/"), subscription, group, type, name, parent, rest: segments.slice(at) };
}

/** The last name of an id; the text itself where it is none. */
export function nameOf(id: string): string {
  return parseId(id)?.name ?? id;
}

export function groupId(subscription: string, group: string): string {
  return `/subscriptions/${subscription}/resourceGroups/${group}`;
}

/** `groupId(…)` + `/providers/Microsoft.Network/virtualNetworks/` + name, for a type of any depth. */
export function resourceId(scope: string, type: string, ...names: string[]): string {
  const [namespace, ...types] = type.split("/");
  return `${scope}/providers/${namespace}` + types.map((segment, n) => `/${segment}/${names[n]}`).join("");
}

/** A path for a request or an address: each segment escaped by itself. */
export function escapePath(path: string): string {
  return path.split("/").map(encodeURIComponent).join("/");
}
