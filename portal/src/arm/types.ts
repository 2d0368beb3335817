// The resource types, from their declarations: what they are called, which api-version to speak, what hangs below them.

import { GROUP_TYPE, SUBSCRIPTION_TYPE } from "./ids";

export interface ResourceType {
  readonly type: string;
  readonly singular: string;
  readonly plural: string;
  readonly apiVersion: string;
  readonly parent: string | null;
  readonly inline: string | null;
  readonly located: boolean;
  readonly tags: boolean;
  /** The names that the API takes, anchored by nothing: test with `^(?:…)$`. */
  readonly namePattern: string;
  readonly actions: readonly { name: string; method: string }[];
  readonly references: readonly { path: string; types: readonly string[] }[];
}

let byName = new Map<string, ResourceType>();

export function setTypes(types: readonly ResourceType[]): void {
  byName = new Map(types.map((found) => [found.type.toLowerCase(), sentenceCase(found)]));
}

function sentenceCase(found: ResourceType): ResourceType {
  const first = (words: string): string => words.charAt(0).toUpperCase() + words.slice(1);
  return { ...found, singular: first(found.singular), plural: first(found.plural) };
}

export function typeOf(name: string): ResourceType | undefined {
  return byName.get(name.toLowerCase());
}

export function allTypes(): ResourceType[] {
  return [...byName.values()].sort((one, two) => one.plural.localeCompare(two.plural));
}

/** Types with a list of their own in a subscription. */
export function topTypes(): ResourceType[] {
  return allTypes().filter((found) => found.parent === null && !found.type.startsWith("Microsoft.Authorization/"));
}

export function childTypes(type: string): ResourceType[] {
  return allTypes().filter((found) => found.parent?.toLowerCase() === type.toLowerCase());
}

/** "Virtual network", for any type, known or not. */
export function singularOf(type: string): string {
  if (type === SUBSCRIPTION_TYPE) return "Subscription";
  return typeOf(type)?.singular ?? type;
}

export function pluralOf(type: string): string {
  return typeOf(type)?.plural ?? type;
}

/** What the role checks are named after. */
export function actionPrefix(type: string): string {
  return type === GROUP_TYPE ? "Microsoft.Resources/subscriptions/resourceGroups" : type;
}

/** The api-version for a path: of its last type, be it a resource's or a list's. */
export function apiVersionOf(path: string): string | undefined {
  const segments = path.split("/").filter((segment) => segment !== "");
  const at = segments.map((segment) => segment.toLowerCase()).lastIndexOf("providers");
  if (at < 0 || at + 2 >= segments.length) {
    return segments[2]?.toLowerCase() === "resourcegroups" && segments.length <= 4 ? typeOf(GROUP_TYPE)?.apiVersion : undefined;
  }
  const types = segments.slice(at + 2).filter((_, n) => n % 2 === 0);
  for (; types.length > 0; types.pop()) {
    const found = typeOf([segments[at + 1], ...types].join("/"));
    if (found !== undefined) return found.apiVersion;
  }
  return [...byName.values()].find((found) => found.type.toLowerCase().startsWith(`${segments[at + 1]!.toLowerCase()}/`))
    ?.apiVersion;
}
