// What nearly every wizard begins with: subscription, resource group, name and region, and the tags of its last tab but one.

import { useState, type ReactNode } from "react";

import type { Resource } from "../arm/client";
import { useList } from "../arm/hooks";
import { DEFAULT_REGION, NO_GROUP, type GroupChoice } from "../forms/project";
import { tagsOf, TagTable, type TagRow } from "../forms/tags";
import { useLocationName, useSession } from "../shell/session";
import { Failure } from "../shell/Blade";

/** The subscription is no part of a form: what its fields are checked against is read from there. */
export interface Project {
  readonly group: GroupChoice;
  readonly region: string;
  readonly tags: readonly TagRow[];
}

/** The subscription, and what a form begins with; `?group=` is known where it was opened from a group. */
export function useProject(known: URLSearchParams): { subscription: string; setSubscription: (id: string) => void; initial: Project } {
  const { subscriptions } = useSession();
  const [subscription, setSubscription] = useState(subscriptions[0]?.subscriptionId ?? "");
  const group = known.get("group");
  return { subscription, setSubscription, initial: { group: group === null ? NO_GROUP : { name: group, isNew: false }, region: DEFAULT_REGION, tags: [] } };
}

/** All resources of a type that the user sees in a subscription. */
export function useAll(subscription: string, type: string): readonly Resource[] | undefined {
  return useList<Resource>(subscription === "" ? undefined : `/subscriptions/${subscription}/providers/${type}`).data;
}

/** Those of one group. */
export function inGroup(resources: readonly Resource[] | undefined, group: GroupChoice): readonly Resource[] {
  return (resources ?? []).filter((found) => groupOf(found).toLowerCase() === group.name.toLowerCase());
}

export function groupOf(resource: Resource): string {
  return resource.id.split("/")[4] ?? "";
}

export function names(resources: readonly Resource[]): string[] {
  return resources.map((found) => found.name);
}

/** Subscription, group, name and region as the review tab says them. */
export function useProjectReview(): (project: { subscription: string; group: GroupChoice; region: string }, label: string, name: string) => [string, string][] {
  const { subscriptions } = useSession();
  const locationName = useLocationName();
  return ({ subscription, group, region }, label, name) => [
    ["Subscription", subscriptions.find((found) => found.subscriptionId === subscription)?.displayName ?? ""],
    ["Resource group", (group.isNew ? "(New) " : "") + group.name],
    [label, name],
    ["Region", locationName(region)],
  ];
}

export function tagsReview(rows: readonly TagRow[]): { title: string; values: [string, string][] }[] {
  const tags = Object.entries(tagsOf(rows));
  return tags.length === 0 ? [] : [{ title: "Tags", values: tags }];
}

export function TagFields({ rows, onChange, error }: { rows: readonly TagRow[]; onChange: (rows: TagRow[]) => void; error: string | undefined }): ReactNode {
  const shown = [...rows, { name: "", value: "" }];
  const set = (n: number, change: Partial<TagRow>): void => onChange(shown.map((row, at) => (at === n ? { ...row, ...change } : row)).filter((row, at) => at < shown.length - 1 || row.name !== "" || row.value !== ""));
  return (
    <>
      <p className="lead">Tags are name/value pairs that enable you to categorize resources. All resources of this deployment get them.</p>
      {error !== undefined && <Failure error={new Error(error)} title="The tags cannot be used" />}
      <TagTable rows={shown} onChange={set} onDelete={(n) => onChange(rows.filter((_, at) => at !== n))} />
    </>
  );
}
